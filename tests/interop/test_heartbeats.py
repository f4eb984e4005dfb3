"""Heartbeats: a process that is stopped, by either side, and long silence with both alive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import zmq
from trio.testing import MockClock, wait_all_tasks_blocked

import hypersocket as hs
from hypersocket import events

from .peers import Theirs, eventually, join, ours, until
from .processes import child

TCP = "tcp://127.0.0.1:*"


async def comes_through(
    send: Callable[[], Awaitable[None]], receive: Callable[[], Awaitable[object]]
) -> None:
    """Send until something arrives: on a slow machine, heartbeats may have ended a connection."""
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def again_and_again() -> None:
            while True:
                await send()
                await trio.sleep(0.1)

        await receive()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("binder", ["ours binds", "theirs binds"])
async def test_ours_notices_that_theirs_is_stopped(binder: str, mock_clock: MockClock) -> None:
    async with (
        ours("DEALER", heartbeat_ivl=1, heartbeat_timeout=3) as mine,
        mine.monitor() as told,
        child("theirs", "DEALER", reconnect_ivl=20) as theirs,
    ):
        if binder == "ours binds":
            await theirs.call("connect", await mine.bind(TCP))
        else:
            await mine.connect(await theirs.call("bind", TCP))
        await mine.send(b"hello")
        assert await theirs.call("recv") == [b"hello"]
        theirs.stop()
        stopped_at = trio.current_time()
        try:
            mock_clock.jump(1)
            await wait_all_tasks_blocked(0.01)
            mock_clock.jump(3)
            ended = await until(told, events.Disconnected)
            assert ended.reason is hs.Reason.HEARTBEAT_TIMEOUT
            assert ended.time - stopped_at == pytest.approx(4)  # one interval and the timeout
        finally:
            theirs.go_on()
        await wait_all_tasks_blocked()
        mock_clock.jump(1)  # who connects does so again
        await until(told, events.HandshakeSucceeded)
        await mine.send(b"again")
        assert await theirs.call("recv") == [b"again"]


@pytest.mark.parametrize("binder", ["ours binds", "theirs binds"])
async def test_theirs_notices_that_ours_is_stopped(binder: str) -> None:
    async with (
        Theirs("DEALER", heartbeat_ivl=100, heartbeat_timeout=300, reconnect_ivl=20) as theirs,
        child("ours", "DEALER", reconnect_ivl=0.02) as mine,
    ):
        theirs.watch(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        if binder == "ours binds":
            theirs.connect(str(await mine.call("bind", TCP)))
        else:
            await mine.call("connect", theirs.bind(TCP))
        await theirs.wait_event(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        await comes_through(lambda: theirs.send(b"hello"), lambda: mine.call("recv"))
        mine.stop()
        try:
            await theirs.wait_event(zmq.EVENT_DISCONNECTED)
        finally:
            mine.go_on()
        await theirs.wait_event(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        await comes_through(lambda: mine.call("send", [b"again"]), theirs.recv)


async def test_ours_heeds_the_time_to_live_that_theirs_told(mock_clock: MockClock) -> None:
    mock_clock.rate = 1
    # Long times, of which none runs out by itself.
    options = {"heartbeat_ivl": 50, "heartbeat_timeout": 30_000, "heartbeat_ttl": 10_000}
    async with (
        ours("DEALER") as mine,
        mine.monitor() as told,
        child("theirs", "DEALER", **options) as theirs,
    ):
        await theirs.call("connect", await mine.bind(TCP))
        await mine.wait_connected()
        await eventually(lambda: len(mine._host.poller.timers) > 0)  # a PING has come
        theirs.stop()
        try:
            mock_clock.jump(10)
            ended = await until(told, events.Disconnected)
        finally:
            theirs.go_on()
        assert ended.reason is hs.Reason.HEARTBEAT_TIMEOUT
        assert "time to live" in ended.detail


async def test_theirs_heeds_the_time_to_live_that_ours_told() -> None:
    async with (
        Theirs("DEALER") as theirs,
        child("ours", "DEALER", heartbeat_ivl=0.1, heartbeat_ttl=0.5, heartbeat_timeout=30) as mine,
    ):
        theirs.watch(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        await mine.call("connect", theirs.bind(TCP))
        await theirs.wait_event(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        await mine.call("rest", 0.5)  # a few PINGs, whatever stands still meanwhile
        mine.stop()
        try:
            await theirs.wait_event(zmq.EVENT_DISCONNECTED)
        finally:
            mine.go_on()


async def test_silence_with_heartbeats_both_ways_ends_nothing() -> None:
    async with (
        ours(
            "DEALER",
            heartbeat_ivl=0.05,
            heartbeat_timeout=2.5,
            heartbeat_ttl=2.5,
            reconnect_ivl=0.02,
        ) as mine,
        Theirs("DEALER", heartbeat_ivl=50, heartbeat_timeout=2500, heartbeat_ttl=2500) as theirs,
    ):
        theirs.watch(zmq.EVENT_DISCONNECTED)
        await join(mine, theirs, "ours binds", TCP)
        await trio.sleep(3)
        stats = mine.stats()
        assert (stats.connects, stats.disconnects) == (1, 0)
        assert theirs.events() == []
        await theirs.send(b"still here")
        assert await mine.recv() == b"still here"


@pytest.mark.parametrize("pinger", ["ours", "theirs"])
async def test_heartbeats_of_one_side_alone(pinger: str) -> None:
    mine_options = {"heartbeat_ivl": 0.05, "heartbeat_timeout": 2.5} if pinger == "ours" else {}
    their_options = {"heartbeat_ivl": 50, "heartbeat_timeout": 2500} if pinger == "theirs" else {}
    async with ours("PULL", **mine_options) as mine, Theirs("PUSH", **their_options) as theirs:
        await join(mine, theirs, "ours binds", TCP)
        await trio.sleep(3)
        assert mine.stats().disconnects == 0
        await theirs.send(b"still here")
        assert await mine.recv() == b"still here"


async def test_heartbeats_beside_a_long_message() -> None:
    """A PING may come between the parts of a message."""
    async with (
        ours("DEALER", heartbeat_ivl=0.01, heartbeat_timeout=30) as mine,
        Theirs("DEALER", heartbeat_ivl=10, heartbeat_timeout=30_000) as theirs,
    ):
        await join(mine, theirs, "ours binds", TCP)
        frames = [bytes(1_000_000)] * 20
        for _ in range(5):
            await mine.send_multipart(frames)
            await theirs.send_multipart(frames)
            assert await mine.recv_multipart() == frames
            assert await theirs.recv_multipart() == frames
        await eventually(lambda: mine.stats().queued_out == 0)
        assert mine.stats().disconnects == 0
