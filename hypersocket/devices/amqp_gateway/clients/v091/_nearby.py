"""Looking a moment longer for what the broker says, before waiting in the system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from ....._speedups import MOST_LOOKED_AT, look
from .....transports._busy_poll import BusyPoll, Watcher, current_run

_statistics: Final = trio.lowlevel.current_statistics

MOST_WAITED_FOR = 256
"""Descriptors of the run, beyond which trio is not asked each time whether somebody is to run.

Its answer has a count of them, made anew, so that asking takes a microsecond and 20 ns for each:
20 us with a thousand and 200 us with ten thousand, which is more than looking can save.
"""

UNASKED = 1000
"""As often is it taken then that somebody is, before trio is asked again."""


class Nearby:
    """A connection whose reader looks before it waits, where that has paid lately.

    It does so for the sockets of the run that are waited for too, as they do for it: so a short
    conversation between them and the broker goes on without a sleep.

    Args:
        fd: the connection's descriptor.
        read: reads what is there, if anything, and has everyone told. It does not raise.
        seconds: how long to look at most.

    Attributes:
        watched: the descriptor while the reader waits for it; negative otherwise.
        seconds: likewise.
        woke: somebody has been woken, and has not run yet.
    """

    def __init__(self, fd: int, read: Callable[[], None], seconds: float) -> None:
        self.watched = -1
        self.woke = False
        self.seconds = seconds
        self._fd = fd
        self._read = read
        self._run = current_run()
        self._busy = BusyPoll(seconds)
        self._unasked = 0  # how often it is still taken that somebody is to run

    @trio.lowlevel.enable_ki_protection
    def serve(self) -> None:
        """Read what is there."""
        self._read()
        self.woke = self._somebody_is_to_run()

    def write(self) -> None:
        """What is published is written at once, or by the connection's writer."""

    @trio.lowlevel.enable_ki_protection
    def look(self) -> bool:
        """Serve what comes within a moment, to this connection or another that is waited for.

        Returns:
            Whether to look again, rather than sleep.
        """
        busy, run = self._busy, self._run
        if not busy.may_look:
            return False
        for one in tuple(run.unwritten):  # those who would do it could not run
            one.write()
        waiting = tuple(run.waiting)
        if len(waiting) >= MOST_LOOKED_AT:
            return False
        found = look((self._fd, *[one.watched for one in waiting]), busy.seconds)
        busy.looked(found >= 0)
        if found < 0:
            return False
        if found == 0:
            self._read()
            return not self._somebody_is_to_run()
        other: Watcher = waiting[found - 1]
        other.woke = False
        other.serve()
        # Who is woken otherwise than by a socket is to run too, such as one who waits for room.
        return not (other.woke or self._somebody_is_to_run())

    async def wait(self) -> None:
        """Wait in the system until there is something to read. Cancelled, it has read nothing."""
        self._run.waiting[self] = None
        self._busy.begin_wait()
        self.watched = self._fd
        try:
            await trio.lowlevel.wait_readable(self._fd)
        finally:
            self.watched = -1
            self._busy.end_wait()
            del self._run.waiting[self]

    def _somebody_is_to_run(self) -> bool:
        if self._unasked > 0:
            self._unasked -= 1
            return True
        answer = _statistics()
        waited_for = sum(getattr(answer.io_statistics, name, 0) for name in _COUNTS)
        if waited_for > MOST_WAITED_FOR:
            self._unasked = UNASKED
        return answer.tasks_runnable > 0


_COUNTS: Final = ("tasks_waiting_read", "tasks_waiting_write", "tasks_waiting")
"""As the systems' ways of waiting call them."""
