"""Steering by messages, from libzmq's own sockets."""

# ruff: noqa: SIM117 - the device outside, and inside of it who talks to it

from __future__ import annotations

import struct
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
import zmq

import hypersocket as hs
from hypersocket import devices

from .worlds import TCP, Theirs, eventually, running

pytestmark = pytest.mark.interop


def numbers(frames: list[bytes]) -> list[int]:
    """As a C program would read what libzmq answers."""
    assert [len(frame) for frame in frames] == [8] * 8
    return [struct.unpack("@Q", frame)[0] for frame in frames]


async def ask(steering: Theirs, command: bytes) -> list[bytes]:
    await steering.send(command)
    return await steering.recv_multipart()


async def test_pause_resume_statistics_and_terminate_from_their_req() -> None:
    front, back = hs.Pull(bind="inproc://front"), hs.Push(bind="inproc://back")
    async with hs.Rep(bind=TCP) as control, Theirs("REQ") as steering:
        steering.connect(control.endpoints[0])
        async with (
            running("streamer", front, back, control=control) as device,
            hs.Push(connect="inproc://front") as source,
            hs.Pull(connect="inproc://back") as sink,
        ):
            await source.send_multipart([b"one", b"1"])
            assert await sink.recv_multipart() == [b"one", b"1"]
            assert numbers(await ask(steering, b"STATISTICS")) == [1, 4, 0, 0, 0, 0, 1, 4]

            assert await ask(steering, b"PAUSE") == [b""]
            assert device.state == "paused"
            assert await ask(steering, b"PAUSE") == [b""]  # it makes no difference
            await source.send(b"while paused")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.WouldBlock):
                sink.recv_nowait()
            assert numbers(await ask(steering, b"STATISTICS"))[:2] == [1, 4]

            assert await ask(steering, b"RESUME") == [b""]
            assert repr(device).endswith("running>")
            assert await sink.recv() == b"while paused"

            assert await ask(steering, b"TERMINATE") == [b""]
            await eventually(lambda: device.state == "stopped")
            assert device.result is not None
            assert device.result.complete


async def test_the_statistics_are_libzmqs_own() -> None:
    """The same traffic through libzmq's steerable proxy gives the same eight numbers."""
    requests, size = 7, 30

    async def traffic(front: str, back: str) -> None:
        async with hs.Req(connect=front) as client, hs.Rep(connect=back) as worker:
            for _ in range(requests):
                await client.send_multipart([b"q", bytes(size)])
                await worker.recv_multipart()
                await worker.send(b"a")
                await client.recv()

    context = zmq.Context()
    theirs = {}
    for name, kind in (("front", zmq.ROUTER), ("back", zmq.DEALER), ("control", zmq.REP)):
        theirs[name] = context.socket(kind)
        theirs[name].linger = 0
        theirs[name].bind(TCP)
    where = {name: one.getsockopt_string(zmq.LAST_ENDPOINT) for name, one in theirs.items()}
    async with Theirs("REQ") as steering, trio.open_nursery() as nursery:
        steering.connect(where["control"])
        nursery.start_soon(
            partial(
                trio.to_thread.run_sync,
                lambda: zmq.proxy_steerable(
                    theirs["front"], theirs["back"], None, theirs["control"]
                ),
            )
        )
        with trio.fail_after(20):
            await traffic(where["front"], where["back"])
            expected = numbers(await ask(steering, b"STATISTICS"))
            await steering.send(b"TERMINATE")
    for one in theirs.values():
        one.close()
    context.term()

    async with hs.Rep(bind=TCP) as control, Theirs("REQ") as steering:
        steering.connect(control.endpoints[0])
        front, back = hs.Router(bind=TCP), hs.Dealer(bind=TCP)
        async with running("queue", front, back, control=control):
            await traffic(front.endpoints[0], back.endpoints[0])
            mine = numbers(await ask(steering, b"STATISTICS"))
    # Bytes are the same: the id that a ROUTER gives an unnamed peer is five bytes for both.
    asked, answered = requests * (5 + 1 + size), requests * (5 + 1)
    assert mine[1::2] == expected[1::2] == [asked, answered, answered, asked]
    # libzmq 4.3.5 counts frames where its manual, and what came after it, count messages.
    assert mine[0::2] == [requests] * 4
    assert expected[0::2] in ([7] * 4, [7 * 4, 7 * 3, 7 * 3, 7 * 4])


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([b"HALT"], b"b'HALT'"),
        ([b""], b"b''"),
        ([b"pause"], b"b'pause'"),
        ([b"PAUSE", b"now"], b"a message of 2 frames"),
        ([b"x" * 1000], b"b'" + b"x" * 40 + b"'"),
    ],
)
async def test_what_is_no_command_is_answered(command: list[bytes], said: bytes) -> None:
    front, back = hs.Pull(bind="inproc://front"), hs.Push(bind="inproc://back")
    async with hs.Rep(bind=TCP) as control, Theirs("REQ") as steering:
        steering.connect(control.endpoints[0])
        async with running("streamer", front, back, control=control) as device:
            await steering.send_multipart(command)
            assert await steering.recv() == (
                b"ERROR unknown command " + said + b": "
                b"expected PAUSE, RESUME, TERMINATE or STATISTICS"
            )
            assert device.state == "running"
            assert await ask(steering, b"PAUSE") == [b""]  # and it goes on


