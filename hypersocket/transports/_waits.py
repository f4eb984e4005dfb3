"""Tasks that wait for a socket, or for a word of its own tasks."""

from __future__ import annotations

from collections import deque
from typing import Any

import outcome
import trio


class Wait:
    """A task that waits for a socket, in a queue of the socket's own.

    Nothing in it may lead back to it: it holds the messages that the task was woken with, which
    would be kept until the next collection of garbage.

    Args:
        queue: who waits for the same; it joins.
    """

    __slots__ = ("_queue", "_task", "leads", "result")

    def __init__(self, queue: deque[Any]) -> None:
        self._queue = queue
        self.leads = False
        self.result: outcome.Outcome[Any] | None = None
        self._task = trio.lowlevel.current_task()
        queue.append(self)

    def withdraw(self) -> None:
        """Leave the queue; the wait was cancelled."""
        self._queue.remove(self)

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
