"""Timers of connections, in virtual time: hours pass in no time, and exactly."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import hypersocket as hs
from hypersocket import Reason
from hypersocket import events as ev
from hypersocket.testing import MemoryTransport
from hypersocket.zmtp import Connection

from .virtual import DAY, RawPeer, event

# Reconnection


async def test_pauses_double_within_their_jitter_and_begin_anew(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    options: dict[str, Any] = {"reconnect_ivl": 1.0, "reconnect_ivl_max": 16.0}
    async with hs.Push(connect="memory://x", **options) as push, push.monitor() as events:
        for turn in range(2):
            retries = [await event(events, ev.ConnectRetried) for _ in range(8)]
            for retry, full in zip(retries, [1, 2, 4, 8, 16, 16, 16, 16], strict=True):
                assert full / 2 <= retry.retry_in <= full, (turn, retry)
            first = Reason.CLOSED_BY_PEER if turn else Reason.CONNECTION_REFUSED
            assert [retry.reason for retry in retries] == [first] + 7 * [Reason.CONNECTION_REFUSED]
            for now, then in pairwise(retries):
                assert then.time == pytest.approx(now.time + now.retry_in)
            async with hs.Pull(bind="memory://x"):
                await push.wait_connected()
                await trio.sleep(100)
            # The first pause after a success is the first again; so is the list above.


async def test_jitter_is_different_for_each(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with (
        hs.Push(
            connect=[f"memory://{n}" for n in range(20)], reconnect_ivl=1.0, reconnect_ivl_max=1.0
        ) as push,
        push.monitor() as events,
    ):
        pauses = {(await event(events, ev.ConnectRetried)).retry_in for _ in range(20)}
        assert len(pauses) == 20
        assert 0.5 <= min(pauses) < 0.75 < max(pauses) <= 1.0


async def test_no_growth_where_the_maximum_is_not_above(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with (
        hs.Push(connect="memory://x", reconnect_ivl=2.0, reconnect_ivl_max=0.0) as push,
        push.monitor() as events,
    ):
        for _ in range(6):
            assert 1.0 <= (await event(events, ev.ConnectRetried)).retry_in <= 2.0


async def test_a_peer_that_accepts_and_hangs_up_is_not_called_in_a_rush(
    autojump_clock: MockClock,
    memory: MemoryTransport,
) -> None:
    async with (
        hs.Push(reconnect_ivl=1.0, reconnect_ivl_max=8.0, linger=0) as push,
        hs.Pub(bind="memory://x"),  # which wants no PUSH
        push.monitor() as events,
    ):
        await push.connect("memory://x")
        pauses = [(await event(events, ev.ConnectRetried)).retry_in for _ in range(5)]
    for pause, full in zip(pauses, [1, 2, 4, 8, 8], strict=True):
        assert full / 2 <= pause <= full


async def test_infinite_interval_never_reconnects(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with (
        hs.Pull(bind="memory://x"),
        hs.Push(connect="memory://x", reconnect_ivl=math.inf) as push,
    ):
        await push.wait_connected()
        async with push.monitor() as events:
            memory.cut()
            await event(events, ev.Disconnected)
            await trio.sleep(DAY)
            assert len(memory.dials) == 1
            assert push.stats().peers == ()


async def test_zero_interval_lets_others_run(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with hs.Push(connect="memory://x", reconnect_ivl=0.0, linger=0):
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        assert len(memory.dials) > 2


async def test_connect_timeout(autojump_clock: MockClock, memory: MemoryTransport) -> None:
    memory.unreachable = True
    async with (
        hs.Push(connect="memory://x", connect_timeout=7.0, reconnect_ivl=1.0) as push,
        push.monitor() as events,
    ):
        retry = await event(events, ev.ConnectRetried)
        assert retry.time == pytest.approx(memory.dials[0] + 7.0)
        assert retry.reason is Reason.CONNECT_TIMEOUT
        memory.unreachable = False
        async with hs.Pull(bind="memory://x"):
            await push.wait_connected()


async def test_without_connect_timeout_an_attempt_may_last(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    memory.unreachable = True
    async with hs.Push(connect="memory://x"):
        await trio.sleep(DAY)
        assert len(memory.dials) == 1


async def test_messages_wait_for_a_slow_network(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    memory.delay(50.0)
    start = trio.current_time()
    async with (
        hs.Pull(bind="memory://x", handshake_ivl=0) as pull,
        hs.Push(connect="memory://x", handshake_ivl=0) as push,
    ):
        await push.send(b"slow")
        assert await pull.recv() == b"slow"
        took = trio.current_time() - start
        assert took % 50.0 == 0
        assert 150.0 <= took <= 250.0  # dial, greetings, READY, message


# Handshakes


async def test_handshake_deadline_of_the_listener(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with hs.Pull(bind="memory://x", handshake_ivl=30.0) as pull, pull.monitor() as events:
        stream = await memory.open_stream("x")
        failed = await event(events, ev.HandshakeFailed)
        assert failed.reason is Reason.HANDSHAKE_TIMEOUT
        assert trio.current_time() == pytest.approx(30.0)
        assert pull.stats().handshake_failures == 1
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"late")


async def test_trickling_bytes_do_not_move_the_deadline(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with hs.Pull(bind="memory://x", handshake_ivl=10.0) as pull, pull.monitor() as events:
        stream = await memory.open_stream("x")
        greeting = Connection("PUSH", as_server=False, now=0.0).data_to_send()
        for octet in greeting[:10]:
            await stream.send_all(bytes([octet]))
            await trio.sleep(1.0)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(greeting[10:])
        assert trio.current_time() == pytest.approx(10.0, abs=1.0)
        assert (await event(events, ev.HandshakeFailed)).reason is Reason.HANDSHAKE_TIMEOUT


async def test_handshake_deadline_of_the_dialler(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with (
        hs.Pull(bind="memory://x", handshake_ivl=0),
        hs.Push(handshake_ivl=5.0, reconnect_ivl=1.0) as push,
        push.monitor() as events,
    ):
        memory._delay = 1000.0  # of the bytes; dialling itself takes as long
        await push.connect("memory://x")
        connected = await event(events, ev.Connected)
        failed = await event(events, ev.HandshakeFailed)
        assert failed.reason is Reason.HANDSHAKE_TIMEOUT
        assert failed.time == pytest.approx(connected.time + 5.0)
        assert (await event(events, ev.ConnectRetried)).reason is Reason.HANDSHAKE_TIMEOUT


async def test_no_handshake_deadline(autojump_clock: MockClock, memory: MemoryTransport) -> None:
    async with hs.Pull(bind="memory://x", handshake_ivl=0) as pull:
        peer = RawPeer(await memory.open_stream("x"))
        await trio.sleep(DAY)
        await peer.shake_hands()
        await pull.wait_connected()


async def test_too_many_handshakes_cost_the_silent_and_let_the_honest_in(
    autojump_clock: MockClock,
    memory: MemoryTransport,
) -> None:
    async with hs.Pull(bind="memory://x", max_handshakes=3) as pull, pull.monitor() as events:
        silent = [await memory.open_stream("x") for _ in range(3)]
        await trio.sleep(2.0)
        async with hs.Push(connect="memory://x") as push:
            await push.send(b"honest")
            with trio.fail_after(1.5):
                assert await pull.recv() == b"honest"
            failed = await event(events, ev.HandshakeFailed)
            assert failed.reason is Reason.TOO_MANY_HANDSHAKES
            assert failed.address == "dialler 1"
            with pytest.raises(trio.BrokenResourceError):
                await silent[0].send_all(b"x")
            await silent[1].send_all(b"\xff")  # the others still have their time


async def test_a_flood_of_silent_peers_stops_nobody(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with hs.Pull(bind="memory://x", max_handshakes=5) as pull:
        flood = [await memory.open_stream("x") for _ in range(50)]
        async with hs.Push(connect="memory://x") as push:
            await push.send(b"honest")
            with trio.fail_after(29.0):  # before the handshakes time out by themselves
                assert await pull.recv() == b"honest"
        assert len(flood) == 50


async def test_honest_peers_have_patience_even_when_there_are_too_many(
    autojump_clock: MockClock,
    memory: MemoryTransport,
) -> None:
    """max_handshakes=1 slows a burst down; it does not turn anybody away."""
    memory.delay(0.05)
    async with hs.Pull(bind="memory://x", max_handshakes=1) as pull, trio.open_nursery() as nursery:

        async def speak(number: int) -> None:
            async with hs.Push(connect="memory://x", linger=1000) as push:
                await push.send(b"%d" % number)

        for number in range(20):
            nursery.start_soon(speak, number)
        with trio.fail_after(100):
            got = {await pull.recv() for _ in range(20)}
        assert len(got) == 20
        assert pull.stats().handshake_failures == 0


# Heartbeats


async def test_pings_come_at_their_interval_and_are_answered(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with (
        hs.Pull(bind="memory://x", heartbeat_ivl=10.0) as pull,
        hs.Push(connect="memory://x") as push,
    ):
        await push.wait_connected()
        await trio.sleep(1000.0)
        assert pull.stats().disconnects == 0
        assert push.stats().connects == 1


async def test_ping_carries_the_ttl(autojump_clock: MockClock, memory: MemoryTransport) -> None:
    async with hs.Pull(bind="memory://x", heartbeat_ivl=10.0, heartbeat_ttl=25.0):
        peer = RawPeer(await memory.open_stream("x"))
        await peer.shake_hands()
        start = trio.current_time()
        data = await peer.stream.receive_some()
        assert trio.current_time() == pytest.approx(start + 10.0)
        assert data == b"\x04\x07\x04PING" + (250).to_bytes(2, "big")


async def test_silence_after_a_ping_ends_the_connection(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    options: dict[str, Any] = {"heartbeat_ivl": 10.0, "heartbeat_timeout": 3.0}
    async with (
        hs.Pull(bind="memory://x", **options) as pull,
        pull.monitor() as events,
        hs.Push(connect="memory://x", reconnect_ivl=1.0) as push,
    ):
        shook = await event(events, ev.HandshakeSucceeded)
        memory.stall()
        ended = await event(events, ev.Disconnected)
        assert ended.reason is Reason.HEARTBEAT_TIMEOUT
        assert ended.time == pytest.approx(shook.time + 13.0)
        memory.resume()
        await push.wait_connected()
        await event(events, ev.HandshakeSucceeded)


async def test_the_timeout_is_the_interval_by_default(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with hs.Pull(bind="memory://x", heartbeat_ivl=10.0) as pull, pull.monitor() as events:
        peer = RawPeer(await memory.open_stream("x"))
        await peer.shake_hands()
        shook = await event(events, ev.HandshakeSucceeded)
        ended = await event(events, ev.Disconnected)
        assert ended.time == pytest.approx(shook.time + 20.0)


async def test_the_ttl_of_the_peer(autojump_clock: MockClock, memory: MemoryTransport) -> None:
    """A peer that tells a TTL with its PING and falls silent is given up after it."""
    async with (
        hs.Pull(bind="memory://x", heartbeat_ivl=4.0, heartbeat_ttl=9.0),
        hs.Push(connect="memory://x", reconnect_ivl=1.0) as push,
        push.monitor() as events,
    ):
        await push.wait_connected()
        await trio.sleep(4.5)  # one PING has come
        memory.stall("dialler")
        ended = await event(events, ev.Disconnected)
        assert ended.reason is Reason.HEARTBEAT_TIMEOUT
        assert ended.time == pytest.approx(13.0, abs=0.1)


async def test_no_timeout_while_the_user_does_not_receive(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with (
        hs.Pull(bind="memory://x", heartbeat_ivl=10.0, rcvhwm=1) as pull,
        hs.Push(connect="memory://x") as push,
    ):
        for number in range(3):
            await push.send(b"%d" % number)
        await trio.sleep(10_000.0)
        assert pull.stats().disconnects == 0
        for number in range(3):
            assert await pull.recv() == b"%d" % number
        memory.stall()
        await trio.sleep(25.0)
        assert pull.stats().disconnects == 1


async def test_a_large_message_that_trickles_is_life(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with hs.Pull(bind="memory://x", heartbeat_ivl=1.0) as pull:
        peer = RawPeer(await memory.open_stream("x"))
        await peer.shake_hands()
        out: list[bytes] = []
        peer.conn.encode([bytes(200)], out)
        for octet in b"".join(out):
            await peer.stream.send_all(bytes([octet]))
            await trio.sleep(0.5)
        assert await pull.recv() == bytes(200)
