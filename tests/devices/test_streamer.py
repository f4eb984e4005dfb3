"""PULL to PUSH: batches, order, back-pressure, and what cancelling leaves."""

# ruff: noqa: SIM117 - the device outside, and inside of it who talks to it

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket import devices
from tests.sockets.worlds import fill

from .worlds import TCP, Theirs, eventually, running

pytestmark = pytest.mark.interop

COUNT = 5000


async def receive_all(pull: hs.Pull, count: int) -> list[bytes]:
    got: list[bytes] = []
    while len(got) < count:
        got += await pull.recv_many(count - len(got))
    return got


@pytest.mark.parametrize("sources", ["ours", "theirs"])
@pytest.mark.parametrize("sinks", ["ours", "theirs"])
async def test_everything_arrives_in_order(sources: str, sinks: str) -> None:
    front, back = hs.Pull(bind=TCP), hs.Push(bind=TCP)
    numbers = [b"%d" % number for number in range(COUNT)]
    async with running("streamer", front, back) as device, trio.open_nursery() as nursery:
        mine_out, theirs_out = hs.Push(), Theirs("PUSH")
        mine_in, theirs_in = hs.Pull(), Theirs("PULL")
        async with mine_out, theirs_out, mine_in, theirs_in:
            if sources == "ours":
                await mine_out.connect(front.endpoints[0])
                nursery.start_soon(mine_out.send_many, numbers)
            else:
                theirs_out.connect(front.endpoints[0])
                nursery.start_soon(theirs_out.send_many, numbers)
            if sinks == "ours":
                await mine_in.connect(back.endpoints[0])
                assert await receive_all(mine_in, COUNT) == numbers
            else:
                theirs_in.connect(back.endpoints[0])
                assert await theirs_in.recv_exactly(COUNT) == numbers
            stats = device.stats()
            size = sum(map(len, numbers))
            assert (stats.frontend.messages_in, stats.frontend.bytes_in) == (COUNT, size)
            assert (stats.backend.messages_out, stats.backend.bytes_out) == (COUNT, size)
            assert (stats.held, stats.undelivered) == (0, 0)


async def test_single_and_multipart_messages_keep_their_order() -> None:
    """Batches give way to whole messages and come back, and nothing changes places."""
    front, back = hs.Pull(bind="inproc://front"), hs.Push(bind="inproc://back")
    messages = [
        [b"%d" % number, b"", b"body"] if number % 97 < 3 else [b"%d" % number]
        for number in range(2000)
    ]
    async with (
        running("streamer", front, back),
        hs.Push(connect="inproc://front") as source,
        hs.Pull(connect="inproc://back") as sink,
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def send() -> None:
            for message in messages:
                await source.send_multipart(message)

        for message in messages:
            assert await sink.recv_multipart() == message


async def test_each_source_keeps_its_order() -> None:
    front, back = hs.Pull(bind=TCP), hs.Push(bind=TCP)
    async with (
        running("streamer", front, back),
        hs.Pull(connect=back.endpoints) as sink,
        trio.open_nursery() as nursery,
    ):

        async def send(name: bytes) -> None:
            async with hs.Push(connect=front.endpoints) as source:
                for number in range(500):
                    await source.send(b"%s %d" % (name, number))

        for name in (b"a", b"b", b"c"):
            nursery.start_soon(send, name)
        got = await receive_all(sink, 1500)
        for name in (b"a", b"b", b"c"):
            assert [one for one in got if one.startswith(name)] == [
                b"%s %d" % (name, number) for number in range(500)
            ]


async def test_a_full_sink_holds_back_the_source() -> None:
    """What waits is bounded by the high-water marks, and a batch that the device holds."""
    marks: dict[str, Any] = {"sndhwm": 20}
    front = hs.Pull(bind="inproc://front", rcvhwm=20)
    back = hs.Push(bind="inproc://back", **marks)
    async with running("streamer", front, back) as device:
        async with (
            hs.Push(connect="inproc://front", **marks) as source,
            hs.Pull(rcvhwm=20) as sink,
        ):
            await source.wait_connected()
            accepted = 0
            while True:
                accepted += fill(source.send_nowait, data=b"%%d of %d" % accepted)
                await trio.testing.wait_all_tasks_blocked()
                try:
                    source.send_nowait(b"last")
                except trio.WouldBlock:
                    break
                accepted += 1
            stats = device.stats()
            assert stats.held <= 10  # half the sink's mark
            assert accepted <= 20 + 20 + stats.held  # inproc: source and front share one queue
            assert stats.backend.messages_out == 0
            await sink.connect("inproc://back")
            await receive_all(sink, accepted)
            await eventually(lambda: device.stats().held == 0)


async def test_one_worker_that_has_stopped_does_not_stall_the_others() -> None:
    front, back = hs.Pull(bind=TCP), hs.Push(bind=TCP, sndhwm=4)
    async with (
        running("streamer", front, back) as device,
        hs.Push(connect=front.endpoints) as source,
        hs.Pull(connect=back.endpoints, rcvhwm=4) as idle,
        hs.Pull(connect=back.endpoints) as busy,
        trio.open_nursery() as nursery,
    ):
        await back.wait_connected(2)
        total = 400
        big = bytes(100_000)

        @nursery.start_soon
        async def send() -> None:
            for _ in range(total):
                await source.send(big)

        got = 0
        while got < total * 3 // 4:
            await busy.recv()
            got += 1
        nursery.cancel_scope.cancel()
        assert idle.stats().queued_in <= 4
        assert device.stats().held <= 2


async def test_cancelled_with_no_room_it_says_what_it_could_not_hand_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        hs.Pull(bind="inproc://front") as front,
        hs.Push(bind="inproc://back") as back,
        hs.Push(connect="inproc://front") as source,
    ):
        async with trio.open_nursery() as nursery:
            device = await nursery.start(devices.streamer, front, back)
            await source.send(b"1")
            await trio.testing.wait_all_tasks_blocked()
            assert device.stats().held == 1
            await source.send_many([b"2", b"3"])  # these the device does not take
            nursery.cancel_scope.cancel()
        assert device.state == "stopped"
        assert device.stats().held == 0
        assert device.result is not None
        assert not device.result.complete
        assert (device.result.undelivered, device.result.unread) == (1, 2)
        assert device.stats().reasons == {"the device was cancelled": 1}
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING] == [
        (
            "streamer, to the backend: messages that could not be handed on: 1, "
            "the device was cancelled"
        ),
        "streamer: ended before it had taken all that its sockets have received: 2",
    ]


