"""A broker that answers soon is looked for before it is waited for, and so are the sockets."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import cast

import pytest
import trio
import trio.testing

from hypersocket._speedups import MOST_LOOKED_AT
from hypersocket.amqp import Subscription
from hypersocket.devices.amqp_gateway._client import Delivery, PromptReceiver
from hypersocket.devices.amqp_gateway.clients.v091 import _nearby
from hypersocket.devices.amqp_gateway.clients.v091._nearby import Nearby
from hypersocket.transports._busy_poll import IN_A_ROW, current_run

from .peers import deliver
from .test_direct import connected
from .test_link import Scene, scene

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sockets are files on POSIX alone")


class Looker:
    """Looks as the compiled core does, but once; remembers how many it was to look at."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, descriptors: Sequence[int], seconds: float) -> int:
        assert seconds > 0
        self.asked.append(len(descriptors))
        readable, _, _ = select.select(descriptors, [], [], 0)
        return descriptors.index(readable[0]) if readable else -1


@pytest.fixture
def looker(monkeypatch: pytest.MonkeyPatch) -> Looker:
    made = Looker()
    monkeypatch.setattr(_nearby, "look", made)
    return made


class End:
    """One that is looked for: reads from its end of a pair of sockets."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.read: list[bytes] = []
        self.nearby = Nearby(self.near.fileno(), self.receive, seconds)
        self.nearby._busy.pays = True

    def receive(self) -> None:
        with suppress(BlockingIOError):
            self.read.append(self.near.recv(100))

    def wakes(self) -> bool:
        """Whether somebody is to run once it was served."""
        self.nearby.serve()
        return self.nearby.woke


@contextmanager
def ends(number: int) -> Iterator[list[End]]:
    made = [End() for _ in range(number)]
    try:
        yield made
    finally:
        for one in made:
            one.near.close()
            one.far.close()


async def test_what_has_come_is_read_without_a_wait(looker: Looker) -> None:
    with ends(1) as (one,):
        one.far.send(b"soon")
        assert one.nearby.look()
        assert one.read == [b"soon"]
        assert not one.nearby.look()  # nothing more came, and so it pays no longer
        assert not one.nearby.look()
    assert looker.asked == [1, 1]


async def test_not_before_it_pays_nor_too_often_in_a_row(looker: Looker) -> None:
    with ends(1) as (one,):
        one.nearby._busy.pays = False
        one.far.send(b"soon")
        assert not one.nearby.look()
        assert not looker.asked
        one.nearby._busy.pays = True
        for _ in range(IN_A_ROW):
            one.far.send(b"soon")
            assert one.nearby.look()
        assert not one.nearby.look()


async def test_others_that_are_waited_for_are_served(looker: Looker) -> None:
    with ends(2) as (one, other):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.nearby.wait)
            await trio.testing.wait_all_tasks_blocked()
            other.far.send(b"for the other")
            assert one.nearby.look()
            assert (one.read, other.read) == ([], [b"for the other"])
            nursery.cancel_scope.cancel()
        assert not current_run().waiting
        assert other.nearby.watched < 0
        one.far.send(b"for itself")
        assert one.nearby.look()
    assert looker.asked == [2, 1]


async def test_who_was_woken_meanwhile_runs_first(looker: Looker) -> None:
    with ends(1) as (one,):
        came = trio.Event()

        def receive() -> None:
            one.receive()
            came.set()

        one.nearby = Nearby(one.near.fileno(), receive, 1.0)
        one.nearby._busy.pays = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(came.wait)
            await trio.testing.wait_all_tasks_blocked()
            one.far.send(b"soon")
            assert not one.nearby.look()
        assert one.read == [b"soon"]
        assert looker.asked == [1]


async def test_where_too_many_are_waited_for_it_looks_for_none(looker: Looker) -> None:
    with ends(MOST_LOOKED_AT + 1) as (one, *others):
        async with trio.open_nursery() as nursery:
            for other in others:
                nursery.start_soon(other.nearby.wait)
            await trio.testing.wait_all_tasks_blocked()
            one.far.send(b"soon")
            assert not one.nearby.look()
            nursery.cancel_scope.cancel()
    assert not looker.asked


class Asked:
    """Asks trio, and counts how often."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        monkeypatch.setattr(_nearby, "_statistics", self)

    def __call__(self) -> trio.lowlevel.RunStatistics:
        self.times += 1
        return trio.lowlevel.current_statistics()


