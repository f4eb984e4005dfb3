"""Tasks that wait for a socket, or for a word of its own tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import outcome
import trio


class Wait:
    """A task that waits for a socket, in a queue of the socket's own.

    Args:
        withdraw: takes it out of that queue; called when the wait is cancelled.
    """

    __slots__ = ("_task", "leads", "result", "withdraw")

    def __init__(self, withdraw: Callable[[], None]) -> None:
        self.withdraw = withdraw
        self.leads = False
        self.result: outcome.Outcome[Any] | None = None
        self._task = trio.lowlevel.current_task()

    def reschedule(self, value: outcome.Outcome[Any]) -> None:
        """Wake the task, which follows."""
        trio.lowlevel.reschedule(self._task, value)


class Bell:
    """Wakes the one task that waits for it; a ring that nobody waits for is kept."""

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._rung = False

    @property
    def waits(self) -> bool:
        """Whether there is a task to be woken."""
        return self._task is not None

    def ring(self) -> None:
        """Wake it, now or as soon as it waits."""
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None
        else:
            self._rung = True

    async def wait(self, deadline: float) -> None:
        """Wait for a ring, or for the time to come. Always a checkpoint."""
        if self._rung:
            self._rung = False
            await trio.lowlevel.checkpoint()
            return
        self._task = trio.lowlevel.current_task()

        def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        with trio.move_on_at(deadline):
            await trio.lowlevel.wait_task_rescheduled(abort)
