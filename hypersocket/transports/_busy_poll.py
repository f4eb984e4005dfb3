"""Whether to look a moment longer before waiting.

Going to sleep and being woken costs a task some twenty to forty microseconds, most of it in the
system and in the event loop. Where an answer comes sooner than that, as it does in a conversation
with a peer on the same machine or nearby, it is quicker to go on looking. It would cost all other
tasks the time that is spent looking, so it is done only while it pays: after waits that were short,
and less and less often where nothing came in time. And who looks does so for every other socket of
the run that is waited for, and serves it.
"""

from __future__ import annotations

from time import perf_counter
from typing import Protocol

from trio.lowlevel import RunVar

MOST_SKIPPED = 1023
"""Short waits that are passed over, at most, before looking is tried once more."""

SHORT = 4.0
"""A wait is short that took less than so many times what is spent looking."""

IN_A_ROW = 32
"""So often may something come in time before a task sleeps, unless all others ran meanwhile."""


class Watcher(Protocol):
    """Whoever has a task that waits in the system for a socket: its poller."""

    watched: int
    """The descriptor that the task waits for; negative if for none."""

    woke: bool
    """Somebody has been woken, and has not run yet. Who wants to know resets it."""

    def serve(self) -> None:
        """Read and write what can be."""
        ...

    def write(self) -> None:
        """Write what waits to be written."""
        ...


class Run:
    """What the sockets of one run know of one another.

    Attributes:
        waiting: those that have a task waiting in the system.
        unwritten: those that have something to write when the running task pauses.
    """

    def __init__(self) -> None:
        self.waiting: dict[Watcher, None] = {}
        self.unwritten: dict[Watcher, None] = {}


_current: RunVar[Run] = RunVar("hypersocket.run")


def current_run() -> Run:
    """That of the run that this is called in."""
    try:
        return _current.get()
    except LookupError:
        run = Run()
        _current.set(run)
        return run


class BusyPoll:
    """Keeps in mind, for one socket, whether looking has paid.

    Args:
        seconds: how long to look at most; 0 for never.

    Attributes:
        pays: looking is worth a try.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.pays = False
        self._skipped = 0  # at the last miss
        self._to_skip = 0
        self._began = 0.0
        self._in_a_row = 0  # how often looking has brought something since others last ran

    @property
    def may_look(self) -> bool:
        """Whether to look now: it pays, and other tasks have not been kept waiting for long."""
        return self.pays and self._in_a_row < IN_A_ROW

    def looked(self, came: bool) -> None:
        """What looking has brought."""
        if came:
            self._skipped = 0
            self._in_a_row += 1
        else:
            self.pays = False
            self._skipped = self._to_skip = min(2 * self._skipped + 1, MOST_SKIPPED)

    def make_way(self) -> None:
        """Look no more before all other tasks have run: one of them was woken."""
        self._in_a_row = IN_A_ROW

    def rest(self) -> None:
        """All other tasks have run."""
        self._in_a_row = 0

    def begin_wait(self) -> None:
        """A task goes to sleep."""
        self._in_a_row = 0
        self._began = perf_counter()

    def end_wait(self) -> None:
        """It has been woken."""
        if perf_counter() - self._began >= SHORT * self.seconds:
            self.pays = False
        elif self._to_skip > 0:
            self._to_skip -= 1
        else:
            self.pays = True