async def test_where_the_application_waits_for_many_trio_is_asked_seldom(
    looker: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it takes to answer grows with them."""
    monkeypatch.setattr(_nearby, "MOST_WAITED_FOR", 5)
    monkeypatch.setattr(_nearby, "UNASKED", 10)
    asked = Asked(monkeypatch)
    with ends(7) as (one, *others):
        async with trio.open_nursery() as nursery:
            for other in others:
                nursery.start_soon(trio.lowlevel.wait_readable, other.near.fileno())
            await trio.testing.wait_all_tasks_blocked()
            one.far.send(b"first")
            assert one.nearby.look()
            for _ in range(10):
                one.far.send(b"more")
                assert not one.nearby.look()  # somebody may be to run
                one.nearby._busy.rest()
                assert asked.times == 1
            assert [one.wakes(), asked.times] == [False, 2]
            assert [one.wakes(), asked.times] == [True, 2]
            nursery.cancel_scope.cancel()
        for _ in range(9):
            one.nearby.serve()
        assert asked.times == 2
        for _ in range(3):
            one.far.send(b"alone")
            assert one.nearby.look()
        assert asked.times == 5
    assert looker.asked


async def receiver_of(it: Scene, take: list[bytes], busy_poll: float) -> PromptReceiver:
    wanted = Subscription(queue="q")
    found = cast("PromptReceiver", await it.asked(lambda: it.client.open_receiver(wanted), 3))

    def took(deliveries: list[Delivery]) -> None:
        take.extend(one.body for one in deliveries)

    found.give_to(took, busy_poll=busy_poll)
    return found


@asynccontextmanager
async def looking(busy_poll: float = 1.0) -> AsyncIterator[tuple[Scene, list[bytes]]]:
    """A client whose reader looks, as far as it may, and what is delivered to it."""
    came: list[bytes] = []
    async with scene(connected) as it, it.far:
        await receiver_of(it, came, busy_poll)
        await it.say(deliver(1, b"first"))  # the reader sees that it is to look only after this
        await trio.testing.wait_all_tasks_blocked()
        yield it, came


async def test_whoever_looks_is_given_what_the_broker_sends(looker: Looker) -> None:
    async with looking() as (it, came):
        nearby = it.link._nearby
        assert nearby is not None
        assert list(current_run().waiting) == [nearby]
        os.write(it.far.socket.fileno(), deliver(2, b"second"))  # no other task runs meanwhile
        with ends(1) as (one,):
            assert one.nearby.look()
        assert came == [b"first", b"second"]
        await it.say(deliver(3, b"third"))
        await trio.testing.wait_all_tasks_blocked()
        assert came[2:] == [b"third"]
    assert looker.asked


async def test_the_end_is_told_whoever_finds_it(looker: Looker) -> None:
    async with looking() as (it, _):
        it.far.socket.close()
        with ends(1) as (one,):
            assert not one.nearby.look()  # those who are told of it are to run
        with trio.fail_after(30):
            assert (await it.client.wait_lost()).temporary
    assert looker.asked
    assert not current_run().waiting


async def test_it_is_off_without_time_to_look_for(looker: Looker) -> None:
    async with looking(0.0) as (it, came):
        assert it.link._nearby is None
        assert came == [b"first"]
    assert not looker.asked


async def test_who_asks_for_most_has_his_way() -> None:
    async with looking(1.0) as (it, _):
        before = it.link._nearby
        it.link.look_for(0.5)
        assert it.link._nearby is before
        it.link.look_for(2.0)
        assert it.link._nearby is not None
        assert it.link._nearby.seconds == 2.0
