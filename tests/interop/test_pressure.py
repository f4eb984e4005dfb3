"""Peers that do not read, and many messages: what was accepted arrives, in order."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import zmq

import hypersocket as hs

from .peers import KIB, Binder, Theirs, eventually, join, ours, wildcard

TCP = "tcp://127.0.0.1:*"
BODY = bytes(64 * KIB)
ENOUGH = 2000  # of such messages: more than the buffers of any system hold
VOLUME = 50_000


def numbered(number: int) -> bytes:
    return b"%08d" % number + BODY


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize("binder", ["ours binds", "theirs binds"])
async def test_theirs_does_not_read(binder: Binder, transport: str, tmp_path: Path) -> None:
    async with ours("PUSH", sndhwm=10) as mine, Theirs("PULL", rcvhwm=10) as theirs:
        await join(mine, theirs, binder, wildcard(transport, tmp_path))
        sent = 0
        full = False
        while not full:
            with trio.move_on_after(0.3) as scope:
                await mine.send(numbered(sent))
                sent += 1
            # libzmq may have been slow to read: there may be room yet.
            full = scope.cancelled_caught and mine.stats().queued_out == 10
            assert sent < ENOUGH
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send_more(first: int = sent) -> None:
                for number in range(first, first + 100):
                    await mine.send(numbered(number))

            for number in range(sent + 100):
                assert await theirs.recv() == numbered(number)
        assert mine.stats().dropped == 0


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize("binder", ["ours binds", "theirs binds"])
async def test_ours_does_not_read(binder: Binder, transport: str, tmp_path: Path) -> None:
    async with ours("PULL", rcvhwm=10) as mine, Theirs("PUSH", sndhwm=10) as theirs:
        await join(mine, theirs, binder, wildcard(transport, tmp_path))
        theirs.socket.sndtimeo = 300
        sent = 0
        full = False
        while not full:
            try:
                await theirs.send(numbered(sent))
                sent += 1
            except zmq.Again:
                # We may have been slow to read: there may be room yet.
                full = mine.stats().queued_in == 10
            assert sent < ENOUGH
        theirs.socket.sndtimeo = -1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                theirs.send_many, [numbered(number) for number in range(sent, sent + 100)]
            )
            for number in range(sent + 100):
                assert await mine.recv() == numbered(number)


async def test_their_slow_subscriber_loses_what_is_counted_and_nothing_else() -> None:
    async with (
        ours("PUB", sndhwm=10) as mine,
        Theirs("SUB", subscribe=b"", rcvhwm=10) as theirs,
    ):
        await join(mine, theirs, "ours binds", TCP)
        await mine.wait_subscribed(b"")
        for number in range(ENOUGH):
            await mine.send(numbered(number))
        dropped = mine.stats().drops[hs.DropReason.HIGH_WATER_MARK]
        assert 0 < dropped < ENOUGH
        received = [int((await theirs.recv())[:8]) for _ in range(ENOUGH - dropped)]
        assert received == sorted(set(received))
        assert received[:10] == list(range(10))
        await mine.send(b"and on")
        assert await theirs.recv() == b"and on"
        assert mine.stats().dropped == dropped


async def test_our_publisher_that_drops_nothing() -> None:
    async with (
        ours("PUB", sndhwm=10, xpub_nodrop=True) as mine,
        Theirs("SUB", subscribe=b"", rcvhwm=10) as theirs,
    ):
        await join(mine, theirs, "ours binds", TCP)
        await mine.wait_subscribed(b"")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def publish() -> None:
                for number in range(500):
                    await mine.send(numbered(number))

            await eventually(lambda: mine.stats().queued_out == 10)
            for number in range(500):
                assert await theirs.recv() == numbered(number)
        assert mine.stats().dropped == 0


@pytest.mark.parametrize("types", [("PUSH", "PULL"), ("DEALER", "DEALER"), ("PAIR", "PAIR")])
async def test_many_messages_of_ours(types: tuple[str, str]) -> None:
    async with ours(types[0]) as mine, Theirs(types[1]) as theirs:
        await join(mine, theirs, "ours binds", TCP)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send() -> None:
                for first in range(0, VOLUME, 100):
                    await mine.send_many([b"%d" % (first + i) for i in range(99)])
                    await mine.send(b"%d" % (first + 99))

            received = await theirs.recv_exactly(VOLUME)
        assert received == [b"%d" % number for number in range(VOLUME)]


@pytest.mark.parametrize("types", [("PULL", "PUSH"), ("DEALER", "DEALER"), ("PAIR", "PAIR")])
async def test_many_messages_of_theirs(types: tuple[str, str]) -> None:
    async with ours(types[0]) as mine, Theirs(types[1]) as theirs:
        await join(mine, theirs, "ours binds", TCP)
        received: list[bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(theirs.send_many, [b"%d" % number for number in range(VOLUME)])
            while len(received) < VOLUME:
                received += await mine.recv_many()
        assert received == [b"%d" % number for number in range(VOLUME)]


async def test_many_messages_both_ways_at_once() -> None:
    messages = [b"%d" % number for number in range(VOLUME)]
    received: list[bytes] = []
    async with ours("DEALER") as mine, Theirs("DEALER") as theirs:
        await join(mine, theirs, "theirs binds", TCP)

        def talk() -> list[bytes]:
            found = []
            for message in messages:
                theirs.socket.send(message)
                found.append(theirs.socket.recv())
            return found

        async def send() -> None:
            for first in range(0, VOLUME, 500):
                await mine.send_many(messages[first : first + 500])

        async def receive() -> None:
            while len(received) < VOLUME:
                received.extend(await mine.recv_many())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(receive)
            assert await trio.to_thread.run_sync(talk) == messages
    assert received == messages
