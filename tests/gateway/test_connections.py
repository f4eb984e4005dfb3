"""How the gateway's connections begin, end, and are made again, by a broker in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

import hypersocket as hs
from hypersocket.amqp import AmqpError, ChannelLost, ConnectionLost
from hypersocket.devices.amqp_gateway._client import BrokerAddress
from hypersocket.devices.amqp_gateway._spec import DeadLetters, Policy, RouteSocket, RouteSpec

from .memory_client import Broker, MemoryClient, gateway, running

PASSING = ConnectionLost("it broke", temporary=True)
FOR_GOOD = ConnectionLost("it may not", condition="403")

OUT = RouteSpec(
    name="out", kind="out", queue="q", socket=RouteSocket(type="PULL", bind=("inproc://out",))
)
IN = RouteSpec(
    name="in", kind="in", queue="q", socket=RouteSocket(type="PUSH", bind=("inproc://in",))
)


def at_the_second(then: Callable[[], None]) -> Callable[[BrokerAddress], None]:
    """What is to happen when there is an attempt at the connection for consuming."""

    def on_connect(address: BrokerAddress) -> None:
        if address.container_id.endswith("-consuming"):
            then()

    return on_connect


# --- the end of the first is the end of the second -------------------------------------------


@pytest.mark.parametrize(
    ("condition", "patience"),
    [
        pytest.param("", 0.0, id="nobody says anything, nor will at the second"),
        pytest.param("320", 5.0, id="the broker says why, and has time for the second"),
    ],
)
async def test_the_next_address_is_tried_when_the_first_is_lost(
    condition: str,
    patience: float,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker, ports = Broker(), list[int]()
    broker.on_connect = lambda address: ports.append(address.port)
    broker.closing = 5.0  # a host that has gone takes no part in that
    async with running(gateway(broker, OUT, IN, addresses=2)) as gw:
        await trio.sleep(60)
        first, _ = broker.clients
        now = trio.current_time()
        first.lose(ConnectionLost("it ended", condition=condition, temporary=True))
        await trio.sleep(30)
        assert broker.attempts[2] == now + patience
        then = 1 if condition else 2  # the first again, where it is there
        assert ports == [1, 1, then, then]
        assert (gw.stats().connects, gw.stats().reconnects) == (4, 1)
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert not any("consuming" in one for one in told)  # there is one thing to tell


async def test_each_that_is_lost_without_a_word_is_left_for_the_next_of_them(
    autojump_clock: MockClock,
) -> None:
    """In turn, and after a round that came to nothing the first one is the first again."""
    broker, ports = Broker(), list[int]()
    broker.on_connect = lambda address: ports.append(address.port)
    async with running(gateway(broker, OUT, addresses=3)):
        for port in (1, 2, 3, 1, 2):
            await trio.sleep(60)
            assert ports[-1] == port
            assert broker.client is not None
            if len(ports) == 5:
                broker.refusals = [PASSING] * 3
            broker.client.lose(PASSING)
        await trio.sleep(60)
        assert ports == [1, 2, 3, 1, 2, 1]
        assert len(broker.attempts) == 5 + 3 + 1


# --- the beginning: what is refused for good, and what passes --------------------------------


async def test_what_is_refused_for_good_goes_before_what_passes(
    autojump_clock: MockClock,
) -> None:
    """The first connection is lost as the second is refused."""
    broker = Broker()
    ends = [True]

    def refuse() -> None:
        if ends:
            ends.clear()
            broker.clients[0].lose(PASSING)
            raise FOR_GOOD

    broker.on_connect = at_the_second(refuse)
    words = "the connection for consuming: it may not"
    with trio.fail_after(100), pytest.raises(ConnectionLost, match=words):
        await gateway(broker, OUT, IN).run()
    assert len(broker.attempts) == 2


async def test_what_a_route_is_refused_for_good_goes_before_what_passes(
    autojump_clock: MockClock,
) -> None:
    """Its connection is lost, and the other one, too."""
    broker = Broker()
    ends = [True]

    def refuse(client: MemoryClient) -> None:
        if ends and len(broker.clients) == 2 and client is broker.clients[1]:
            ends.clear()
            for one in broker.clients:
                one.lose(PASSING)
            raise ChannelLost("no such queue", condition="404")

    broker.on_declare = refuse
    with trio.fail_after(100), pytest.raises(ChannelLost, match="route in: no such queue"):
        await gateway(broker, OUT, IN).run()


@pytest.mark.parametrize("after", [0.0, 0.1, 1.0, 9.0])
async def test_what_is_refused_for_good_is_so_however_long_it_took(
    after: float, autojump_clock: MockClock
) -> None:
    """The broker ends the first connection while the routes look for what they need."""
    broker = Broker()
    broker.declaring = 10.0
    async with trio.open_nursery() as nursery:
        made = gateway(broker, OUT, IN)

        async def run() -> None:
            with pytest.raises(ConnectionLost, match="it may not"):
                await made.run()
            nursery.cancel_scope.cancel()

        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(after)
        broker.clients[0].lose(FOR_GOOD)
        await trio.sleep(100)
        pytest.fail("it runs")


async def test_what_the_second_is_refused_for_good_at_the_next_address_ends_the_start(
    autojump_clock: MockClock,
) -> None:
    """At the first address, both are lost before anything was carried."""
    broker, ports = Broker(), list[int]()

    def refuse() -> None:
        ports.append(len(broker.clients))
        if len(ports) > 1:
            raise FOR_GOOD
        broker.clients[0].lose(PASSING)
        raise PASSING

    broker.on_connect = at_the_second(refuse)
    broker.declaring = 1.0
    words = "the connection for consuming: it may not"
    with trio.fail_after(100), pytest.raises(ConnectionLost, match=words):
        await gateway(broker, OUT, IN, addresses=2).run()
    assert len(ports) == 2


@pytest.mark.parametrize("declaring", [0.0, 10.0])
async def test_a_second_that_could_not_be_had_at_first_ends_nothing_later(
    declaring: float, autojump_clock: MockClock
) -> None:
    """However soon the first one carries its routes."""
    broker = Broker()
    broker.declaring = declaring
    ends: list[AmqpError] = [PASSING, FOR_GOOD, FOR_GOOD]

    def refuse() -> None:
        if ends:
            raise ends.pop(0)

    broker.on_connect = at_the_second(refuse)
    with trio.fail_after(60):
        async with running(gateway(broker, OUT, IN)) as gw:
            await gw.wait_active()
            assert not ends


@pytest.mark.parametrize("after", [0.0, 0.1, 1.0, 9.0])
async def test_a_first_that_is_lost_at_once_is_waited_for(
    after: float, autojump_clock: MockClock
) -> None:
    """The gateway has started then, and what it is refused later is told."""
    broker = Broker()
    broker.declaring = 10.0

    async def lose() -> None:
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(after)
        broker.clients[0].lose(PASSING)
        broker.refusals = [FOR_GOOD] * 3

    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lose)
            async with running(gateway(broker, OUT, IN)) as gw:
                await gw.wait_active()
                assert not broker.refusals


# --- dead letters -----------------------------------------------------------------------------


@pytest.mark.parametrize("others", [(), (OUT,)])
async def test_dead_letters_go_by_the_connection_that_publishes(
    others: tuple[RouteSpec, ...], autojump_clock: MockClock
) -> None:
    broker = Broker()
    route = replace(IN, dead_letters=DeadLetters(exchange="dlx"), policy=Policy(max_message_size=3))
    async with (
        running(gateway(broker, *others, route)) as gw,
        hs.Pull(connect="inproc://in") as pull,
    ):
        broker.put(b"too long", b"m")
        assert await pull.recv() == b"m"
        await trio.sleep(1)
        stats = gw.stats().routes[-1]
        assert (stats.dead_lettered, stats.confirmed, stats.pending) == (1, 1, 0)
        assert broker.stored == [b"too long"]
        publishing, consuming = broker.clients
        assert publishing._senders
        assert not consuming._senders
        broker.put(b"too long, too")
        publishing.lose(PASSING)
        await trio.sleep(60)
        assert {*broker.stored} == {b"too long", b"too long, too"}
        assert not broker.queue


# --- what is told of it -----------------------------------------------------------------------


async def test_that_the_broker_is_back_is_told_as_loudly_as_that_it_was_lost(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "hypersocket")
    broker = Broker()
    broker.refusals = [PASSING] * 3

    def told(what: str) -> list[str]:
        return [one.getMessage() for one in caplog.records if what in one.getMessage()]

    async with running(gateway(broker, OUT, IN)) as gw:
        await gw.wait_active()
        away = broker.attempts[3] - broker.attempts[0]
        [line] = told("connected to")
        assert line == f"gateway gw: connected to the broker at h:1, after {away:.1f} s without it"
        await trio.sleep(60)
        now = trio.current_time()
        broker.refusals = [PASSING] * 5
        broker.clients[0].lose(PASSING)
        await trio.sleep(60)
        away = broker.attempts[-2] - now
        assert away > 1
        [_, line] = told("connected to")
        assert line.endswith(f"at h:1, after {away:.1f} s without it")
        broker.clients[-1].lose(PASSING)
        await trio.sleep(60)
        [_, _, line] = told("connected to")
        assert (
            line == "gateway gw, consuming: connected to the broker at h:1, after 0.0 s without it"
        )
