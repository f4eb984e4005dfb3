"""A graceful stop: what was accepted is delivered, or told."""

# ruff: noqa: SIM117 - the device outside, and inside of it who talks to it

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket import devices
from tests.interop.peers import until_heard

from .worlds import TCP, Theirs, eventually, running, serve

pytestmark = pytest.mark.interop


async def test_what_the_sockets_had_received_is_delivered() -> None:
    """Paused, so that everything still waits at the frontend when the stop begins."""
    front, back = hs.Pull(bind=TCP), hs.Push(bind=TCP)
    async with (
        running("streamer", front, back) as device,
        hs.Push(connect=front.endpoints) as source,
        Theirs("PULL") as sink,
    ):
        sink.connect(back.endpoints[0])
        device.pause()
        await source.send_many([b"%d" % number for number in range(500)])
        await eventually(lambda: front.stats().queued_in == 500)
        result = await device.stop()
        assert device.state == "stopped"
        assert result.complete
        assert result.stats.backend.messages_out == 500
        assert front.endpoints == ()  # whoever comes now goes elsewhere, and keeps its messages
        assert await sink.recv_exactly(500) == [b"%d" % number for number in range(500)]


async def test_the_call_returns_what_the_handle_does() -> None:
    async with hs.Pull(bind=TCP) as front, hs.Push(bind=TCP) as back:
        returned: list[devices.DeviceResult] = []
        async with trio.open_nursery() as nursery:

            async def run(task_status: trio.TaskStatus[devices.Device]) -> None:
                returned.append(await devices.streamer(front, back, task_status=task_status))

            device = await nursery.start(run)
            device.stop_soon()
            assert device.state == "stopping"
            device.pause()
            device.stop_soon()
            assert device.state == "stopping"
        assert returned == [device.result]
        assert await device.stop() is device.result  # stopped already


async def test_what_finds_no_room_within_linger_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    front = hs.Pull(bind="inproc://front", linger=3)
    back = hs.Push(bind="inproc://back", linger=2)
    async with running("streamer", front, back) as device:
        async with hs.Push(connect="inproc://front") as source:
            await source.send(b"1")
            await trio.testing.wait_all_tasks_blocked()
            await source.send_many([b"2", b"3"])
            begun = trio.current_time()
            result = await device.stop()
            assert trio.current_time() - begun == pytest.approx(3)  # the longer of the two
            assert (result.undelivered, result.unread, result.unwritten) == (1, 2, 0)
            assert not result.complete
            assert result.stats.reasons == {"there was no room before linger was over": 1}


async def test_what_is_not_written_within_linger_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    front = hs.Pull(bind="inproc://front", linger=1)
    back = hs.Push(connect="inproc://nobody", linger=1)
    async with running("streamer", front, back) as device:
        async with hs.Push(connect="inproc://front") as source:
            await source.send_many([b"1", b"2"])
            await eventually(lambda: device.stats().backend.messages_out == 2)
            result = await device.stop()
            assert (result.undelivered, result.unread, result.unwritten) == (0, 0, 2)


async def test_a_queue_waits_for_the_replies_and_takes_no_more_requests() -> None:
    front, back = hs.Router(bind=TCP), hs.Dealer(bind=TCP)
    async with running("queue", front, back) as device:
        async with Theirs("REQ") as client, hs.Rep(connect=back.endpoints) as worker:
            client.connect(front.endpoints[0])
            await client.send(b"?")
            assert await worker.recv() == b"?"
            device.stop_soon()
            await trio.testing.wait_all_tasks_blocked()
            async with hs.Req(connect=front.endpoints) as late:
                await late.send(b"too late")
                await eventually(lambda: front.stats().queued_in == 1)
                assert device.state == "stopping"
                await worker.send(b"!")
                assert await client.recv() == b"!"
                result = await device.stop()
                assert (result.undelivered, result.unread, result.unwritten) == (0, 1, 0)


async def test_a_paused_queue_stops_as_well() -> None:
    front, back = hs.Router(bind="inproc://front"), hs.Dealer(bind="inproc://back")
    async with running("queue", front, back) as device, trio.open_nursery() as nursery:
        async with (
            hs.Req(connect="inproc://front") as client,
            hs.Rep(connect="inproc://back") as worker,
        ):
            device.pause()
            await client.send(b"?")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(serve, worker, b"w")
            result = await device.stop()  # the request was received by the frontend: it is served
            assert result.complete
            assert await client.recv_multipart() == [b"w", b"?"]


async def test_a_forwarder_delivers_what_was_published_before_the_stop() -> None:
    front, back = hs.XSub(bind=TCP), hs.XPub(bind=TCP)
    async with (
        running("forwarder", front, back) as device,
        Theirs("PUB") as publisher,
        hs.Sub(connect=back.endpoints, subscribe="a") as subscriber,
    ):
        publisher.connect(front.endpoints[0])
        await until_heard(publisher.send, subscriber.recv_multipart, b"a")
        device.pause()
        for number in range(300):
            await publisher.send_multipart([b"a", b"%d" % number])
        await eventually(lambda: front.stats().queued_in == 300)
        assert (await device.stop()).complete
        for number in range(300):
            assert await subscriber.recv_multipart() == [b"a", b"%d" % number]


