"""A queue that gives each request to the worker with the fewest unanswered ones."""

# ruff: noqa: SIM117 - the device outside, and inside of it who talks to it

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket import devices

from .worlds import TCP, Theirs, eventually, running, serve

pytestmark = pytest.mark.interop

WORKER = Path(__file__).with_name("worker.py")
LEAST = {"balance": "least-outstanding"}


async def test_a_slow_worker_is_not_fed() -> None:
    """Plain REP workers of libzmq's; the one that does not answer holds two requests, no more."""
    front, back = hs.Router(bind=TCP), devices.AddressedDealer(bind=TCP)
    async with running("queue", front, back, **LEAST) as device, trio.open_nursery() as nursery:
        async with (
            Theirs("REP") as slow,
            Theirs("REP") as quick,
            hs.Dealer(connect=front.endpoints) as client,
        ):
            slow.connect(back.endpoints[0])
            quick.connect(back.endpoints[0])
            await eventually(lambda: len(device.stats().workers) == 2)
            nursery.start_soon(serve, quick, b"quick")
            total = 200
            for number in range(total):
                await client.send_multipart([b"", b"%d" % number])
            replies = [await client.recv_multipart() for _ in range(total - 2)]
            assert {reply[1] for reply in replies} == {b"quick"}
            stats = device.stats()
            assert stats.outstanding == 2
            by_answers = sorted(stats.workers, key=lambda worker: worker.answered)
            assert [(one.answered, one.outstanding) for one in by_answers] == [(0, 2), (198, 0)]
            # What the slow one has, it still may answer.
            request = await slow.recv_multipart()
            await slow.send_multipart([b"slow", *request])
            assert (await client.recv_multipart())[1] == b"slow"
            assert device.stats().outstanding == 1
            nursery.cancel_scope.cancel()


async def test_equals_have_requests_in_turn() -> None:
    front = hs.Router(bind="inproc://front")
    back = devices.AddressedDealer(bind="inproc://back")
    async with running("queue", front, back, **LEAST), trio.open_nursery() as nursery:
        async with (
            hs.Rep(connect="inproc://back") as one,
            hs.Rep(connect="inproc://back") as two,
            hs.Rep(connect="inproc://back") as three,
            hs.Req(connect="inproc://front") as client,
        ):
            await back.wait_connected(3)
            for name, worker in ((b"1", one), (b"2", two), (b"3", three)):
                nursery.start_soon(serve, worker, name)
            names = [(await client.request_multipart([b"?"]))[0] for _ in range(9)]
            assert {names.count(name) for name in (b"1", b"2", b"3")} == {3}
            assert names[:3] == names[3:6] == names[6:]


async def test_requests_wait_in_the_queue_while_nobody_is_there() -> None:
    front = hs.Router(bind=TCP)
    back = devices.AddressedDealer(bind=TCP)
    async with running("queue", front, back, **LEAST) as device, trio.open_nursery() as nursery:
        async with hs.Req(connect=front.endpoints) as client:
            await client.send(b"?")
            await eventually(lambda: front.stats().queued_in == 1)
            assert device.stats().frontend.messages_in == 0  # not even taken
            async with Theirs("REP") as late:
                late.connect(back.endpoints[0])
                nursery.start_soon(serve, late, b"late")
                assert await client.recv_multipart() == [b"late", b"?"]
                nursery.cancel_scope.cancel()


async def test_it_may_connect_to_its_workers() -> None:
    async with Theirs("REP") as bound:
        front = hs.Router(bind=TCP)
        back = devices.AddressedDealer(connect=bound.bind(TCP))
        async with running("queue", front, back, **LEAST), trio.open_nursery() as nursery:
            async with hs.Req(connect=front.endpoints) as client:
                nursery.start_soon(serve, bound, b"bound")
                assert await client.request_multipart([b"?"]) == [b"bound", b"?"]
                nursery.cancel_scope.cancel()


