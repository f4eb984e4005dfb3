"""Dead letters: what could go round, pile up or be left open, by a broker in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import hypersocket as hs
from hypersocket.amqp import CONFIRMED, ChannelLost, Outcome, Publication
from hypersocket.devices.amqp_gateway._client import BrokerAddress, Client, Connect
from hypersocket.devices.amqp_gateway._counters import Counters
from hypersocket.devices.amqp_gateway._errors import GatewayError
from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._spec import (
    BrokerSpec,
    DeadLetters,
    GatewaySpec,
    Policy,
    RouteSocket,
    RouteSpec,
)
from hypersocket.devices.amqp_gateway._tasks import Backoff
from hypersocket.devices.amqp_gateway.routes._dead_letters import Burial
from hypersocket.devices.amqp_gateway.routes._letters import Letter

from .memory_client import Broker, MemoryClient


def grave(**changes: Any) -> Burial:
    route = RouteSpec(
        name="in",
        kind="in",
        queue="q",
        socket=RouteSocket(type="PUSH"),
        dead_letters=DeadLetters(exchange="dlx"),
    )
    pauses = Backoff(1.0, 8.0, lambda: 1.0)
    given: dict[str, Any] = {"socket": None, "backoff": pauses, "on_change": lambda: None}
    again = Backoff(1.0, 8.0, lambda: 1.0)
    return Burial(route, "gw", "test", Counters(), **{"repeats": again, **given, **changes})


async def test_letters_that_go_round_do_so_with_pauses(autojump_clock: MockClock) -> None:
    broker, buried = Broker(), grave()
    times: list[float] = []

    def judge(one: Publication) -> Outcome:
        times.append(trio.current_time())
        if len(times) < 7:  # whatever is bound to the exchange brings it back to the route
            buried.post(Letter("poisonous", "again", one.body, one.properties, one.target))
        return CONFIRMED

    broker.verdict = judge
    client = cast("Client", MemoryClient(broker))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(buried.carry, client)
        buried.post(Letter("poisonous", "first", b"m"))
        await trio.sleep(100)
        assert buried.waiting == 0
        nursery.cancel_scope.cancel()
    assert [later - now for now, later in pairwise(times)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


async def test_the_channel_is_closed_where_the_connection_goes_on(
    autojump_clock: MockClock,
) -> None:
    broker, buried = Broker(), grave()
    broker.verdict = lambda _: None
    client = MemoryClient(broker)
    for _ in range(3):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(buried.carry, cast("Client", client))
            if not buried.waiting:
                buried.post(Letter("returned", "", b"m"))
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert len(client._senders) == 3
    assert all(sender._error is not None for sender in client._senders)
    assert buried.waiting == 1


@pytest.mark.parametrize(
    ("kind", "source", "to"),
    [
        ("in", {"queue": "q"}, {"exchange": "", "routing_key": "q"}),
        ("serve", {"queue": "q"}, {"exchange": "", "routing_key": "q"}),
        ("in", {"exchange": "e", "routing_key": "#"}, {"exchange": "e"}),
        ("in", {"exchange": "e", "routing_key": "k"}, {"exchange": "e", "routing_key": "k"}),
        ("in", {"address": "/queue/q"}, {"address": "/queue/q"}),
    ],
)
def test_a_route_is_not_given_its_own_dead_letters(
    kind: Any, source: dict[str, Any], to: dict[str, Any]
) -> None:
    with pytest.raises(GatewayError, match="would get them again and again"):
        gateway(Broker(), kind=kind, dead_letters=DeadLetters(**to), **source)


def gateway(broker: Broker, **changes: Any) -> AmqpGateway:
    """With one route: in, from the broker's only queue, unless that is changed."""
    kind = changes.get("kind", "in")
    socket = RouteSocket(type="DEALER" if kind == "serve" else "PUSH", bind=("inproc://dead",))
    route = RouteSpec(**{"name": "in", "kind": "in", "socket": socket, **changes})
    where = BrokerSpec(
        addresses=(BrokerAddress(host="h", port=1),),
        protocol="1.0" if "address" in changes else "0-9-1",
    )
    spec = GatewaySpec(name="gw", broker=where, routes=(route,))
    return AmqpGateway(spec, connect=cast("Connect", broker.connect))