async def test_cancelled_with_room_it_hands_on_what_it_holds() -> None:
    async with (
        hs.Pull(bind="inproc://front") as front,
        hs.Push(bind="inproc://back", sndhwm=2) as back,
        hs.Push(connect="inproc://front") as source,
        hs.Pull(rcvhwm=2) as sink,
    ):
        async with trio.open_nursery() as nursery:
            device = await nursery.start(devices.streamer, front, back)
            await source.send(b"held")
            await trio.testing.wait_all_tasks_blocked()
            assert device.stats().held == 1
            await sink.connect("inproc://back")
            # There is room from now on, and in the same tick the device is cancelled.
            nursery.cancel_scope.cancel()
        assert device.result is not None
        assert device.result.undelivered == 0
        assert await sink.recv() == b"held"


async def test_a_socket_closed_under_the_device_ends_it_with_that_error() -> None:
    async with hs.Pull(bind=TCP) as front, hs.Push(bind=TCP) as back:
        caught: list[BaseException] = []
        async with trio.open_nursery() as nursery:

            async def run(task_status: trio.TaskStatus[devices.Device]) -> None:
                try:
                    await devices.streamer(front, back, task_status=task_status)
                except trio.ClosedResourceError as error:
                    caught.append(error)

            device = await nursery.start(run)
            await front.aclose()
        assert caught
        assert device.state == "stopped"
        assert device.result is not None


@pytest.mark.parametrize("endpoint", [TCP, "inproc://front"])
async def test_who_receives_beside_the_device_has_turns_too(endpoint: str) -> None:
    front, back = hs.Pull(bind=endpoint), hs.Push(bind=TCP)
    async with running("streamer", front, back), hs.Push() as source, hs.Pull() as sink:
        await sink.connect(back.endpoints[0])
        await source.connect(front.endpoints[0])
        beside: list[bytes] = []
        behind: list[bytes] = []
        arrived = trio.Event()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def take_beside() -> None:
                while True:
                    beside.append(await front.recv())
                    arrived.set()

            @nursery.start_soon
            async def take_behind() -> None:
                while True:
                    behind.append(await sink.recv())
                    arrived.set()

            for number in range(20):
                await trio.testing.wait_all_tasks_blocked()  # both wait for it
                arrived = trio.Event()
                await source.send(b"%d" % number)
                await arrived.wait()
            nursery.cancel_scope.cancel()
        assert len(beside) == len(behind) == 10
        assert sorted(beside + behind, key=int) == [b"%d" % number for number in range(20)]
