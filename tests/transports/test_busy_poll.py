"""Looking a moment longer before waiting: only while it pays, and never at others' cost."""

from __future__ import annotations

import select
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket._speedups import MOST_LOOKED_AT
from hypersocket.transports import _busy_poll
from hypersocket.transports._busy_poll import IN_A_ROW, MOST_SKIPPED, BusyPoll, Run, current_run

MOMENT = 0.001


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(_busy_poll, "perf_counter", made)
    return made


class Sleeper:
    """One socket's waits, of any length."""

    def __init__(self, clock: Clock, seconds: float = MOMENT) -> None:
        self.busy = BusyPoll(seconds)
        self.clock = clock

    def wait(self, seconds: float) -> None:
        self.busy.begin_wait()
        self.clock.now += seconds
        self.busy.end_wait()


@pytest.fixture
async def sleeper(clock: Clock) -> Sleeper:
    return Sleeper(clock)


async def test_not_before_a_wait_was_short(sleeper: Sleeper) -> None:
    assert not sleeper.busy.pays
    sleeper.wait(100 * MOMENT)
    assert not sleeper.busy.pays
    sleeper.wait(2 * MOMENT)
    assert sleeper.busy.pays


async def test_it_goes_on_while_something_comes(sleeper: Sleeper) -> None:
    sleeper.wait(MOMENT)
    for _ in range(10):
        sleeper.busy.looked(True)
        assert sleeper.busy.pays


async def test_a_long_wait_ends_it(sleeper: Sleeper) -> None:
    sleeper.wait(MOMENT)
    sleeper.wait(100 * MOMENT)
    assert not sleeper.busy.pays


async def test_less_and_less_often_where_nothing_comes(sleeper: Sleeper) -> None:
    """A peer that takes a little longer than is looked for costs ever less."""
    skipped = []
    for _ in range(14):
        waits = 0
        while not sleeper.busy.pays:
            sleeper.wait(2 * MOMENT)
            waits += 1
        skipped.append(waits - 1)
        sleeper.busy.looked(False)
    assert skipped == [0, *(min(2**n - 1, MOST_SKIPPED) for n in range(1, 14))]


async def test_what_comes_in_time_wipes_that_out(sleeper: Sleeper) -> None:
    for _ in range(5):
        while not sleeper.busy.pays:
            sleeper.wait(MOMENT)
        sleeper.busy.looked(False)
    while not sleeper.busy.pays:
        sleeper.wait(MOMENT)
    sleeper.busy.looked(True)
    sleeper.busy.looked(False)
    paid = []
    for _ in range(2):
        sleeper.wait(MOMENT)
        paid.append(sleeper.busy.pays)
    assert paid == [False, True]


async def test_after_some_in_a_row_others_have_a_turn(sleeper: Sleeper) -> None:
    sleeper.wait(MOMENT)
    for _ in range(IN_A_ROW):
        assert sleeper.busy.may_look
        sleeper.busy.looked(True)
    assert sleeper.busy.pays
    assert not sleeper.busy.may_look
    sleeper.wait(MOMENT)
    assert sleeper.busy.may_look


async def test_a_turn_of_all_others_counts_as_sleep(sleeper: Sleeper) -> None:
    sleeper.wait(MOMENT)
    may_look = []
    for _ in range(IN_A_ROW + 1):
        may_look.append(sleeper.busy.may_look)
        sleeper.busy.looked(True)
    sleeper.busy.rest()
    assert [*may_look, sleeper.busy.may_look] == [*[True] * IN_A_ROW, False, True]


async def test_never_when_turned_off(clock: Clock) -> None:
    sleeper = Sleeper(clock, 0.0)
    for _ in range(3):
        sleeper.wait(0.0)
        assert not sleeper.busy.pays


