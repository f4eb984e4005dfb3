"""One wait for all connections of a socket, by whoever waits anyway.

A task that waits for a message would, with a task for each connection, be woken by another task,
which trio woke because a connection was readable: two or three changes of task for one message.
Here all connections of a socket are in one epoll set, whose descriptor is itself waitable. The
first task that waits for the socket *leads*: it waits for that descriptor itself, reads and
writes whatever is ready, for everyone, and has its own message when it is woken. Others follow;
when the leader leaves, the next leads.

While nobody waits, a task of ours, the keeper, leads, so that heartbeats are answered and ends
are noticed. It makes way for those who wait often: after it has served somebody it stands by for
a moment, for taking the descriptor from it would cost them more than they gain.
"""

from __future__ import annotations

import contextlib
import heapq
import math
import os
import select
import sys
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Any, Protocol

import outcome
import trio

AVAILABLE = sys.platform == "linux" and hasattr(select, "epoll") and hasattr(os, "eventfd")

STANDBY = 0.01
"""Seconds that the keeper leaves the descriptor to those who wait often."""

AT_ONCE = 512
"""Connections that one wake-up serves before others have their turn."""


class Channel(Protocol):
    """A connection in the set. No call raises."""

    def ready(self, events: int) -> None:
        """Read and write what can be."""

    def flush(self) -> None:
        """Write what waits to be written."""

    def time_is_up(self, now: float) -> None:
        """The deadline it asked for has come."""


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


class _Lead:
    """What a follower is woken with when it is to lead."""


