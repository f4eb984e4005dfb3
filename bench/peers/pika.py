"""pika's BlockingConnection, as RabbitMQ's tutorials use it."""

# pika tells no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import amqp
from ..job import Job
from ..latencies import Latencies
from ..speak import say, wait_told
from ._python import PythonPeer


class Pika(PythonPeer):
    """``pika.BlockingConnection``: a loop over ``consume``, and the tutorial's remote call."""

    name = "pika"
    title = "pika"
    speaks_zmtp = False
    sockets = False
    distribution = "pika"
    module = "pika"

    def missing(self) -> str | None:
        return amqp.missing() or super().missing()

    @property
    def roles(self) -> dict[str, Callable[[Job], None]]:
        """What it does here."""
        return {"amqp_consumer": _consumer, "amqp_caller": _caller}


def _channel(job: Job) -> Any:
    import pika

    return pika.BlockingConnection(pika.URLParameters(job.broker)).channel()


def _consumer(job: Job) -> None:
    meter, channel = amqp.Meter(job, say), _channel(job)
    channel.basic_qos(prefetch_count=amqp.PREFETCH)

    def took(channel: Any, method: Any, properties: Any, body: bytes) -> None:  # noqa: ARG001
        done = meter.took(body)
        channel.basic_ack(method.delivery_tag)
        if done:
            channel.stop_consuming()

    channel.basic_consume(amqp.SOURCE, took)
    channel.start_consuming()
    wait_told()


def _caller(job: Job) -> None:
    import pika

    channel = _channel(job)
    replies = channel.consume("amq.rabbitmq.reply-to", auto_ack=True, inactivity_timeout=0.001)
    next(replies)  # which begins to consume: replies can be asked for from here on
    replies = channel.consume("amq.rabbitmq.reply-to", auto_ack=True)
    latencies = Latencies(job)
    for number, request in enumerate(latencies):
        properties = pika.BasicProperties(
            reply_to="amq.rabbitmq.reply-to", correlation_id=str(number)
        )
        channel.basic_publish("", amqp.SOURCE, request, properties)
        latencies.replied(next(replies)[2])
    say("result", **latencies.facts())
    wait_told()