async def test_a_worker_that_is_killed_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    """kill -9: its requests are forgotten and counted, and the others go on."""
    front, back = hs.Router(bind=TCP), devices.AddressedDealer(bind=TCP)
    async with running("queue", front, back, **LEAST) as device, trio.open_nursery() as nursery:
        child = subprocess.Popen(  # noqa: ASYNC220 - it is short
            [sys.executable, str(WORKER), back.endpoints[0], "1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            await eventually(lambda: len(device.stats().workers) == 1)
            async with hs.Dealer(connect=front.endpoints) as client, Theirs("REP") as other:
                await client.send_multipart([b"", b"answered"])
                assert await client.recv_multipart() == [b"", b"by the child"]
                for number in range(4):
                    await client.send_multipart([b"", b"%d" % number])
                assert child.stdout is not None
                assert await trio.to_thread.run_sync(child.stdout.readline) == b"taken\n"
                await eventually(lambda: device.stats().outstanding == 2)
                child.kill()
                await eventually(lambda: device.stats().forgotten == 2)
                assert device.stats().outstanding == 0
                assert device.stats().workers == ()
                # The two that were still in the queue are for whoever comes.
                other.connect(back.endpoints[0])
                nursery.start_soon(serve, other, b"other")
                assert [await client.recv_multipart() for _ in range(2)] == [
                    [b"", b"other", b"2"],
                    [b"", b"other", b"3"],
                ]
                nursery.cancel_scope.cancel()
        finally:
            child.kill()
            for pipe in (child.stdin, child.stdout):
                assert pipe is not None
                pipe.close()
            child.wait()
    told = [one.message for one in caplog.records if one.levelno == logging.WARNING]
    assert [one for one in told if "went away with 2 requests" in one]


async def test_max_outstanding_bounds_each_worker() -> None:
    front = hs.Router(bind="inproc://front")
    back = devices.AddressedDealer(bind="inproc://back")
    more = {**LEAST, "max_outstanding": 5}
    async with running("queue", front, back, **more) as device:
        async with (
            hs.Rep(connect="inproc://back"),
            hs.Dealer(connect="inproc://back"),
            hs.Dealer(connect="inproc://front") as client,
        ):
            await back.wait_connected(2)
            for _ in range(30):
                await client.send_multipart([b"", b"?"])
            await trio.testing.wait_all_tasks_blocked()
            assert [one.outstanding for one in device.stats().workers] == [5, 5]
            assert front.stats().queued_in == 20
            assert device.stats().held == 0


async def test_what_no_rep_would_answer_is_dropped_and_counted() -> None:
    """Else it would count as outstanding for ever, and the worker starve."""
    front = hs.Router(bind="inproc://front")
    back = devices.AddressedDealer(bind="inproc://back")
    async with running("queue", front, back, **LEAST) as device, trio.open_nursery() as nursery:
        async with (
            hs.Rep(connect="inproc://back") as worker,
            hs.Dealer(connect="inproc://front", probe_router=True) as client,
        ):
            nursery.start_soon(serve, worker, b"w")
            for _ in range(5):
                await client.send(b"no envelope")
            await client.send_multipart([b"", b"?"])
            assert await client.recv_multipart() == [b"", b"w", b"?"]
            stats = device.stats()
            assert stats.reasons == {"malformed": 6}  # the probe is one
            assert (stats.outstanding, stats.workers[0].answered) == (0, 1)


async def test_a_worker_that_leaves_while_it_is_chosen_costs_nothing() -> None:
    """Not yet heard of in the monitor's events, it turns out to have gone as it is sent to."""
    front = hs.Router(bind="inproc://front")
    back = devices.AddressedDealer(bind="inproc://back")
    async with running("queue", front, back, **LEAST) as device, trio.open_nursery() as nursery:
        async with (
            hs.Rep(connect="inproc://back") as stays,
            hs.Dealer(connect="inproc://front") as client,
        ):
            await back.wait_connected()
            nursery.start_soon(serve, stays, b"stays")
            for number in range(50):
                async with hs.Rep(connect="inproc://back"):
                    await back.wait_connected(2)
                    client.send_multipart_nowait([b"", b"%d" % number])
                if number % 2:
                    await trio.testing.wait_all_tasks_blocked()
            await trio.testing.wait_all_tasks_blocked()
            stats = device.stats()
            answered = stats.workers[0].answered
            assert answered + stats.forgotten == 50
            assert [stats.outstanding, stats.held, stats.undelivered] == [0, 0, 0]


async def test_stopping_waits_for_what_is_outstanding() -> None:
    front, back = hs.Router(bind="inproc://front"), devices.AddressedDealer(bind="inproc://back")
    async with running("queue", front, back, **LEAST) as device:
        async with (
            hs.Req(connect="inproc://front") as client,
            hs.Rep(connect="inproc://back") as worker,
        ):
            await client.send(b"?")
            await worker.recv()
            device.stop_soon()
            await trio.testing.wait_all_tasks_blocked()
            await worker.send(b"!")
            assert (await device.stop()).complete
            assert await client.recv() == b"!"


async def test_cancelled_without_workers_it_says_what_it_holds() -> None:
    front, back = hs.Router(bind="inproc://front"), devices.AddressedDealer(bind="inproc://back")
    async with running("queue", front, back, **LEAST) as device:
        async with hs.Req(connect="inproc://front") as client:
            async with hs.Rep(connect="inproc://back"):
                await eventually(lambda: len(device.stats().workers) == 1)
            # The flow was let through while the worker was there, and waits for a request.
            await eventually(lambda: not device.stats().workers)
            await client.send(b"?")
            await trio.testing.wait_all_tasks_blocked()
            assert device.stats().held == 1
    assert device.result is not None
    assert device.result.undelivered == 1
