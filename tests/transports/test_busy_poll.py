"""Looking a moment longer before waiting: only while it pays, and never at others' cost."""

from __future__ import annotations

import pytest
import trio

import hypersocket as hs
from hypersocket.transports import _busy_poll
from hypersocket.transports._busy_poll import MOST_SKIPPED, BusyPoll

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


async def test_never_when_turned_off(clock: Clock) -> None:
    sleeper = Sleeper(clock, 0.0)
    for _ in range(3):
        sleeper.wait(0.0)
        assert not sleeper.busy.pays


async def test_not_while_another_socket_is_waited_for(clock: Clock) -> None:
    one, other = Sleeper(clock), Sleeper(clock)
    found = [one.busy.alone()]
    other.busy.begin_wait()
    found.append(one.busy.alone())
    other.busy.end_wait()
    found.append(one.busy.alone())
    assert found == [True, False, True]


def test_runs_have_nothing_to_do_with_each_other(clock: Clock) -> None:
    async def leave_one_waiting() -> None:
        Sleeper(clock).busy.begin_wait()

    async def be_alone() -> None:
        assert Sleeper(clock).busy.alone()

    trio.run(leave_one_waiting)
    trio.run(be_alone)


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


async def exchange(requests: int, busy_poll: float = MOMENT) -> None:
    async with (
        hs.Rep(bind="tcp://127.0.0.1:*", busy_poll=busy_poll) as rep,
        hs.Req(connect=rep.endpoints[0], busy_poll=busy_poll) as req,
        trio.open_nursery() as nursery,
    ):

        async def serve() -> None:
            for _ in range(requests):
                await rep.send(b"re " + await rep.recv())

        nursery.start_soon(serve)
        for number in range(requests):
            await req.send(b"%d" % number)
            assert await req.recv() == b"re %d" % number


async def test_peers_in_one_run_do_not_look_at_each_others_cost(looks: list[bool]) -> None:
    """While one looked, the other could not answer."""
    await exchange(200)
    assert looks.count(False) <= 2


async def test_the_option_turns_it_off(looks: list[bool]) -> None:
    await exchange(20, busy_poll=0.0)
    assert not looks
