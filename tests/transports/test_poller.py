"""The poller by itself: who leads, who follows, and that every message comes exactly once."""

from __future__ import annotations

import errno
import os
import random
import select
import signal
import socket
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import outcome
import pytest
import trio
import trio.testing

from hypersocket.transports import _poller
from hypersocket.transports._poller import Poller
from hypersocket.transports._waits import Wait

pytestmark = pytest.mark.skipif(not _poller.AVAILABLE, reason="this system has no epoll")


class World:
    """A queue of bytes that come over socket pairs, and tasks that wait for them."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.poller = Poller(nursery.start_soon)
        self.waits: deque[Wait] = deque()
        self.waiting: deque[int] = deque()
        self.timers: list[float] = []
        self.ends: list[End] = []

    def deliver(self, data: bytes) -> None:
        self.waiting.extend(data)
        while self.waiting and self.waits:
            self.poller.wake(self.waits.popleft(), outcome.Value(self.waiting.popleft()))

    async def recv(self) -> int:
        if self.waiting:
            return self.waiting.popleft()
        wait = Wait(self.waits)
        result: int = await self.poller.wait(wait)
        return result

    def connect(self) -> End:
        return End(self)


class End:
    """One connection: what is written at the far end is delivered to the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        world.ends.append(self)
        world.poller.add(self.near.fileno(), self)

    def ready(self, events: int) -> None:
        try:
            data = self.near.recv(100)
        except BlockingIOError:
            return
        if data:
            self.world.deliver(data)
        else:
            self.close()

    def flush(self) -> None:
        pass

    def look(self, seconds: float) -> bool:
        return False

    def time_is_up(self, now: float) -> None:
        self.world.timers.append(now)

    def close(self) -> None:
        self.world.poller.remove(self.near.fileno())
        self.near.close()
        self.far.close()


@asynccontextmanager
async def world() -> AsyncGenerator[World]:
    async with trio.open_nursery() as nursery:
        made = World(nursery)
        try:
            yield made
        finally:
            for end in made.ends:
                end.close()
        nursery.cancel_scope.cancel()


async def settle() -> None:
    """Until everything is blocked, the keeper's standing by being over."""
    for _ in range(2):
        await trio.testing.wait_all_tasks_blocked(2 * _poller.STANDBY)


class Receiver:
    """A task that receives once."""

    def __init__(self, nursery: trio.Nursery, world: World) -> None:
        self.scope = trio.CancelScope()
        self.got: int | None = None
        nursery.start_soon(self._run, world)

    async def _run(self, world: World) -> None:
        with self.scope:
            self.got = await world.recv()


async def receivers(nursery: trio.Nursery, world: World, count: int) -> list[Receiver]:
    """Receivers that wait in this order: the first leads, if somebody can."""
    made: list[Receiver] = []
    for _ in range(count):
        made.append(Receiver(nursery, world))
        await trio.testing.wait_all_tasks_blocked()
    return made


# Cancellation


async def test_a_leader_that_was_woken_is_not_cancelled() -> None:
    async with world() as w, trio.open_nursery() as nursery:
        w.connect()
        (leader,) = await receivers(nursery, w, 1)
        w.deliver(b"a")
        leader.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert leader.got == ord("a")


async def test_a_leader_that_was_cancelled_first_has_taken_nothing_or_one() -> None:
    async with world() as w, trio.open_nursery() as nursery:
        w.connect()
        (leader,) = await receivers(nursery, w, 1)
        leader.scope.cancel()
        w.deliver(b"a")
        await trio.testing.wait_all_tasks_blocked()
        assert [leader.got, *w.waiting].count(ord("a")) == 1


async def test_the_next_leads_when_the_leader_is_cancelled() -> None:
    async with world() as w, trio.open_nursery() as nursery:
        end = w.connect()
        first, second = await receivers(nursery, w, 2)
        first.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        end.far.send(b"a")
        await trio.testing.wait_all_tasks_blocked()
        assert (first.got, second.got) == (None, ord("a"))


