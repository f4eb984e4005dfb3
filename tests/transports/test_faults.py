"""Faults of the system and of peers, lingering and monitors, in virtual time."""

from __future__ import annotations

import errno
import random
import subprocess
import sys
import textwrap
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

import hypersocket as hs
from hypersocket import DropReason
from hypersocket import events as ev
from hypersocket.testing import MemoryTransport

from .virtual import event

# Accepting


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_accept_backs_off_and_recovers(
    autojump_clock: MockClock,
    memory: MemoryTransport,
    number: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with hs.Pull(bind="memory://x") as pull, pull.monitor() as events:
        memory.fail_accepts(*(OSError(number, "no more") for _ in range(8)))
        async with hs.Push(connect="memory://x") as push:
            failures = [await event(events, ev.AcceptFailed) for _ in range(8)]
            pauses = [failure.retry_in for failure in failures]
            assert pauses == sorted(pauses)
            assert pauses[0] < pauses[-1] <= 1.0
            for now, then in pairwise(failures):
                assert then.time == pytest.approx(now.time + now.retry_in)
            assert "no more" in failures[0].error
            await push.send(b"through")
            assert await pull.recv() == b"through"
        memory.fail_accepts(OSError(number, "again"))
        async with hs.Push(connect="memory://x"):
            assert (await event(events, ev.AcceptFailed)).retry_in == pauses[0]
    assert "cannot accept" in caplog.text


def test_real_emfile_over_tcp() -> None:
    """A process that has no descriptor left accepts again when it has one."""
    program = """
        import os, resource, socket
        import trio
        import hypersocket as hs

        async def main():
            async with hs.Pull(bind="tcp://127.0.0.1:*") as pull, pull.monitor() as events:
                port = int(pull.endpoints[0].rpartition(":")[2])
                peer = socket.socket()
                peer.setblocking(False)
                resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
                taken = []
                try:
                    while True:
                        taken.append(os.dup(0))
                except OSError:
                    pass
                peer.connect_ex(("127.0.0.1", port))
                failed = 0
                async for event in events:
                    if isinstance(event, hs.events.AcceptFailed):
                        failed += 1
                        assert "open files" in event.error, event
                    if failed == 3:
                        for one in taken:
                            os.close(one)
                        failed += 1
                    if isinstance(event, hs.events.Accepted):
                        break
                async with hs.Push(connect=pull.endpoints) as push:
                    await push.send(b"recovered")
                    print((await pull.recv()).decode())
                peer.close()

        trio.run(main)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "recovered\n", done.stderr
    assert done.returncode == 0


# Closing


async def test_linger_drops_counts_and_logs(
    autojump_clock: MockClock, memory: MemoryTransport, caplog: pytest.LogCaptureFixture
) -> None:
    start = trio.current_time()
    async with hs.Push(connect="memory://nobody", linger=7.0) as push:
        for _ in range(3):
            await push.send(b"x")
    assert trio.current_time() == pytest.approx(start + 7.0)
    assert push.stats().drops == {DropReason.LINGER: 3}
    assert "linger expired" in caplog.text


async def test_linger_is_told_to_the_monitor(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    push = hs.Push(connect="memory://nobody", linger=7.0)
    async with push.monitor() as events:
        async with push:
            for _ in range(3):
                await push.send(b"x")
        dropped = await event(events, ev.MessagesDropped)
        assert (dropped.reason, dropped.count) == (DropReason.LINGER, 3)
        assert dropped.time == pytest.approx(7.0)


async def test_linger_waits_for_a_listener_that_comes(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with trio.open_nursery() as nursery:

        async def send_and_leave() -> None:
            async with hs.Push(connect="memory://x", linger=100.0, reconnect_ivl=1.0) as push:
                await push.send(b"patient")
            assert trio.current_time() < 70.0
            assert push.stats().dropped == 0

        nursery.start_soon(send_and_leave)
        await trio.sleep(50.0)
        async with hs.Pull(bind="memory://x") as pull:
            assert await pull.recv() == b"patient"


async def test_linger_with_a_stalled_peer(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with hs.Pull(bind="memory://x"):
        start = 0.0
        async with hs.Push(connect="memory://x", linger=6.0) as push:
            await push.wait_connected()
            memory.stall()
            for _ in range(10):
                await push.send(bytes(100_000))
            start = trio.current_time()
        assert trio.current_time() == pytest.approx(start + 6.0)
        stats = push.stats()
        assert stats.messages_out + stats.dropped == 10
        assert stats.dropped > 0


async def test_disconnect_lingers_too(autojump_clock: MockClock, memory: MemoryTransport) -> None:
    async with hs.Push(connect="memory://nobody", linger=4.0) as push:
        await push.send(b"x")
        await push.disconnect("memory://nobody")
        assert trio.current_time() == pytest.approx(4.0, abs=0.1)
        assert push.stats().drops == {DropReason.LINGER: 1}


async def test_monitor_that_is_not_read_says_what_it_missed(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    async with (
        hs.Push(connect="memory://x", reconnect_ivl=1.0) as push,
        push.monitor(max_events=3) as events,
    ):
        await trio.sleep(100.0)
        assert len(memory.dials) > 10
        missed = await event(events, ev.EventsMissed)
        kept = [await event(events, ev.ConnectRetried) for _ in range(3)]
        assert missed.count + 3 == len(memory.dials)
        assert [one.time for one in kept] == sorted(one.time for one in kept)


# The transport of these tests itself


async def test_seeded_chaos_loses_nothing_between_connections(
    autojump_clock: MockClock, memory: MemoryTransport
) -> None:
    """A network that breaks again and again: what arrives is in order, and nothing twice."""
    dice = random.Random(4)
    async with (
        hs.Pull(bind="memory://x") as pull,
        hs.Push(connect="memory://x", reconnect_ivl=0.1, linger=1000) as push,
    ):
        got: list[int] = []
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                async for message in pull:
                    got.append(int(message))  # noqa: PERF401  # read while it grows

            nursery.start_soon(receive)
            for number in range(2000):
                await push.send(b"%d" % number)
                if number % 10 == 0:
                    await trio.sleep(dice.random() * 0.1)
                if number % 100 == 99:
                    memory.cut()
            await trio.sleep(100)
            nursery.cancel_scope.cancel()
        assert got == sorted(set(got))
        assert len(got) + push.stats().dropped >= 2000 - 20 * 64
        assert push.stats().messages_out + push.stats().dropped == 2000
        assert push.stats().connects > 10
