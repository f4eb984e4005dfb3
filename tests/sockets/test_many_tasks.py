"""Many tasks on one socket, and a busy socket that starves nobody."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket.sockets._socket import BUDGET

from .worlds import eventually, joined


async def test_receivers_are_served_in_order(here: str) -> None:
    async with joined(hs.Pull(), hs.Push(), here) as (pull, push), trio.open_nursery() as nursery:
        served: list[tuple[int, object]] = []

        async def take(number: int, form: str) -> None:
            served.append((number, await getattr(pull, form)()))

        forms = ["recv", "recv_multipart", "recv", "recv_many", "recv"]
        for number, form in enumerate(forms):
            nursery.start_soon(take, number, form)
            await trio.testing.wait_all_tasks_blocked()
        for number in range(5):
            await push.send(b"%d" % number)
            await eventually(lambda number=number: len(served) == number + 1)
        expected = [b"0", [b"1"], b"2", [b"3"], b"4"]
        assert served == list(enumerate(expected))


async def test_a_late_receiver_does_not_overtake() -> None:
    async with joined(hs.Pull(), hs.Push()) as (pull, push), trio.open_nursery() as nursery:
        got = []

        async def take() -> None:
            got.append(await pull.recv())

        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        push.send_nowait(b"for the one that waits")
        with pytest.raises(trio.WouldBlock):
            pull.recv_nowait()
        await trio.testing.wait_all_tasks_blocked()
        assert got == [b"for the one that waits"]


async def test_a_cancelled_receiver_gives_its_place_up() -> None:
    async with joined(hs.Pull(), hs.Push()) as (pull, push), trio.open_nursery() as nursery:
        scopes = [trio.CancelScope() for _ in range(3)]
        served = []

        async def take(number: int) -> None:
            with scopes[number]:
                served.append((number, await pull.recv()))

        for number in range(3):
            nursery.start_soon(take, number)
            await trio.testing.wait_all_tasks_blocked()
        scopes[0].cancel()
        scopes[2].cancel()
        await push.send(b"x")
        await trio.testing.wait_all_tasks_blocked()
        assert served == [(1, b"x")]


async def test_senders_are_let_in_in_order(here: str) -> None:
    async with joined(hs.Pull(rcvhwm=1), hs.Push(sndhwm=1), here) as (pull, push):
        size = 1 << 22
        order = []

        async def send(number: int) -> None:
            if number % 3:
                await push.send(b"%d".ljust(size) % number)
            else:
                await push.send_many([b"%d".ljust(size) % number, b"%d+" % number])
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(send, number)
                await trio.testing.wait_all_tasks_blocked()
            got = [(await pull.recv()).strip() for _ in range(16)]
        assert sorted(order) == list(range(12))
        expected = []
        for number in range(12):
            expected.append(b"%d" % number)
            if not number % 3:
                expected.append(b"%d+" % number)
        assert got == expected


@pytest.mark.parametrize("receivers", [1, 100])
async def test_a_hundred_tasks_lose_nothing(receivers: int, anywhere: str) -> None:
    async with joined(hs.Pair(rcvhwm=3), hs.Pair(sndhwm=3), anywhere) as (a, b):
        got: list[bytes] = []
        expected = [b"%d.%d" % (task, n) for task in range(100) for n in range(10)]

        async def send(task: int) -> None:
            for number in range(10):
                await b.send(b"%d.%d" % (task, number))

        async def receive() -> None:
            while len(got) < len(expected):
                got.append(await a.recv())
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for task in range(100):
                nursery.start_soon(send, task)
            for _ in range(receivers):
                nursery.start_soon(receive)
        assert sorted(got) == sorted(expected)
        for task in range(100):
            own = [message for message in got if message.startswith(b"%d." % task)]
            # Tasks that are woken together run in any order, so only one can tell the order.
            if receivers == 1:
                assert own == [b"%d.%d" % (task, n) for n in range(10)]


@pytest.mark.parametrize("call", ["send", "recv", "send_many", "recv_many", "send_multipart"])
async def test_calls_that_need_not_wait_still_let_others_run(call: str) -> None:
    async with joined(hs.Pull(rcvhwm=0), hs.Push(sndhwm=0)) as (pull, push):
        for _ in range(2000):
            push.send_nowait(b"x")
        others = 0

        async def other() -> None:
            nonlocal others
            while True:
                others += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            for _ in range(1000):
                match call:
                    case "send":
                        await push.send(b"")
                    case "send_many":
                        await push.send_many([b"", b""])
                    case "send_multipart":
                        await push.send_multipart([b"", b""])
                    case "recv":
                        await pull.recv()
                    case "recv_many":
                        await pull.recv_many(max=1)
            assert others >= 1000 // BUDGET - 1
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("call", ["send", "recv"])
async def test_a_bounded_run_of_calls_feels_a_cancellation(call: str) -> None:
    async with joined(hs.Pull(rcvhwm=0), hs.Push(sndhwm=0)) as (pull, push):
        for number in range(2000):
            push.send_nowait(b"%d" % number)
        done = 0
        with trio.CancelScope() as scope:
            scope.cancel()
            for _ in range(1000):
                if call == "send":
                    await push.send(b"")
                else:
                    assert await pull.recv() == b"%d" % done
                done += 1
        assert done <= BUDGET
        if call == "recv":
            assert await pull.recv() == b"%d" % done
        else:
            assert push.stats().messages_out == 2000 + done


async def test_two_wait_for_peers_and_subscribers() -> None:
    async with hs.Pub(bind="inproc://p") as pub, trio.open_nursery() as nursery:
        nursery.start_soon(pub.wait_connected, 2)
        nursery.start_soon(pub.wait_connected, 1)
        nursery.start_soon(pub.wait_subscribed, "a", 2)
        await trio.testing.wait_all_tasks_blocked()
        async with (
            hs.Sub(connect="inproc://p", subscribe="a"),
            hs.Sub(connect="inproc://p", subscribe=""),
        ):
            with trio.fail_after(30):
                while nursery.child_tasks:
                    await trio.lowlevel.checkpoint()
