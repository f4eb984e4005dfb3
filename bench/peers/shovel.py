"""RabbitMQ's own shovel, which carries messages from queue to queue within the broker."""

from __future__ import annotations

from .. import amqp
from ..job import Job
from ..speak import UnsupportedError


class Shovel:
    """The plugin ``rabbitmq_shovel``: no process of its own, it runs in the broker."""

    name = "shovel"
    title = "RabbitMQ's shovel"
    speaks_zmtp = False
    sockets = False

    def missing(self) -> str | None:
        return amqp.missing()

    def version(self) -> str:
        return amqp.version()

    def command(self, role: str, job: Job) -> list[str]:  # noqa: ARG002 - the contract's
        raise UnsupportedError(f"has no {role}")

    def environment(self) -> dict[str, str]:
        return {}

    def remark(self, case: str) -> str:  # noqa: ARG002 - the contract's
        return ""