async def test_cancelled_while_it_stops_it_ends_at_once() -> None:
    async with hs.Pull(bind="inproc://front") as front, hs.Push(bind="inproc://back") as back:
        async with hs.Push(connect="inproc://front") as source, trio.open_nursery() as nursery:
            device = await nursery.start(devices.streamer, front, back)
            await source.send(b"1")
            await trio.testing.wait_all_tasks_blocked()
            device.stop_soon()
            await trio.testing.wait_all_tasks_blocked()
            assert device.state == "stopping"
            nursery.cancel_scope.cancel()
        assert device.state == "stopped"
        assert device.stats().reasons == {"the device was cancelled": 1}


async def test_a_queue_without_workers_does_not_wait_for_replies(
    autojump_clock: trio.testing.MockClock,
) -> None:
    front, back = hs.Router(bind="inproc://front"), hs.Dealer(bind="inproc://back")
    async with running("queue", front, back) as device:
        async with hs.Req(connect="inproc://front") as client:
            async with hs.Rep(connect="inproc://back") as worker:
                await client.send(b"?")
                await worker.recv()
            await eventually(lambda: not back.stats().peers)
            begun = trio.current_time()
            await device.stop()
            assert trio.current_time() - begun < 1


async def test_a_queue_does_not_wait_for_a_worker_that_has_gone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Nor does one that has lost a request once wait at every later stop."""
    front, back = hs.Router(bind="inproc://front"), hs.Dealer(bind="inproc://back")
    async with running("queue", front, back) as device:
        async with hs.Req(connect="inproc://front") as client:
            async with hs.Rep(connect="inproc://back") as worker:
                await client.send(b"lost")
                await worker.recv()
            await eventually(lambda: not back.stats().peers)
            async with hs.Rep(connect="inproc://back") as other, hs.Req() as patient:
                await back.wait_connected()
                await patient.connect("inproc://front")
                await patient.send(b"?")
                await other.recv()
                device.stop_soon()
                await trio.sleep(1)
                assert device.state == "stopping"  # this one is there, and may still answer
                await other.send(b"!")
                begun = trio.current_time()
                assert (await device.stop()).complete
                assert trio.current_time() - begun < 1
                assert await patient.recv() == b"!"


async def test_a_queue_does_not_wait_for_an_answer_to_its_probes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    front = hs.Router(bind="inproc://front")
    back = hs.Dealer(bind="inproc://back", probe_router=True)
    async with running("queue", front, back) as device, hs.Rep(connect="inproc://back"):
        await back.wait_connected()
        begun = trio.current_time()
        await device.stop()
        assert trio.current_time() - begun < 1


async def test_pairs_deliver_both_ways() -> None:
    front, back = hs.Pair(bind="inproc://front"), hs.Pair(bind="inproc://back")
    async with (
        running("proxy", front, back) as device,
        hs.Pair(connect="inproc://front") as left,
        hs.Pair(connect="inproc://back") as right,
    ):
        device.pause()
        await left.send_many([b"1", b"2"])
        await right.send_many([b"3", b"4"])
        assert (await device.stop()).complete
        assert await right.recv_many() == [b"1", b"2"]
        assert await left.recv_many() == [b"3", b"4"]


async def test_a_cancelled_wait_for_the_stop_leaves_the_stop_going_on() -> None:
    front, back = hs.Router(bind="inproc://front"), hs.Dealer(bind="inproc://back")
    async with running("queue", front, back) as device:
        async with (
            hs.Req(connect="inproc://front") as client,
            hs.Rep(connect="inproc://back") as worker,
        ):
            await client.send(b"?")
            await worker.recv()
            with trio.CancelScope() as scope:
                scope.cancel()
                await device.stop()
            assert scope.cancelled_caught
            assert device.state == "stopping"
            await worker.send(b"!")
            assert await client.recv() == b"!"
            assert (await device.stop()).complete


def _reached(got: list[bytes], count: int) -> bool:
    return len(got) >= count


@pytest.mark.parametrize("whose", ["ours", "theirs"])
async def test_streamers_one_after_the_other_lose_and_repeat_nothing(whose: str) -> None:
    """A source that sends all the time, through a streamer that is replaced five times."""
    total = 20_000
    numbers = [b"%d" % number for number in range(total)]
    got: list[bytes] = []
    async with (
        hs.Pull(bind=TCP) as sink,
        Theirs("PUSH", reconnect_ivl=5) as theirs,
        hs.Push(reconnect_ivl=0.005, linger=20) as mine,
        trio.open_nursery() as nursery,
    ):
        where = ""
        sent = False

        @nursery.start_soon
        async def receive() -> None:
            while len(got) < total:
                got.extend(await sink.recv_many())
            nursery.cancel_scope.cancel()

        async def send() -> None:
            if whose == "theirs":
                theirs.connect(where)
                await theirs.send_many(numbers)
            else:
                await mine.connect(where)
                for number in numbers:
                    await mine.send(number)

        with trio.fail_after(60):
            for generation in range(6):
                async with (
                    hs.Pull(bind=where or TCP) as front,
                    hs.Push(connect=sink.endpoints) as back,
                    trio.open_nursery() as generations,
                ):
                    device = await generations.start(partial(devices.streamer, front, back))
                    if not sent:
                        sent, where = True, front.endpoints[0]
                        nursery.start_soon(send)
                    enough = min(len(got) + total // 8, total)
                    if generation < 5:
                        await eventually(partial(_reached, got, enough))
                        assert (await device.stop()).complete
                    else:
                        await trio.sleep_forever()
    assert len(got) == total
    assert got == numbers
