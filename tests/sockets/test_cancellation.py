"""Cancellation at every checkpoint: nothing lost, nothing repeated.

Each operation runs in a task of its own, again and again in a new world, and is cancelled at its
first step, at its second and so on, until it completes undisturbed. "parked" cancels the task
just after it has begun to wait; "woken" just before it runs again, when what it waited for has
happened already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import pytest
import trio
import trio.testing

import hypersocket as hs

from .worlds import drain, eventually, joined

pytestmark = pytest.mark.parametrize("moment", ["parked", "woken"])


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope at one step of one task."""

    def __init__(self, scope: trio.CancelScope, step: int, moment: str) -> None:
        self.scope = scope
        self.step = step
        self.moment = moment
        self.task: trio.lowlevel.Task | None = None
        self.steps = {"parked": 0, "woken": 0}

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._count(task, "woken")

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._count(task, "parked")

    def _count(self, task: trio.lowlevel.Task, moment: str) -> None:
        if task is self.task and moment == self.moment:
            self.steps[moment] += 1
            if self.steps[moment] == self.step:
                self.scope.cancel()


class Attempt:
    """One try of an operation."""

    def __init__(self, step: int, moment: str) -> None:
        self.scope = trio.CancelScope()
        self.instrument = CancelAtStep(self.scope, step, moment)
        self.completed = False
        self.value: Any = None

    @property
    def undisturbed(self) -> bool:
        return not self.scope.cancel_called

    async def run(self, operation: Callable[..., Awaitable[Any]]) -> None:
        self.instrument.task = trio.lowlevel.current_task()
        if self.instrument.step == 0:
            self.scope.cancel()
        trio.lowlevel.add_instrument(self.instrument)
        try:
            with self.scope:
                self.value = await operation()
                self.completed = True
        finally:
            trio.lowlevel.remove_instrument(self.instrument)


async def attempts(moment: str) -> AsyncIterator[Attempt]:
    for step in count():
        attempt = Attempt(step, moment)
        yield attempt
        if attempt.undisturbed:
            assert attempt.completed
            assert step > 0
            return
        assert step < 200, "the operation never completed"


def exhaust(socket: hs.Socket, how: str) -> None:
    """Let the next call make its checkpoint at once, or not at all."""
    socket._budget.left = {"budget": 10, "no budget": 0}[how]


@pytest.mark.parametrize("budget", ["budget", "no budget"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("full", [False, True], ids=["room", "full"])
async def test_send(moment: str, budget: str, batch: int, full: bool, here: str) -> None:
    async for attempt in attempts(moment):
        async with joined(hs.Pull(rcvhwm=1), hs.Push(sndhwm=1), here) as (pull, push):
            size = 1 << 22 if here.startswith("tcp") else 1
            number = 0
            for _ in range(40 if full else 0):
                try:
                    push.send_nowait(b"%d" % number + b" " * size)
                except trio.WouldBlock:
                    break
                number += 1
                await trio.testing.wait_all_tasks_blocked()
            exhaust(push, budget)
            messages = [b"%d" % n for n in range(number, number + batch)]

            async def operation(push: hs.Push = push, messages: list[bytes] = messages) -> None:
                await (push.send_many(messages) if len(messages) > 1 else push.send(messages[0]))

            got: list[bytes] = []

            async def receive(pull: hs.Pull = pull, got: list[bytes] = got) -> None:
                while got[-1:] != [b"end"]:
                    got.append((await pull.recv()).strip())

            async with trio.open_nursery() as nursery:
                async with trio.open_nursery() as trying:
                    trying.start_soon(attempt.run, operation)
                    await trio.testing.wait_all_tasks_blocked()
                    nursery.start_soon(receive)
                await push.send(b"end")
            accepted = messages if attempt.completed else []
            assert got == [*(b"%d" % n for n in range(number)), *accepted, b"end"]


@pytest.mark.parametrize("budget", ["budget", "no budget"])
@pytest.mark.parametrize("form", ["recv", "recv_many", "recv_multipart"])
@pytest.mark.parametrize("ready", [False, True], ids=["empty", "ready"])
async def test_recv(moment: str, budget: str, form: str, ready: bool, here: str) -> None:
    async for attempt in attempts(moment):
        async with joined(hs.Pull(), hs.Push(), here) as (pull, push):
            sent = [b"0", b"1", b"2"]
            if ready:
                await push.send_many(sent)
                await eventually(lambda pull=pull: pull.stats().messages_in == 3)
            exhaust(pull, budget)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attempt.run, getattr(pull, form))
                await trio.testing.wait_all_tasks_blocked()
                if not ready:
                    await push.send_many(sent)
            got = attempt.value if attempt.completed else []
            got = [got] if isinstance(got, bytes) else list(got)
            while len(got) < 3:
                with trio.fail_after(20):
                    got.append(await pull.recv())
            assert got == sent
            assert not drain(pull.recv_nowait)


@pytest.mark.parametrize("correlate", [False, True])
async def test_request(moment: str, correlate: bool, anywhere: str) -> None:
    async for attempt in attempts(moment):
        router, req = hs.Router(), hs.Req(req_correlate=correlate)
        async with joined(router, req, anywhere), trio.open_nursery() as nursery:
            seen: list[bytes] = []

            async def serve(router: hs.Router = router, seen: list[bytes] = seen) -> None:
                async for frames in router.multipart():
                    seen.append(frames[-1])
                    await trio.lowlevel.checkpoint()
                    await router.send_multipart([*frames[:-1], b"re " + frames[-1]])

            nursery.start_soon(serve)
            async with trio.open_nursery() as trying:
                trying.start_soon(attempt.run, lambda req=req: req.request(b"first"))
            assert attempt.value == (b"re first" if attempt.completed else None)
            with trio.fail_after(20):
                assert await req.request(b"second") == b"re second"
            assert seen in ([b"first", b"second"], [b"second"])
            assert b"first" in seen or not attempt.completed
            await router.aclose()


async def test_wait_connected_and_wait_subscribed(moment: str, here: str) -> None:
    for wait in (lambda pub: pub.wait_connected(), lambda pub: pub.wait_subscribed(b"x")):
        async for attempt in attempts(moment):
            async with hs.Pub(bind=here) as pub, hs.Sub(subscribe=b"") as sub:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(attempt.run, lambda pub=pub, wait=wait: wait(pub))
                    await trio.testing.wait_all_tasks_blocked()
                    await sub.connect(pub.endpoints[0])
                await pub.wait_subscribed(b"x")
                await pub.send(b"x")
                assert await sub.recv() == b"x"


async def test_bind(moment: str, anywhere: str) -> None:
    async for attempt in attempts(moment):
        async with hs.Pull() as pull, hs.Push() as push:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attempt.run, lambda pull=pull: pull.bind(anywhere))
            if attempt.completed:
                assert list(pull.endpoints) == [attempt.value]
            else:
                assert pull.endpoints == ()
                await pull.bind(anywhere)
            await push.connect(pull.endpoints[0])
            await push.send(b"x")
            assert await pull.recv() == b"x"


