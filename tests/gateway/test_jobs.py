"""Jobs for workers: each is answered, or comes back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket.devices import AddressedDealer
from hypersocket.devices.amqp_gateway.routes._jobs import Job, Jobs
from tests.interop.peers import Theirs, eventually

TCP = "tcp://127.0.0.1:*"


class World:
    """Jobs, and what was told of them."""

    def __init__(self, socket: AddressedDealer, **more: Any) -> None:
        self.socket = socket
        self.answered: list[tuple[Any, list[bytes]]] = []
        self.back: list[tuple[Any, str]] = []
        given: dict[str, Any] = {"timeout": None, **more}
        self.jobs = Jobs(
            socket,
            "test",
            **given,
            on_answer=lambda job, frames: self.answered.append((job.context, frames)),
            on_back=lambda job, why: self.back.append((job.context, why)),
        )

    async def give(self, *names: bytes) -> None:
        for name in names:
            await self.jobs.give(Job([name], name))


@asynccontextmanager
async def world(endpoint: str = "inproc://jobs", **more: Any) -> AsyncGenerator[World]:
    socket = AddressedDealer(bind=endpoint, router_mandatory=True)
    async with socket, trio.open_nursery() as nursery:
        one = World(socket, **more)
        nursery.start_soon(one.jobs.attend)
        yield one
        nursery.cancel_scope.cancel()


async def there(one: World, count: int = 1) -> None:
    with trio.fail_after(30):
        await eventually(lambda: one.jobs.workers == count)


def free(one: World) -> bool:
    return one.jobs.is_free


async def test_a_job_is_answered() -> None:
    async with world() as one, hs.Rep(connect="inproc://jobs") as rep:
        await one.give(b"a")
        assert await rep.recv() == b"a"
        await rep.send_multipart([b"done", b"a"])
        await trio.testing.wait_all_tasks_blocked()
        assert one.answered == [(b"a", [b"done", b"a"])]
        assert len(one.jobs) == 0


async def test_the_idle_worker_is_next() -> None:
    async with world(most=1) as one, hs.Rep(connect="inproc://jobs") as slow:
        await one.give(b"a")
        async with hs.Rep(connect="inproc://jobs") as quick:
            for name in (b"b", b"c", b"d"):
                await one.give(name)
                assert await quick.recv() == name
                await quick.send(b"by quick")
                await trio.testing.wait_all_tasks_blocked()
            assert [context for context, _ in one.answered] == [b"b", b"c", b"d"]
        assert await slow.recv() == b"a"


async def test_what_a_worker_had_comes_back_when_it_goes() -> None:
    async with world() as one:
        async with hs.Rep(connect="inproc://jobs"):
            await one.give(b"a", b"b")
            await trio.testing.wait_all_tasks_blocked()
        await there(one, 0)
        assert one.back == [(b"a", "worker gone"), (b"b", "worker gone")]


@pytest.mark.interop
async def test_what_it_answered_before_it_went_counts() -> None:
    async with world(TCP) as one:
        for number in range(20):
            async with Theirs("REP") as rep:
                rep.connect(one.socket.endpoints[0])
                with trio.fail_after(30):
                    await one.give(b"%d" % number)
                    request = await rep.recv_multipart()
                    await rep.send_multipart(request)
            await there(one, 0)
        assert len(one.answered) == 20
        assert one.back == []


async def test_a_job_that_takes_too_long_comes_back(autojump_clock: trio.testing.MockClock) -> None:
    async with world(timeout=5) as one, hs.Rep(connect="inproc://jobs") as slow:
        await one.give(b"a")
        await trio.sleep(3)
        await one.give(b"b")
        await trio.sleep(2.5)
        assert one.back == [(b"a", "timeout")]
        assert not free(one)  # it still has two
        await trio.sleep(3)
        assert one.back == [(b"a", "timeout"), (b"b", "timeout")]
        for _ in range(2):
            await slow.recv()
            await slow.send(b"at last")
        await trio.sleep(1)
        assert one.jobs.counters.late == 2
        assert one.answered == []
        assert free(one)


async def test_only_who_has_a_job_answers_it() -> None:
    async with world() as one, hs.Router(connect="inproc://jobs") as mine:
        await one.give(b"a")
        gateway, token, empty, name = await mine.recv_multipart()
        assert (len(token), empty, name) == (16, b"", b"a")
        async with hs.Dealer(connect="inproc://jobs") as other:
            await other.send_multipart([token, b"", b"stolen"])
            await other.send_multipart([b"what", b"is", b"this"])
            await other.send_multipart([b"this"])
            await other.send_multipart([b"x" * 16, b"", b"unknown"])
            await trio.testing.wait_all_tasks_blocked()
        assert one.answered == []
        assert (one.jobs.counters.late, one.jobs.counters.malformed) == (2, 2)
        await mine.send_multipart([gateway, token, b"", b"mine"])
        await trio.testing.wait_all_tasks_blocked()
        assert one.answered == [(b"a", [b"mine"])]


async def test_waiting_for_a_worker_can_be_cancelled() -> None:
    async with world() as one:
        with trio.move_on_after(0):
            await one.give(b"a")
        async with hs.Rep(connect="inproc://jobs") as rep:
            await one.give(b"b")
            assert await rep.recv() == b"b"
        assert len(one.jobs) == 0 or one.back == []


async def test_who_answers_twice_gets_no_more_than_others() -> None:
    async with world(most=1) as one, hs.Dealer(connect="inproc://jobs") as worker:
        await one.give(b"a")
        answer = [*(await worker.recv_multipart())[:2], b"done"]
        await worker.send_multipart(answer)
        await one.give(b"b")
        await worker.send_multipart(answer)
        await trio.testing.wait_all_tasks_blocked()
        assert (one.jobs.counters.late, one.jobs.is_free) == (1, False)
        await worker.send_multipart([*(await worker.recv_multipart())[:2], b"done"])
        await trio.testing.wait_all_tasks_blocked()
        assert free(one)
        assert [context for context, _ in one.answered] == [b"a", b"b"]


async def test_a_late_answer_frees_its_worker_once(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        world(most=1, timeout=1.0) as one,
        hs.Dealer(connect="inproc://jobs") as worker,
    ):
        await one.give(b"a")
        answer = [*(await worker.recv_multipart())[:2], b"done"]
        await trio.sleep(2)
        assert one.back == [(b"a", "timeout")]
        assert not free(one)
        for _ in range(2):
            await worker.send_multipart(answer)
            await trio.testing.wait_all_tasks_blocked()
            assert free(one)
        await one.give(b"b")
        await worker.send_multipart(answer)
        await trio.testing.wait_all_tasks_blocked()
        assert not free(one)
        assert one.jobs.counters.late == 3