@asynccontextmanager
async def running(made: AmqpGateway) -> AsyncGenerator[None, None]:
    async def run(task_status: trio.TaskStatus[AmqpGateway]) -> None:
        await made.run(task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield
        nursery.cancel_scope.cancel()


async def test_with_no_ack_what_waits_for_the_dead_letter_target_has_a_bound(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    broker.put(*[b"too long"] * 500)
    made = gateway(
        broker,
        queue="q",
        mode="no-ack",
        prefetch=10,
        policy=Policy(max_message_size=1),
        dead_letters=DeadLetters(
            socket=RouteSocket(type="PUSH", bind=("inproc://nobody-reads-these",))
        ),
    )
    async with running(made), hs.Pull(connect="inproc://dead"):
        await trio.sleep(10)
        [stats] = made.stats().routes
        assert (stats.received, stats.pending, len(broker.queue)) == (10, 10, 490)
        async with hs.Pull(connect="inproc://nobody-reads-these") as pull:
            for _ in range(500):
                assert (await pull.recv_multipart())[1] == b"too long"


async def test_a_job_that_is_always_given_back_goes_round_with_pauses(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    broker.put(b"job")
    worker_socket = RouteSocket(type="DEALER", bind=("inproc://workers",))
    made = gateway(broker, queue="q", ack="reply", prefetch=1, socket=worker_socket)
    done = 0

    async def work() -> None:
        nonlocal done
        async with hs.Rep(connect="inproc://workers") as rep:
            while True:
                await rep.recv()
                done += 1
                await rep.send(b"requeue")

    async with running(made), trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await trio.sleep(10)
        [stats] = made.stats().routes
        assert 30 < done < 50
        assert stats.received == stats.requeued + stats.pending
        assert (await made.stop()).complete
        nursery.cancel_scope.cancel()
    assert list(broker.queue) == [(b"job", True)]


async def test_a_consumer_that_the_broker_cancels_leaves_no_channel_open(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    broker.cancels = [ChannelLost("it has moved", temporary=True) for _ in range(3)]
    broker.put(b"m")
    async with running(gateway(broker, queue="q")), hs.Pull(connect="inproc://dead") as pull:
        assert await pull.recv() == b"m"
        assert broker.consumers == 1


def confirm(broker: Broker) -> None:
    """Say that all that was published and is not settled is taken."""
    for sender in [one for client in broker.clients for one in client._senders]:
        waiting, sender.waiting = sender.waiting, []
        sender._on_settled(waiting, CONFIRMED)
        sender._changed.unpark_all()


async def test_a_letter_that_is_on_its_way_when_the_last_peer_leaves_is_written_once(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    broker.put(b"too long")
    broker.verdict = lambda _: None
    policy, to = Policy(max_message_size=1), DeadLetters(exchange="dlx")
    made = gateway(broker, queue="q", policy=policy, dead_letters=to)
    async with running(made):
        async with hs.Pull(connect="inproc://dead"):
            await trio.sleep(0.1)
            assert made.stats().routes[0].pending == 1
        await trio.sleep(0.1)
        confirm(broker)
        async with hs.Pull(connect="inproc://dead"):
            await trio.sleep(10)
        [stats] = made.stats().routes
        assert (stats.received, stats.dead_lettered, stats.requeued) == (1, 1, 0)
        assert not broker.queue


async def test_a_letter_that_is_on_its_way_when_the_route_begins_anew_is_written_once(
    autojump_clock: MockClock,
) -> None:
    broker, buried = Broker(), grave()
    broker.verdict = lambda _: None
    client = MemoryClient(broker)
    broker.clients.append(client)
    async with trio.open_nursery() as nursery, trio.open_nursery() as first:
        first.start_soon(buried.carry, cast("Client", client))
        buried.post(Letter("returned", "", b"m"))
        await wait_all_tasks_blocked()

        async def confirm_soon() -> None:
            await trio.sleep(0.1)
            confirm(broker)

        nursery.start_soon(confirm_soon)
        first.cancel_scope.cancel()
    assert buried.waiting == 0
    assert buried._counters.dead_lettered == 1
