"""Messages that come back, where the broker does not say how often: who is poisonous."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

import hypersocket as hs
from hypersocket.amqp import ConnectionLost, Properties
from hypersocket.devices.amqp_gateway._spec import RouteKind, RouteSocket, RouteSpec

from .memory_client import Broker, gateway, running

KINDS: list[RouteKind] = ["in", "serve"]
LOST = ConnectionLost("a restart", condition="320", temporary=True)


def taking(kind: RouteKind, most: int) -> RouteSpec:
    """A route whose workers answer, at inproc://jobs."""
    socket = RouteSocket(type="DEALER", bind=("inproc://jobs",))
    route = RouteSpec(
        name="jobs", kind=kind, queue="q", max_deliveries=most, prefetch=20, socket=socket
    )
    return replace(route, ack="reply") if kind == "in" else route


def served() -> Broker:
    broker = Broker()
    broker.properties = lambda _: Properties(reply_to="answers")
    return broker


class Workers:
    """Answer what they get, when they may."""

    def __init__(self, answer: bytes = b"done") -> None:
        self.answer = answer
        self.may = trio.Event()
        self.got = 0

    async def work(self) -> None:
        async with hs.Rep(connect="inproc://jobs") as rep:
            while True:
                await rep.recv()
                self.got += 1
                await self.may.wait()
                await rep.send(self.answer)


@pytest.mark.parametrize("kind", KINDS)
async def test_messages_that_look_the_same_are_not_one_that_came_often(
    kind: RouteKind, autojump_clock: MockClock
) -> None:
    """All come back with their connection, and again a second time."""
    broker, workers = served(), Workers()
    broker.put(*[b"tick"] * 20)
    async with (
        running(gateway(broker, taking(kind, 3))) as gw,
        trio.open_nursery() as nursery,
    ):
        for _ in range(20):
            nursery.start_soon(workers.work)
        for _ in range(2):
            await trio.sleep(10)
            assert broker.client is not None
            broker.client.lose(LOST)
        await trio.sleep(10)
        workers.may.set()
        await trio.sleep(10)
        route = gw.stats().routes[0]
        assert (route.confirmed, route.drops) == (20, {})
        nursery.cancel_scope.cancel()


async def test_a_message_that_is_done_is_no_reason_to_condemn_another(
    autojump_clock: MockClock,
) -> None:
    broker, workers = served(), Workers()
    workers.may.set()
    async with (
        running(gateway(broker, taking("in", 3))) as gw,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(workers.work)
        for _ in range(10):
            broker.put(b"tick", redelivered=True)
            await trio.sleep(1)
        route = gw.stats().routes[0]
        assert (route.confirmed, route.drops) == (10, {})
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("count", [1, 5])
async def test_a_poisonous_one_is_found(count: int, autojump_clock: MockClock) -> None:
    """It is given back again and again; so are others that look like it."""
    broker, workers = served(), Workers(b"requeue")
    workers.may.set()
    broker.put(*[b"poison"] * count)
    async with (
        running(gateway(broker, taking("in", 3))) as gw,
        trio.open_nursery() as nursery,
    ):
        for _ in range(count):
            nursery.start_soon(workers.work)
        await trio.sleep(60)
        assert gw.stats().routes[0].drops == {"poisonous": count}
        assert workers.got == 3 * count
        assert not broker.queue
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_takes_its_connection_with_it_is_found(
    kind: RouteKind, autojump_clock: MockClock
) -> None:
    broker, workers = served(), Workers()
    broker.put(b"poison")
    async with (
        running(gateway(broker, taking(kind, 3))) as gw,
        trio.open_nursery() as nursery,
    ):
        for _ in range(10):
            nursery.start_soon(workers.work)
        for _ in range(3):
            assert gw.stats().routes[0].drops == {}
            await trio.sleep(10)
            assert broker.client is not None
            broker.client.lose(LOST)
        await trio.sleep(10)
        assert gw.stats().routes[0].drops == {"poisonous": 1}
        assert workers.got == 3
        nursery.cancel_scope.cancel()
