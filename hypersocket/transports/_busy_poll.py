"""Whether to look a moment longer before waiting.

Going to sleep and being woken costs a task some twenty to forty microseconds, most of it in the
system and in the event loop. Where an answer comes sooner than that, as it does in a conversation
with a peer on the same machine or nearby, it is quicker to go on looking. It would cost all other
tasks the time that is spent looking, so it is done only while it pays: after waits that were short,
and less and less often where nothing came in time.
"""

from __future__ import annotations

from time import perf_counter

from trio.lowlevel import RunVar

MOST_SKIPPED = 1023
"""Short waits that are passed over, at most, before looking is tried once more."""

SHORT = 4.0
"""A wait is short that took less than so many times what is spent looking."""


class _Waiting:
    """How many sockets of one run have a task waiting for them in the system."""

    def __init__(self) -> None:
        self.number = 0


_waiting: RunVar[_Waiting] = RunVar("hypersocket.waiting")


class BusyPoll:
    """Keeps in mind, for one socket, whether looking has paid.

    Args:
        seconds: how long to look at most; 0 for never.

    Attributes:
        pays: looking is worth a try; only where no other socket's task waits.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.pays = False
        self._skipped = 0  # at the last miss
        self._to_skip = 0
        self._began = 0.0
        self._all: _Waiting | None = None

    def alone(self) -> bool:
        """Whether no other socket's task waits, which looking would keep waiting."""
        if self._all is None:
            try:
                self._all = _waiting.get()
            except LookupError:
                self._all = _Waiting()
                _waiting.set(self._all)
        return self._all.number == 0

    def looked(self, came: bool) -> None:
        """What looking has brought."""
        if came:
            self._skipped = 0
        else:
            self.pays = False
            self._skipped = self._to_skip = min(2 * self._skipped + 1, MOST_SKIPPED)

    def begin_wait(self) -> None:
        """A task goes to sleep."""
        self.alone()
        assert self._all is not None
        self._all.number += 1
        self._began = perf_counter()

    def end_wait(self) -> None:
        """It has been woken."""
        assert self._all is not None
        self._all.number -= 1
        if perf_counter() - self._began >= SHORT * self.seconds:
            self.pays = False
        elif self._to_skip > 0:
            self._to_skip -= 1
        else:
            self.pays = True