async def test_a_pair_is_answered_where_there_is_something_to_say() -> None:
    front, back = hs.Pull(bind="inproc://front"), hs.Push(bind="inproc://back")
    async with hs.Pair(bind=TCP) as control, Theirs("PAIR") as steering:
        steering.connect(control.endpoints[0])
        async with running("streamer", front, back, control=control) as device:
            for command in (b"PAUSE", b"RESUME", b"PAUSE"):
                await steering.send(command)
            assert numbers(await ask(steering, b"STATISTICS")) == [0] * 8  # the first answer
            assert device.state == "paused"
            assert (await ask(steering, b"STOP"))[0].startswith(b"ERROR unknown command b'STOP'")
            await steering.send(b"TERMINATE")
            await eventually(lambda: device.state == "stopped")


async def test_paused_from_the_start_of_a_send_that_waits() -> None:
    """What was taken before the pause is still handed on, once, and in its place."""
    front, back = hs.Pull(bind="inproc://front"), hs.Push(bind="inproc://back")
    async with running("streamer", front, back) as device:
        async with hs.Push(connect="inproc://front") as source, hs.Pull() as sink:
            await source.send(b"1")
            await trio.testing.wait_all_tasks_blocked()
            assert device.stats().held == 1
            device.pause()
            await source.send(b"2")
            await trio.testing.wait_all_tasks_blocked()
            await sink.connect("inproc://back")
            assert await sink.recv() == b"1"
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.WouldBlock):
                sink.recv_nowait()
            device.resume()
            assert await sink.recv() == b"2"
            stats = device.stats()
            assert stats.frontend.messages_in == stats.backend.messages_out == 2


async def test_pausing_takes_hold_while_messages_keep_coming() -> None:
    """A busy device does not go on until it happens to wait."""
    front, back = hs.Pull(bind="inproc://front", rcvhwm=0), hs.Push(bind="inproc://back", sndhwm=0)
    async with (
        hs.Push(connect="inproc://front", sndhwm=0) as source,
        hs.Pull(connect="inproc://back", rcvhwm=0),
    ):
        async with running("streamer", front, back) as device:
            await source.wait_connected()
            device.pause()
            await trio.testing.wait_all_tasks_blocked()
            await source.send_many([b"x"] * 100_000)
            device.resume()
            while not device.stats().backend.messages_out:
                await trio.lowlevel.checkpoint()
            device.pause()
            passed = device.stats().backend.messages_out
            await trio.testing.wait_all_tasks_blocked()
            assert device.stats().backend.messages_out <= passed + 256
            assert passed < 50_000


async def test_a_pause_holds_before_the_paused_task_has_run() -> None:
    """Who looks for an answer of its own reads for all sockets that are waited for."""
    front, back = hs.Pull(bind=TCP), hs.Push(bind=TCP)
    async with (
        running("streamer", front, back) as device,
        hs.Pull(connect=back.endpoints) as sink,
        Theirs("PUSH") as source,
    ):
        source.connect(front.endpoints[0])
        await source.send(b"1")
        assert await sink.recv() == b"1"
        await trio.testing.wait_all_tasks_blocked()
        device.pause()
        source.socket.send(b"2")  # by libzmq's own thread, while no task of this run can run
        while not front.stats().queued_in:
            assert device.stats().frontend.messages_in == 1
            front._host.poller.serve()
        device.resume()
        assert await sink.recv() == b"2"


async def test_the_control_socket_may_be_closed() -> None:
    front, back = hs.Pull(bind="inproc://front"), hs.Push(bind="inproc://back")
    more: dict[str, Any] = {}
    async with hs.Rep(bind=TCP) as control:
        more["control"] = control
        async with running("streamer", front, back, **more) as device:
            await control.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert device.state == "running"


async def test_handles_say_what_they_are() -> None:
    front, back = hs.Pull(bind="inproc://front"), hs.Push(bind="inproc://back")
    async with running("streamer", front, back, name="ingest") as device:
        assert isinstance(device, devices.Device)
        assert (device.name, device.kind) == ("ingest", "streamer")
        assert (device.frontend, device.backend) == (front, back)
        assert repr(device) == "<streamer 'ingest' running>"
        assert str(device) == "streamer ingest"
        assert device.result is None
        device.resume()  # nothing, unless it is paused
        assert device.state == "running"