async def test_one_that_was_to_lead_and_was_cancelled_hands_on() -> None:
    async with world() as w, trio.open_nursery() as nursery:
        end = w.connect()
        first, second, third = await receivers(nursery, w, 3)
        w.deliver(b"a")  # the first leaves ...
        for _ in range(2):
            await trio.lowlevel.checkpoint()
            second.scope.cancel()  # ... and whenever the second learns that it is to lead
        await trio.testing.wait_all_tasks_blocked()
        end.far.send(b"b")
        await trio.testing.wait_all_tasks_blocked()
        assert (first.got, second.got, third.got) == (ord("a"), None, ord("b"))


async def test_one_that_is_to_lead_is_woken_before_it_can() -> None:
    async with world() as w, trio.open_nursery() as nursery:
        end = w.connect()
        first, second, third = await receivers(nursery, w, 3)
        first.scope.cancel()
        while w.poller._leader is not None and w.poller._leader is not w.waits[0]:
            await trio.lowlevel.checkpoint()
        w.deliver(b"a")
        second.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        end.far.send(b"b")
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(r.got or 0 for r in (first, second, third)) == [0, ord("a"), ord("b")]


def test_an_interrupt_after_the_leader_was_woken_is_kept() -> None:
    """The message is had, and then the interrupt: neither takes the other with it."""
    got: list[int] = []

    async def main() -> None:
        async def wake_and_interrupt(w: World) -> None:
            await trio.testing.wait_all_tasks_blocked()
            w.deliver(b"a")
            signal.raise_signal(signal.SIGINT)

        async with trio.open_nursery() as nursery:
            w = World(nursery)
            end = w.connect()
            nursery.start_soon(trio.lowlevel.enable_ki_protection(wake_and_interrupt), w)
            got.append(await w.recv())
            try:
                await trio.lowlevel.checkpoint()
            finally:
                end.close()
            got.append(0)

    with pytest.raises(BaseExceptionGroup) as caught:
        trio.run(main)
    assert caught.group_contains(KeyboardInterrupt)
    assert got == [ord("a")]


# Any interleaving


@pytest.mark.parametrize("seed", range(40))
async def test_every_message_comes_once_whatever_happens(seed: int) -> None:  # noqa: C901
    """Connections come and go, tasks wait and are cancelled, messages come by all ways."""
    chance = random.Random(seed)
    sent = 0
    got: list[int] = []

    async with world() as w, trio.open_nursery() as nursery:
        ends: list[End] = []
        scopes: list[trio.CancelScope] = []

        async def receive(scope: trio.CancelScope) -> None:
            with scope:
                got.append(await w.recv())

        def start() -> None:
            scopes.append(trio.CancelScope())
            nursery.start_soon(receive, scopes[-1])

        def send_over_a_connection() -> None:
            nonlocal sent
            if ends and sent < 250:
                chance.choice(ends).far.send(bytes([sent]))
                sent += 1

        def send_by_another_task() -> None:
            nonlocal sent
            if sent < 250:
                w.deliver(bytes([sent]))
                sent += 1

        def cancel() -> None:
            if scopes:
                scopes.pop(chance.randrange(len(scopes))).cancel()

        def leave() -> None:
            if ends:
                end = ends.pop(chance.randrange(len(ends)))
                if select.select([end.near], [], [], 0)[0]:
                    end.ready(0)
                end.close()

        def come() -> None:
            ends.append(w.connect())

        deeds: list[Callable[[], None]] = [
            start, start, send_over_a_connection, send_by_another_task, cancel, leave, come,
        ]  # fmt: skip
        for _ in range(300):
            chance.choice(deeds)()
            for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
                await trio.lowlevel.checkpoint()

        # In the end, whoever still waits is served, by a connection that there is or a new one.
        ends.append(w.connect())
        while len(w.waits) < 2:
            start()
            await trio.testing.wait_all_tasks_blocked()
        await settle()
        left = len(w.waits)
        ends[-1].far.send(bytes([250] * left))
        with trio.fail_after(30):
            while w.waits:
                await trio.testing.wait_all_tasks_blocked()
        await settle()
        got.extend(w.waiting)
    assert sorted(got) == [*range(sent), *[250] * left]
    assert w.poller._epoll is None


