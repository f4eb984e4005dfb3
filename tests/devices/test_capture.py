"""Copies for whoever looks on."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.testing

import hypersocket as hs

from .worlds import TCP, Theirs, running

PAIRS: list[tuple[type[Any], type[Any]]] = [
    (hs.Pub, hs.Sub),
    (hs.Dealer, hs.Dealer),
    (hs.Push, hs.Pull),
    (hs.Pair, hs.Pair),
]


@pytest.mark.parametrize(("kind", "other"), PAIRS, ids=lambda one: one.__name__)
async def test_every_message_is_copied(kind: type[Any], other: type[Any]) -> None:
    more = {"subscribe": ""} if other is hs.Sub else {}
    async with kind(bind="inproc://capture") as capture, other(**more) as watcher:
        await watcher.connect("inproc://capture")
        if kind is hs.Pub:
            await capture.wait_subscribed("")
        front, back = hs.Router(bind="inproc://front"), hs.Dealer(bind="inproc://back")
        async with (
            running("queue", front, back, capture=capture) as device,
            hs.Req(connect="inproc://front", routing_id=b"me") as client,
            hs.Rep(connect="inproc://back") as worker,
        ):
            await client.send(b"?")
            await worker.recv()
            await worker.send(b"!")
            assert await client.recv() == b"!"
            assert await watcher.recv_multipart() == [b"me", b"", b"?"]
            assert await watcher.recv_multipart() == [b"me", b"", b"!"]
            assert (device.stats().captured, device.stats().capture_missed) == (2, 0)


@pytest.mark.interop
async def test_batches_are_copied_to_their_pull() -> None:
    async with hs.Push(bind=TCP) as capture, Theirs("PULL") as watcher:
        watcher.connect(capture.endpoints[0])
        await capture.wait_connected()
        front, back = hs.Pull(bind=TCP), hs.Push(bind=TCP)
        async with (
            running("streamer", front, back, capture=capture),
            hs.Push(connect=front.endpoints) as source,
            hs.Pull(connect=back.endpoints) as sink,
        ):
            numbers = [b"%d" % number for number in range(500)]
            await source.send_many(numbers)
            got: list[bytes] = []
            while len(got) < 500:
                got += await sink.recv_many()
            assert got == numbers
            assert await watcher.recv_exactly(500) == numbers


async def test_a_capture_that_is_full_or_gone_stalls_nothing_and_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with hs.Push(bind="inproc://capture", sndhwm=3) as capture, hs.Pull(rcvhwm=3) as watcher:
        await watcher.connect("inproc://capture")
        front, back = hs.Pull(bind="inproc://front"), hs.Push(bind="inproc://back")
        async with (
            running("streamer", front, back, capture=capture) as device,
            hs.Push(connect="inproc://front") as source,
            hs.Pull(connect="inproc://back") as sink,
        ):
            for number in range(50):
                await source.send(b"%d" % number)
                assert await sink.recv() == b"%d" % number
            stats = device.stats()
            assert stats.captured + stats.capture_missed == 50
            assert 3 <= stats.captured <= 6
            kept = stats.captured
            assert [await watcher.recv() for _ in range(kept)] == [b"%d" % n for n in range(kept)]
            await capture.aclose()
            await source.send(b"more")
            assert await sink.recv() == b"more"
            assert device.stats().capture_missed == 51 - kept
    warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert [one for one in warnings if "capture socket has no room" in one.message] == warnings
    assert len(warnings) == 1


async def test_nobody_at_the_capture() -> None:
    async with hs.Pair(bind="inproc://capture") as capture:
        front, back = hs.Pull(bind="inproc://front"), hs.Push(bind="inproc://back")
        async with (
            running("streamer", front, back, capture=capture) as device,
            hs.Push(connect="inproc://front") as source,
            hs.Pull(connect="inproc://back") as sink,
        ):
            await source.send(b"x")
            assert await sink.recv() == b"x"
            await trio.testing.wait_all_tasks_blocked()
            assert device.stats().capture_missed == 1
