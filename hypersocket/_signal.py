"""A wake-up for the one task that waits for it."""

from __future__ import annotations

import trio


class Signal:
    """One task waits; anyone may set. A set that nobody waits for is kept for the next wait.

    Unlike :class:`trio.Event` it can be used again and again, at the price of a single waiter.
    """

    __slots__ = ("_is_set", "_task")

    def __init__(self) -> None:
        self._is_set = False
        self._task: trio.lowlevel.Task | None = None

    def set(self) -> None:
        """Wake the waiter, or let the next wait return at once."""
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None
        else:
            self._is_set = True

    async def wait(self) -> None:
        """Wait to be set. A cancelled wait leaves the signal as it was."""
        if self._is_set:
            await trio.lowlevel.checkpoint()
            self._is_set = False
            return
        if self._task is not None:
            raise trio.BusyResourceError("another task is waiting already")
        self._task = trio.lowlevel.current_task()

        def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