# Connections


async def test_whoever_waits_leads_as_soon_as_there_is_a_connection() -> None:
    async with world() as w, trio.open_nursery() as nursery:
        (receiver,) = await receivers(nursery, w, 1)
        end = w.connect()
        assert w.poller._leader
        end.far.send(b"a")
        await trio.testing.wait_all_tasks_blocked()
        assert receiver.got == ord("a")


async def test_a_leader_follows_when_the_last_connection_leaves() -> None:
    async with world() as w, trio.open_nursery() as nursery:
        end = w.connect()
        (receiver,) = await receivers(nursery, w, 1)
        end.close()
        await trio.testing.wait_all_tasks_blocked()
        assert w.poller._leader is None
        assert w.poller._epoll is None  # no descriptor is held for nobody
        w.connect().far.send(b"a")
        await trio.testing.wait_all_tasks_blocked()
        assert receiver.got == ord("a")


async def test_a_connection_is_not_told_of_what_was_anothers() -> None:
    """One of two that are ready ends the other, in the same round."""
    async with world() as w:
        one, two = w.connect(), w.connect()
        told: list[End] = []

        def end_the_other(end: End, other: End) -> Callable[[int], None]:
            def ready(events: int) -> None:
                told.append(end)
                other.close()
                end.near.recv(1)

            return ready

        one.ready, two.ready = end_the_other(one, two), end_the_other(two, one)  # type: ignore[assignment, method-assign]
        one.far.send(b"a")
        two.far.send(b"b")
        await settle()
        assert len(told) == 1


async def test_the_keeper_serves_while_nobody_waits(autojump_clock: object) -> None:
    async with world() as w:
        end = w.connect()
        await settle()
        end.far.send(b"a")
        await settle()
        assert list(w.waiting) == [ord("a")]


# Descriptors


def descriptors() -> set[str]:
    return set(os.listdir("/dev/fd"))


async def test_too_few_descriptors_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    async with world() as w:
        with monkeypatch.context() as patch:
            patch.setattr(select, "epoll", Full)
            with pytest.raises(OSError, match="Too many open files"):
                w.connect()
        before = descriptors()
        directory = os.open(".", os.O_RDONLY)
        with pytest.raises(PermissionError):
            w.poller.add(directory, End.__new__(End))  # the system polls none
        os.close(directory)
        assert descriptors() == before
        w.connect().far.send(b"a")
        assert await w.recv() == ord("a")


# Time


async def test_a_timer_runs_while_somebody_leads(autojump_clock: object) -> None:
    async with world() as w, trio.open_nursery() as nursery:
        end = w.connect()
        await receivers(nursery, w, 2)
        due = trio.current_time() + 100
        w.poller.call_at(due, end)
        await trio.sleep(200)
        assert w.timers == [pytest.approx(due)]
        nursery.cancel_scope.cancel()


async def test_an_earlier_timer_wakes_the_keeper(autojump_clock: object) -> None:
    async with world() as w:
        end = w.connect()
        await trio.sleep(1)  # the keeper leads
        now = trio.current_time()
        w.poller.call_at(now + 100, end)
        await trio.sleep(1)
        w.poller.call_at(now + 10, end)
        await trio.sleep(1000)
        assert w.timers == pytest.approx([now + 10, now + 100])


async def test_cancelled_timers_hold_nothing(autojump_clock: object) -> None:
    async with world() as w:
        end = w.connect()
        for _ in range(1000):
            w.poller.cancel(w.poller.call_at(trio.current_time() + 1e6, end))
        assert not len(w.poller.timers)
        assert w.poller.timers.entries < 50
        due = trio.current_time() + 5
        w.poller.call_at(due, end)
        await trio.sleep(10)
        assert w.timers == [pytest.approx(due)]
