"""Out: time and order, by a broker in memory and a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import count, pairwise
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import hypersocket as hs
from hypersocket.amqp import CONFIRMED, ChannelLost, ConnectionLost, Outcome, Publication, Result
from hypersocket.devices.amqp_gateway._client import BrokerAddress, Connect
from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._policy import TokenBucket
from hypersocket.devices.amqp_gateway._spec import (
    BrokerSpec,
    GatewaySpec,
    RouteSocket,
    RouteSpec,
)

from .memory_client import Broker

NAMES = count()
FAILED = Outcome(Result.FAILED, "full")


@asynccontextmanager
async def carrying(
    broker: Broker, **changes: Any
) -> AsyncGenerator[tuple[AmqpGateway, hs.Push], None]:
    """A gateway with one route, and what sends to it."""
    endpoint = f"inproc://out-order-{next(NAMES)}"
    made = make(broker, endpoint, **changes)

    async def run(task_status: trio.TaskStatus[AmqpGateway]) -> None:
        await made.run(task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        async with hs.Push(connect=endpoint) as push:
            yield made, push
            nursery.cancel_scope.cancel()


def make(broker: Broker, endpoint: str, **changes: Any) -> AmqpGateway:
    """The gateway."""
    route = RouteSpec(
        name="out",
        kind="out",
        exchange="e",
        socket=RouteSocket(type="PULL", bind=(endpoint,)),
        **changes,
    )
    where = BrokerSpec(
        addresses=(BrokerAddress(host="h", port=1),), reconnect_ivl=1.0, reconnect_ivl_max=8.0
    )
    spec = GatewaySpec(name="gw", broker=where, routes=(route,))
    return AmqpGateway(spec, connect=cast("Connect", broker.connect))


def bodies(numbers: Sequence[int]) -> list[bytes]:
    return [b"%d" % number for number in numbers]


async def settled(gateway: AmqpGateway, confirmed: int) -> None:
    while gateway.stats().routes[0].confirmed < confirmed:  # noqa: ASYNC110
        await trio.sleep(0.1)


async def test_pauses_between_attempts_grow(autojump_clock: MockClock) -> None:
    broker = Broker()
    broker.refusals = [ConnectionLost("refused", temporary=True) for _ in range(8)]
    async with carrying(broker) as (gateway, _):
        await gateway.wait_active()
    pauses = [later - now for now, later in pairwise(broker.attempts)]
    for pause, most in zip(pauses, [1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert most / 2 <= pause <= most
    assert gateway.result is not None
    assert (gateway.result.stats.connects, gateway.result.stats.reconnects) == (1, 0)


async def test_a_lasting_error_is_raised_at_the_start_alone(autojump_clock: MockClock) -> None:
    broker = Broker()
    broker.refusals = [ConnectionLost("403 ACCESS_REFUSED")]
    with pytest.raises(ConnectionLost, match="ACCESS_REFUSED"):
        await make(broker, "inproc://raises").run()
    async with carrying(broker) as (gateway, _):
        assert broker.client is not None
        broker.refusals = [ConnectionLost("403 ACCESS_REFUSED")] * 3
        broker.client.lose(ConnectionLost("gone", temporary=True))
        while gateway.stats().reconnects < 1:  # noqa: ASYNC110
            await trio.sleep(0.5)
        assert gateway.stats().error == ""


async def test_what_is_unknown_is_sent_again_in_order_before_what_is_new(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    broker.verdict = lambda _: None
    async with carrying(broker) as (gateway, push):
        await push.send_many(bodies(range(5)))
        await wait_all_tasks_blocked()
        assert gateway.stats().routes[0].pending == 5
        broker.verdict = lambda _: CONFIRMED
        assert broker.client is not None
        broker.client.lose(ConnectionLost("gone", temporary=True))
        await push.send_many(bodies(range(5, 10)))
        await settled(gateway, 10)
        stats = gateway.stats().routes[0]
    assert broker.stored == bodies(range(10))
    assert (stats.received, stats.forwarded, stats.retried, stats.pending) == (10, 10, 5, 0)


async def test_what_failed_is_tried_again_with_pauses(autojump_clock: MockClock) -> None:
    broker = Broker()
    times: list[float] = []

    def verdict(_: Publication) -> Outcome:
        times.append(trio.current_time())
        return FAILED if len(times) < 5 else CONFIRMED

    broker.verdict = verdict
    async with carrying(broker) as (gateway, push):
        await push.send(b"1")
        await settled(gateway, 1)
        assert gateway.stats().routes[0].retried == 4
    assert all(later - now >= 0.5 for now, later in pairwise(times))


async def test_what_was_tried_often_enough_is_given_up(autojump_clock: MockClock) -> None:
    broker = Broker()
    broker.verdict = lambda one: FAILED if one.body == b"bad" else CONFIRMED
    async with carrying(broker, retries=2) as (gateway, push):
        await push.send_many([b"bad", b"good"])
        while not gateway.stats().routes[0].dropped:  # noqa: ASYNC110
            await trio.sleep(0.1)
        stats = gateway.stats().routes[0]
    assert (stats.drops, stats.confirmed, stats.retried) == ({"unconfirmed": 1}, 1, 2)


async def test_a_message_for_which_the_channel_is_ended_ends_nothing_but_itself(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()

    def verdict(one: Publication) -> Outcome | ChannelLost | None:
        if one.body == b"poison":
            return ChannelLost("406 PRECONDITION_FAILED - no", condition="406 PRECONDITION_FAILED")
        return CONFIRMED

    broker.verdict = verdict
    async with carrying(broker) as (gateway, push):
        await push.send_many([b"1", b"poison", b"2", b"3"])
        await settled(gateway, 3)
        stats = gateway.stats().routes[0]
    assert broker.stored == [b"1", b"2", b"3"]
    assert (stats.rejected, stats.drops, stats.pending) == (1, {"rejected": 1}, 0)
    assert len(broker.attempts) == 1  # the connection stood


async def test_a_window_of_one_takes_one_at_a_time(autojump_clock: MockClock) -> None:
    broker = Broker()
    broker.verdict = lambda _: None
    async with carrying(broker, prefetch=1) as (gateway, push):
        await push.send_many(bodies(range(3)))
        await wait_all_tasks_blocked()
        assert gateway.stats().routes[0].received == 1


async def test_a_bucket_holds_back_to_its_rate(autojump_clock: MockClock) -> None:
    bucket, start = TokenBucket(10.0), trio.current_time()
    taken = 0
    while taken < 101:
        ready = await bucket.wait(5)
        bucket.spend(ready)
        taken += ready
    assert trio.current_time() - start == pytest.approx(10.0, abs=0.2)


async def test_a_bucket_without_a_rate_never_waits() -> None:
    assert await TokenBucket(None).wait(7) == 7


async def test_only_what_was_tried_counts_as_tried(autojump_clock: MockClock) -> None:
    """Of several that end the channel, each costs the others a connection, and no attempt."""
    broker = Broker()
    began = False

    def judge(one: Publication) -> Outcome | ChannelLost | None:
        nonlocal began
        if one.body == b"last":
            began = True
        if not began:
            return None
        return CONFIRMED if one.body == b"good" else ChannelLost("no", condition="406 NO")

    broker.verdict = judge
    async with carrying(broker, retries=2) as (gateway, push):
        await push.send_many([b"bad 1", b"bad 2", b"bad 3", b"bad 4", b"good", b"last"])
        await settled(gateway, 1)
        [stats] = gateway.stats().routes
    assert broker.stored == [b"good"]
    assert (stats.rejected, stats.drops) == (5, {"rejected": 5})


async def test_what_stays_unknown_on_a_link_that_stands_is_sent_again_with_pauses(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    times: list[float] = []

    def judge(one: Publication) -> Outcome:
        times.append(trio.current_time())
        return (
            CONFIRMED if len(times) == 6 else Outcome(Result.UNKNOWN, "settled without an outcome")
        )

    broker.verdict = judge
    async with carrying(broker) as (gateway, push):
        await push.send(b"m")
        await settled(gateway, 1)
    pauses = [later - now for now, later in pairwise(times)]
    for pause, most in zip(pauses, [1.0, 2.0, 4.0, 8.0, 8.0], strict=True):
        assert most / 2 <= pause <= most


async def test_pauses_of_a_route_begin_anew_after_it_worked(autojump_clock: MockClock) -> None:
    broker = Broker()
    times: list[float] = []

    def judge(one: Publication) -> Outcome | ChannelLost:
        times.append(trio.current_time())
        refused = len(times) not in {7, 9}
        return ChannelLost("not now", condition="403 NO") if refused else CONFIRMED

    broker.verdict = judge
    async with carrying(broker) as (gateway, push):
        await push.send(b"m")
        await settled(gateway, 1)
        await trio.sleep(100)
        await push.send(b"n")
        await settled(gateway, 2)
    pauses = [later - now for now, later in pairwise(times)]
    assert pauses[5] >= 4.0
    assert pauses[7] <= 1.0


async def test_a_message_that_cannot_be_packed_ends_nothing_but_itself(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker()
    async with carrying(broker) as (gateway, push):
        packer = cast("Any", gateway)._routes[0]._packer
        pack = packer.pack

        def fails(message: Any) -> Publication:
            if message == b"2":
                raise OverflowError("of a kind that nobody thought of")
            return cast("Publication", pack(message))

        monkeypatch.setattr(packer, "pack", fails)
        await push.send_many(bodies([1, 2, 3]))
        await settled(gateway, 2)
        [stats] = gateway.stats().routes
    assert broker.stored == bodies([1, 3])
    assert (stats.received, stats.drops) == (3, {"malformed": 1})
    assert "nobody thought of" in caplog.text


async def test_what_a_stop_raises_leaves_as_itself(autojump_clock: MockClock) -> None:
    broker = Broker()
    made = make(broker, f"inproc://out-order-{next(NAMES)}")

    async def fail() -> None:
        raise ZeroDivisionError

    cast("Any", made)._routes[0].stop = fail
    made.stop_soon()
    with pytest.raises(ZeroDivisionError):
        await made.run()
    assert made.state == "stopped"