class Poller:
    """The connections of one socket, and the tasks that wait for it.

    Args:
        start_soon: runs a task for as long as the socket lives.
    """

    def __init__(self, start_soon: Callable[..., None]) -> None:
        self._start_soon = start_soon
        self.available = AVAILABLE
        self._epoll: select.epoll | None = None
        self._wake_up = -1
        self._nudged = False
        self._channels: dict[int, Channel] = {}
        self._dirty: list[Channel] = []
        self._followers: OrderedDict[Wait, None] = OrderedDict()
        self._leader: Wait | None = None
        self._keeper_leads = False
        self._served = False
        self._serving = False  # whoever leads is at it, and looks for its own result next
        self._timers: list[tuple[float, int, Channel]] = []
        self._numbers = count()
        self._keeps = False
        self._flushes = False
        self._keeper = _Bell()
        self._flusher = _Bell()

    # Connections

    def add(self, fd: int, channel: Channel) -> None:
        """Serve a connection from now on; it wants to be read."""
        if self._epoll is None:
            self._epoll = select.epoll()
            self._wake_up = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._epoll.register(self._wake_up, select.EPOLLIN)
        self._epoll.register(fd, select.EPOLLIN)
        self._channels[fd] = channel
        if not self._keeps:
            self._keeps = True
            self._start_soon(self._keep)
        if not self._flushes:
            self._flushes = True
            self._start_soon(self._flush_always)

    def want(self, fd: int, *, read: bool, write: bool) -> None:
        """Say what a connection is to be told of."""
        assert self._epoll is not None
        self._epoll.modify(fd, read * select.EPOLLIN | write * select.EPOLLOUT)

    def remove(self, fd: int) -> None:
        """Serve a connection no more; called before its descriptor is closed."""
        if self._channels.pop(fd, None) is None or self._epoll is None:
            return
        self._epoll.unregister(fd)
        if not self._channels:
            # The tasks end with the last connection; and who leads has nothing to lead.
            self._keeper.ring()
            self._flusher.ring()
            if not self._serving and (self._keeper_leads or self._leader is not None):
                self._nudge()

    def flush_soon(self, channel: Channel) -> None:
        """Have a connection written when the running task pauses, with all that comes till then."""
        self._dirty.append(channel)
        if len(self._dirty) == 1:
            self._flusher.ring()

    def call_at(self, deadline: float, channel: Channel) -> None:
        """Tell a connection when the time has come."""
        first = self._timers[0][0] if self._timers else math.inf
        heapq.heappush(self._timers, (deadline, next(self._numbers), channel))
        if deadline < first:
            self._keeper.ring()
            if self._keeper_leads:
                self._nudge()

    # Waiting

    async def wait(self, wait: Wait) -> Any:
        """Wait until :meth:`wake` is called for ``wait``, and serve everyone meanwhile.

        Cancelled, it has withdrawn, and was not woken; once it was woken, it is not cancelled.
        """
        if self._leader is None and not self._keeper_leads and self._channels:
            return await self._lead(wait)
        return await self._follow(wait)

    async def _follow(self, wait: Wait) -> Any:
        self._followers[wait] = None

        def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            del self._followers[wait]
            wait.withdraw()
            return trio.lowlevel.Abort.SUCCEEDED

        result = await trio.lowlevel.wait_task_rescheduled(abort)
        if result is _Lead:
            return await self._lead(wait)
        return result

    def wake(self, wait: Wait, result: outcome.Outcome[Any]) -> None:
        """Wake a task that waits, which has been taken out of its queue."""
        self._served = True
        if wait.leads:
            wait.result = result
            if not self._serving:
                self._nudge()
        else:
            self._followers.pop(wait, None)
            wait.reschedule(result)

    async def _lead(self, wait: Wait) -> Any:
        self._leader = wait
        wait.leads = True
        try:
            self._flush()
            while wait.result is None and self._channels:
                await trio.lowlevel.wait_readable(self._descriptor())
                self._serve()
        except BaseException:
            # A message that is ours already is not given back; a cancellation finds the task at
            # its next checkpoint.
            if wait.result is None:
                wait.withdraw()
                raise
        finally:
            self._leader = None
            wait.leads = False
            self._hand_over()
        if wait.result is None:
            return await self._follow(wait)
        return wait.result.unwrap()

    def _descriptor(self) -> int:
        if self._epoll is None:
            raise trio.ClosedResourceError("the socket was closed")
        return self._epoll.fileno()

    def _hand_over(self) -> None:
        if not self._channels:
            self._close_when_idle()
        elif self._followers:
            wait, _ = self._followers.popitem(last=False)
            self._leader = wait
            wait.leads = True
            wait.reschedule(outcome.Value(_Lead))
        elif self._keeper.waits:
            self._keeper.ring()

    def _nudge(self) -> None:
        if not self._nudged and self._wake_up >= 0:
            self._nudged = True
            os.eventfd_write(self._wake_up, 1)

    # Serving

    @trio.lowlevel.enable_ki_protection
    def _serve(self) -> None:
        if self._epoll is None:
            return
        self._serving = True
        for fd, events in self._epoll.poll(0, AT_ONCE):
            if fd == self._wake_up:
                os.eventfd_read(fd)
                self._nudged = False
            elif (channel := self._channels.get(fd)) is not None:
                channel.ready(events)
        self._flush_dirty()
        self._serving = False

    @trio.lowlevel.enable_ki_protection
    def _flush(self) -> None:
        self._serving = True
        self._flush_dirty()
        self._serving = False

    def _flush_dirty(self) -> None:
        while self._dirty:
            dirty, self._dirty = self._dirty, []
            for channel in dirty:
                channel.flush()

    async def _flush_always(self) -> None:
        while self._channels:
            await self._flusher.wait(math.inf)
            self._flush_dirty()
        self._flushes = False

    async def _keep(self) -> None:
        try:
            while self._channels:
                await self._keep_once()
                self._tell_time()
        except BaseException:
            self._close()
            raise
        self._keeps = False
        self._close_when_idle()

    async def _keep_once(self) -> None:
        deadline = self._timers[0][0] if self._timers else math.inf
        if self._leader is not None or not self._channels:
            await self._keeper.wait(deadline)
            self._served = True
        elif self._served:
            self._served = False
            await trio.sleep_until(min(deadline, trio.current_time() + STANDBY))
        else:
            self._keeper_leads = True
            try:
                with trio.move_on_at(deadline):
                    await trio.lowlevel.wait_readable(self._descriptor())
            finally:
                self._keeper_leads = False
            self._served = False
            self._serve()
            if self._served and self._followers:
                self._hand_over()

    def _tell_time(self) -> None:
        now = trio.current_time()
        while self._timers and self._timers[0][0] <= now:
            channel = heapq.heappop(self._timers)[2]
            channel.time_is_up(now)
        self._flush_dirty()

    def _close_when_idle(self) -> None:
        if not self._channels and self._leader is None and not self._keeps:
            self._close()

    def _close(self) -> None:
        epoll, self._epoll = self._epoll, None
        if epoll is not None:
            with contextlib.suppress(OSError):
                trio.lowlevel.notify_closing(epoll.fileno())
            epoll.close()
            os.close(self._wake_up)
            self._wake_up = -1
            self._nudged = False


class _Bell:
    """Wakes the one task that waits for it; a ring that nobody waits for is kept."""

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._rung = False

    @property
    def waits(self) -> bool:
        return self._task is not None

    def ring(self) -> None:
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None
        else:
            self._rung = True

    async def wait(self, deadline: float) -> None:
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
