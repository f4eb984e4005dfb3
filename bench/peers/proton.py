"""Qpid Proton's Python binding with its own event loop, ``Container``."""

# proton tells no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from .. import amqp
from ..job import Job
from ..speak import say, wait_told
from ._python import PythonPeer


class Proton(PythonPeer):
    """``proton.reactor.Container`` with a receiver that accepts each message."""

    name = "proton"
    title = "proton's Container"
    speaks_zmtp = False
    sockets = False
    distribution = "python-qpid-proton"
    module = "proton"

    def missing(self) -> str | None:
        return amqp.missing() or super().missing()

    @property
    def roles(self) -> dict[str, Callable[[Job], None]]:
        """What it does here."""
        return {"amqp10_consumer": _consumer}


def _consumer(job: Job) -> None:
    from proton.handlers import MessagingHandler
    from proton.reactor import Container

    where = urlsplit(job.broker)
    meter = amqp.Meter(job, say)

    class Handler(MessagingHandler):
        def on_start(self, event: Any) -> None:
            connection = event.container.connect(
                f"amqp://{where.hostname}:{where.port}",
                user=where.username,
                password=where.password,
                allowed_mechs="PLAIN",
                allow_insecure_mechs=True,
                virtual_host=f"vhost:{where.path[1:]}",
            )
            event.container.create_receiver(connection, f"/amq/queue/{amqp.SOURCE}")

        def on_message(self, event: Any) -> None:
            body = event.message.body
            if meter.took(body if isinstance(body, bytes) else bytes(body)):
                event.connection.close()

        def on_transport_error(self, event: Any) -> None:
            raise RuntimeError(str(event.transport.condition))

        def on_link_error(self, event: Any) -> None:
            raise RuntimeError(str(event.link.remote_condition))

    # It accepts and settles each message by itself, and keeps so much credit with the broker.
    Container(Handler(prefetch=amqp.PREFETCH, auto_accept=True)).run()
    wait_told()
