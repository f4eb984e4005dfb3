"""What tests of the gateway have in common: a gateway, and an AMQP peer at the other end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from hypersocket.amqp import (
    NO_PROPERTIES,
    Declaration,
    Outcome,
    Properties,
    Publication,
    Queue,
    Result,
    Subscription,
    Target,
)
from hypersocket.devices.amqp_gateway._client import BrokerAddress, Client, Delivery
from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._spec import (
    BrokerSpec,
    GatewaySpec,
    RouteSocket,
    RouteSpec,
)

from ..brokers.rabbitmq import RabbitMQ

PATIENCE = 60.0
"""Seconds that a test may take, and that a broker may stand still; far more than any needs."""

ANY = "tcp://127.0.0.1:*"


def address(rabbitmq: RabbitMQ, **changes: Any) -> BrokerAddress:
    """How to log in to a vhost."""
    plain = BrokerAddress(
        host="127.0.0.1",
        port=rabbitmq.port,
        vhost=rabbitmq.vhost,
        username="guest",
        password="guest",
        heartbeat=PATIENCE,
        connect_timeout=PATIENCE,
    )
    return replace(plain, **changes)


def gateway(
    rabbitmq: RabbitMQ,
    *routes: RouteSpec,
    declare: Sequence[Declaration] = (),
    name: str = "gw",
    addresses: Sequence[BrokerAddress] = (),
    **changes: Any,
) -> AmqpGateway:
    """A gateway over AMQP 0-9-1, not yet running."""
    broker = BrokerSpec(
        addresses=tuple(addresses) or (address(rabbitmq, container_id="gateway"),),
        declare=tuple(declare),
        reconnect_ivl=0.05,
        reconnect_ivl_max=0.5,
    )
    given = {"linger": PATIENCE, **changes}
    return AmqpGateway(GatewaySpec(name=name, broker=broker, routes=routes, **given))


def at(kind: str, **options: Any) -> RouteSocket:
    """A socket that is bound to a port of the system's choice."""
    return RouteSocket(type=kind, bind=(ANY,), **options)


def where(running: AmqpGateway, route: str) -> str:
    """The endpoint of a route."""
    return running.sockets[route].endpoints[0]


@asynccontextmanager
async def running(made: AmqpGateway) -> AsyncGenerator[AmqpGateway, None]:
    """Run it, and cancel it at the end if it still runs. A test that hangs says where."""
    with trio.fail_after(PATIENCE):
        async with _running(made) as gw:
            yield gw


@asynccontextmanager
async def _running(made: AmqpGateway) -> AsyncGenerator[AmqpGateway, None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(_run, made)
        yield made
        nursery.cancel_scope.cancel()


async def _run(made: AmqpGateway, task_status: trio.TaskStatus[AmqpGateway]) -> None:
    await made.run(task_status=task_status)


@asynccontextmanager
async def amqp(rabbitmq: RabbitMQ) -> AsyncGenerator[Amqp, None]:
    """An AMQP 0-9-1 peer."""
    from hypersocket.devices.amqp_gateway.clients import v091

    async with v091.connect(address(rabbitmq)) as client:
        yield Amqp(client)


class Amqp:
    """A program that speaks AMQP, at the other end."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def queue(self, name: str = "", **options: Any) -> str:
        """Declare a queue."""
        return (await self.client.declare([Queue(name=name, **options)]))[0]

    async def put(
        self, queue: str, *bodies: bytes, exchange: str = "", properties: Properties = NO_PROPERTIES
    ) -> None:
        """Publish messages, and wait until the broker has them."""
        results: list[Result] = []

        def settled(publications: Sequence[Publication], outcome: Outcome) -> None:
            results.extend([outcome.result] * len(publications))

        sender = await self.client.open_sender(settled)
        target = Target(exchange, queue)
        await sender.send([Publication(target, body, properties) for body in bodies])
        await sender.wait_settled()
        await sender.aclose()
        assert results == [Result.CONFIRMED] * len(bodies)

    async def take(self, queue: str, count: int) -> list[Delivery]:
        """Take so many messages, and accept them."""
        receiver = await self.client.open_receiver(Subscription(queue=queue, credit=count))
        taken: list[Delivery] = []
        while len(taken) < count:
            new = await receiver.receive()
            receiver.accept(new)
            taken += new
        await receiver.aclose()
        return taken

    async def bodies(self, queue: str, count: int) -> list[bytes]:
        """The bodies of so many messages."""
        return [one.body for one in await self.take(queue, count)]


async def depth(rabbitmq: RabbitMQ, queue: str) -> tuple[int, int]:
    """How many messages of a queue are ready, and how many are with consumers."""
    text = await rabbitmq.ctl(
        *("-q", "list_queues", "-p", rabbitmq.vhost, "name", "messages_ready"),
        *("messages_unacknowledged", "--no-table-headers"),
    )
    for line in text.splitlines():
        name, ready, unacknowledged = line.split("\t")
        if name == queue:
            return int(ready), int(unacknowledged)
    raise AssertionError(f"there is no queue {queue}: {text}")


async def close_gateways(rabbitmq: RabbitMQ) -> None:
    """Have the broker close the connections of all gateways."""
    await rabbitmq.ctl(
        "eval",
        '[rabbit_networking:close_connection(P, "maintenance") || '
        "[{pid, P}, {client_properties, C}] <- "
        "rabbit_networking:connection_info_all([pid, client_properties]), "
        'lists:member({<<"connection_name">>, longstr, <<"gateway">>}, C)].',
    )


@asynccontextmanager
async def without_memory(rabbitmq: RabbitMQ) -> AsyncGenerator[Callable[[], Awaitable[object]]]:
    """A broker that has none, until what this gives is called, or at the end.

    Whatever becomes of the test: others share the broker.
    """
    await _set_watermark(rabbitmq, "0.00001")
    try:
        # Each connection is told of it for itself, and a little later.
        while f"{rabbitmq.vhost}\trunning" in await rabbitmq.ctl(
            *("-q", "list_connections", "vhost", "state", "--no-table-headers")
        ):
            pass
        yield partial(_set_watermark, rabbitmq, "0.4")
    finally:
        with trio.CancelScope(shield=True):
            await _set_watermark(rabbitmq, "0.4")


async def _set_watermark(rabbitmq: RabbitMQ, share: str) -> None:
    await rabbitmq.ctl("set_vm_memory_high_watermark", share)


async def until(holds: Callable[[], bool]) -> None:
    """Look again and again, for what tells nobody."""
    while not holds():  # noqa: ASYNC110
        await trio.sleep(0.005)


def unheard(publications: Sequence[Publication], outcome: Outcome) -> None:
    """What a sender tells who does not want to know what became of publications."""
    del publications, outcome