async def test_connect(moment: str, anywhere: str) -> None:
    async for attempt in attempts(moment):
        async with hs.Pull(bind=anywhere) as pull, hs.Push() as push:
            where = pull.endpoints[0]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attempt.run, lambda push=push, where=where: push.connect(where))
            if attempt.completed:
                await push.disconnect(where)
            with pytest.raises(ValueError, match="not connected"):
                await push.disconnect(where)
            await eventually(lambda pull=pull: not pull.stats().peers)
            await push.connect(where)
            await push.send(b"x")
            assert await pull.recv() == b"x"


@pytest.mark.parametrize("call", ["unbind", "disconnect"])
async def test_unbind_and_disconnect(moment: str, call: str, anywhere: str) -> None:
    async for attempt in attempts(moment):
        async with joined(hs.Pull(), hs.Push(), anywhere) as (pull, push):
            where = pull.endpoints[0]
            await push.send(b"x")
            await eventually(lambda pull=pull: pull.stats().messages_in)
            socket: Any = pull if call == "unbind" else push
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    attempt.run, lambda s=socket, where=where: getattr(s, call)(where)
                )
            await eventually(
                lambda socket=socket: (
                    not socket.stats().peers or not socket.stats().peers[0].connected
                )
            )
            assert await pull.recv() == b"x"
            if attempt.completed or pull.endpoints == ():
                assert (pull.endpoints == ()) is (call == "unbind")


async def test_aclose(moment: str, anywhere: str) -> None:
    async for attempt in attempts(moment):
        async with joined(hs.Pull(), hs.Push(), anywhere) as (pull, push):
            await push.send(b"x")
            assert await pull.recv() == b"x"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attempt.run, push.aclose)
            with pytest.raises(trio.ClosedResourceError):
                push.send_nowait(b"")
            await eventually(lambda pull=pull: not pull.stats().peers)


async def test_leaving_the_block(moment: str, anywhere: str) -> None:
    async for attempt in attempts(moment):
        async with hs.Pull(bind=anywhere) as pull:
            push = hs.Push(connect=pull.endpoints[0])

            async def operation(push: hs.Push = push) -> None:
                async with push:
                    for number in range(5):
                        await push.send(b"%d" % number)

            tasks = trio.lowlevel.current_statistics().tasks_living
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attempt.run, operation)
            with pytest.raises(trio.ClosedResourceError):
                push.send_nowait(b"")
            await eventually(lambda pull=pull: not pull.stats().peers)
            await eventually(lambda n=tasks: trio.lowlevel.current_statistics().tasks_living <= n)
            got = drain(pull.recv_nowait)
            if attempt.completed:
                assert got == [b"%d" % n for n in range(5)]
            else:
                assert got == [b"%d" % n for n in range(len(got))]
            out = push.stats()
            assert out.messages_out == len(got)
            assert out.queued_out == 0
