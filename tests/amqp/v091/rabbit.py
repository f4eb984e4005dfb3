"""What the tests with RabbitMQ share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypersocket.amqp import (
    Outcome,
    Properties,
    Publication,
    Queue,
    Result,
    Target,
)
from hypersocket.devices.amqp_gateway._client import (
    BrokerAddress,
    Client,
    Delivery,
    Receiver,
)

from ...brokers.rabbitmq import RabbitMQ


class Outcomes:
    """What became of publications: told once each."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[Publication], Outcome]] = []
        self.of: dict[Publication, Outcome] = {}

    def __call__(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        self.batches.append((list(publications), outcome))
        for one in publications:
            assert one not in self.of, "told twice"
            self.of[one] = outcome

    def results(self, publications: Sequence[Publication]) -> list[Result]:
        return [self.of[one].result for one in publications]


def address(broker: RabbitMQ, **changes: Any) -> BrokerAddress:
    said: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": broker.port,
        "vhost": broker.vhost,
        "username": "guest",
        "password": "guest",
        # Beyond any time that a machine stands still for.
        "heartbeat": 60,
        "connect_timeout": 60,
    }
    return BrokerAddress(**(said | changes))


def to(queue: str, *bodies: bytes, properties: Properties | None = None) -> list[Publication]:
    target = Target(routing_key=queue)
    rest = {} if properties is None else {"properties": properties}
    return [Publication(target, body, **rest) for body in bodies]


async def take(receiver: Receiver, count: int) -> list[Delivery]:
    taken: list[Delivery] = []
    while len(taken) < count:
        taken += await receiver.receive()
    assert len(taken) == count
    return taken


async def temporary_queue(client: Client, **arguments: Any) -> str:
    (name,) = await client.declare([Queue(durable=False, exclusive=True, arguments=arguments)])
    assert name.startswith("amq.gen-")
    return name