def test_runs_have_nothing_to_do_with_each_other() -> None:
    async def which() -> Run:
        assert current_run() is current_run()
        return current_run()

    assert trio.run(which) is not trio.run(which)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What was looked for, with what result; every wait counts as a short one."""
    seen: list[bool] = []

    class Remembering(BusyPoll):
        def looked(self, came: bool) -> None:
            seen.append(came)
            super().looked(came)

    monkeypatch.setattr(_busy_poll, "perf_counter", Clock())
    monkeypatch.setattr("hypersocket.transports._poller.BusyPoll", Remembering)
    return seen


async def exchange(
    requests: int, busy_poll: float = MOMENT, asks: Any = hs.Req, answers: Any = hs.Rep
) -> None:
    async with (
        answers(bind="tcp://127.0.0.1:*", busy_poll=busy_poll) as rep,
        asks(connect=rep.endpoints[0], busy_poll=busy_poll) as req,
        trio.open_nursery() as nursery,
    ):

        async def serve() -> None:
            for _ in range(requests):
                await rep.send(b"re " + await rep.recv())

        nursery.start_soon(serve)
        for number in range(requests):
            await req.send(b"%d" % number)
            assert await req.recv() == b"re %d" % number


@pytest.mark.parametrize(
    "types", [(hs.Req, hs.Rep), (hs.Dealer, hs.Dealer), (hs.Pair, hs.Pair)], ids=str
)
async def test_peers_in_one_run_do_not_look_at_each_others_cost(
    types: tuple[type[hs.Socket], type[hs.Socket]], looks: list[bool]
) -> None:
    """While one looked, the other could not answer."""
    await exchange(200, MOMENT, *types)
    if hs.speedups == "compiled":  # the other form does not look, whatever it is asked
        assert looks.count(False) <= 2


async def test_the_option_turns_it_off(looks: list[bool]) -> None:
    await exchange(20, busy_poll=0.0)
    assert not looks


class Looker:
    """Looks as the compiled core does, but once; and remembers what it has found."""

    def __init__(self) -> None:
        self.found: list[tuple[int, int]] = []  # of how many descriptors, which

    def __call__(self, descriptors: Sequence[int], seconds: float) -> int:
        readable, _, _ = select.select(descriptors, [], [], 0)
        found = descriptors.index(readable[0]) if readable else -1
        self.found.append((len(descriptors), found))
        return found


@pytest.fixture
def looker(monkeypatch: pytest.MonkeyPatch) -> Looker:
    made = Looker()
    monkeypatch.setattr("hypersocket.transports._poller.look", made)
    return made


@asynccontextmanager
async def ways(number: int) -> AsyncIterator[list[tuple[hs.Push, hs.Pull]]]:
    """So many connected pairs of sockets."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(number):
            pull = await stack.enter_async_context(hs.Pull(bind="tcp://127.0.0.1:*"))
            push = await stack.enter_async_context(hs.Push(connect=pull.endpoints[0]))
            await pull.wait_connected()
            await push.wait_connected()
            made.append((push, pull))
        yield made


def let_look(socket: hs.Socket) -> None:
    socket._host.poller.busy_poll.pays = True


async def test_who_looks_serves_others_that_wait(looker: Looker) -> None:
    """And what the looking task has sent is written before it looks."""
    got: list[bytes] = []
    received = trio.Event()
    async with ways(2) as ((push, pull), (its, looking)), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive() -> None:
            # What comes first has the task wait by itself for the next, and not be waited for.
            got.extend([await pull.recv(), await pull.recv()])
            received.set()

        @nursery.start_soon
        async def send_and_look() -> None:
            await push.send(b"first")
            await its.send(b"first")
            await looking.recv()
            while pull._host.poller not in current_run().waiting:
                await trio.lowlevel.checkpoint()
            looker.found.clear()
            let_look(looking)
            await push.send(b"for the other")
            await looking.recv()

        with trio.fail_after(30):
            await received.wait()
        nursery.cancel_scope.cancel()
    assert got == [b"first", b"for the other"]
    assert looker.found[0] == (2, 1)


async def test_nobody_looks_at_too_many(looker: Looker) -> None:
    async with ways(MOST_LOOKED_AT + 1) as made, trio.open_nursery() as nursery:
        for _, pull in made[1:]:
            nursery.start_soon(pull.recv_multipart)
        await trio.testing.wait_all_tasks_blocked()
        let_look(made[0][1])
        nursery.start_soon(made[0][1].recv_multipart)
        await trio.testing.wait_all_tasks_blocked()
        assert not looker.found
        nursery.cancel_scope.cancel()


async def test_other_tasks_run_however_much_comes_in_time(looker: Looker) -> None:
    """A device passes on all that comes without waking a task; it sleeps now and then even so."""
    messages = 10 * IN_A_ROW
    passed = 0
    async with ways(1) as ((push, pull),), trio.open_nursery() as nursery:

        def take(taken: list[Any]) -> bool:
            nonlocal passed
            passed += len(taken)
            push.send_nowait(b"round and round")
            let_look(pull)
            return passed < messages

        await push.send(b"round and round")
        ticks = 0

        @nursery.start_soon
        async def tick() -> None:
            nonlocal ticks
            while True:
                await trio.lowlevel.checkpoint()
                ticks += 1

        await pull._pass_on(take, 1)
        nursery.cancel_scope.cancel()
    assert passed == messages
    assert ticks >= messages // IN_A_ROW - 1
    assert len(looker.found) > IN_A_ROW


async def test_other_tasks_run_however_often_a_task_receives_in_time(looker: Looker) -> None:
    messages = 4 * IN_A_ROW
    ticks = 0
    async with ways(1) as ((push, pull),), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def tick() -> None:
            nonlocal ticks
            while True:
                await trio.lowlevel.checkpoint()
                ticks += 1

        for _ in range(messages):
            let_look(pull)
            await push.send(b"round and round")
            await pull.recv()
        nursery.cancel_scope.cancel()
    assert len(looker.found) > IN_A_ROW
    assert ticks >= messages // IN_A_ROW - 1
