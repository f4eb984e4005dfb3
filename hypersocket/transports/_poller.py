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

import math
import select
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import outcome
import trio

from .._speedups import MOST_LOOKED_AT, Channels, flush_dirty, look
from ._busy_poll import BusyPoll, Run, current_run
from ._timers import Timed, Timers
from ._waits import Bell, Wait

AVAILABLE = hasattr(select, "epoll")

STANDBY = 0.002
"""Seconds that the keeper leaves the descriptor to those who wait often."""

BREATHS = 16
"""As often may one who is busy sending let others run before what he sent is written."""

AT_ONCE = 64
"""Connections that one wake-up serves before others have their turn."""


class Channel(Protocol):
    """A connection in the set. No call raises."""

    def ready(self, events: int) -> None:
        """Read and write what can be, if anything."""

    def flush(self) -> None:
        """Write what waits to be written."""


class Sink(Protocol):
    """Whoever is sent, by a device, what a socket reads.

    Attributes:
        fed: it is being sent such by one that is serving, and that sees to the writing then.
    """

    fed: bool

    def write(self) -> None:
        """Write what waits to be written."""


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
        self.busy_poll = BusyPoll(0.0)
        self._run = Run()  # replaced by the one that all sockets of the run have
        self._epoll: select.epoll | None = None
        self._channels = Channels()
        self._resting: set[int] = set()  # want to be told of nothing; not in the epoll set
        self._writing: set[int] = set()  # want to be told when they can be written
        self._only = -1  # the one connection that there is, if it wants to be read and no more
        self.dirty: list[Channel] = []  # who has something to write; see flush_soon
        self.sinks: list[Sink] = []  # what is read here is sent there, by a device
        self.fed = False  # see Sink
        self._followers: OrderedDict[Wait, None] = OrderedDict()
        self._leader: Wait | None = None
        self._keeper_leads = False
        self.breathes = False  # set by a task that lets others run, and goes on then
        self.has_served = False
        self._left = False  # a leader has left since the keeper last looked
        self.watched = -1  # the descriptor that whoever leads waits for
        self.woke = False
        self._serving = False  # whoever leads is at it, and looks for its own result next
        self.timers = Timers()
        self._keeps = False
        self._flushes = False
        self._keeper = Bell()
        self._flusher = Bell()

    # Connections

    def add(self, fd: int, channel: Channel) -> None:
        """Serve a connection from now on; it wants to be read.

        Raises:
            OSError: the system is short of something, such as descriptors.
        """
        if self._epoll is None:
            self._epoll = select.epoll()
            self._run = current_run()
        try:
            self._channels.add(fd, channel)
            self._epoll.register(fd, select.EPOLLIN)
        except BaseException:
            self._channels.remove(fd)
            self._close_when_idle()
            raise
        self._look_again()
        if not self._keeps:
            self._keeps = True
            self._start_soon(self._keep)
        if not self._flushes:
            self._flushes = True
            self._start_soon(self._flush_always)
        if self._leader is None and not self._keeper_leads and self._followers:
            self._hand_over()

    def want(self, fd: int, *, read: bool, write: bool) -> None:
        """Say what a connection is to be told of.

        Raises:
            OSError: the system is short of something.
        """
        assert self._epoll is not None
        events = read * select.EPOLLIN | write * select.EPOLLOUT
        if not events:
            # Out of the set: a peer that has hung up would be told of all the time, unasked.
            self._epoll.unregister(fd)
            self._resting.add(fd)
        elif fd in self._resting:
            self._epoll.register(fd, events)
            self._resting.remove(fd)
        else:
            self._epoll.modify(fd, events)
        if write:
            self._writing.add(fd)
        else:
            self._writing.discard(fd)
        self._look_again()

    def remove(self, fd: int) -> None:
        """Serve a connection no more; called before its descriptor is closed."""
        if not self._channels.remove(fd) or self._epoll is None:
            return
        if fd in self._resting:
            self._resting.remove(fd)
        else:
            self._epoll.unregister(fd)
        self._writing.discard(fd)
        self._look_again()
        if not self._channels:
            # The tasks end with the last connection; and who leads has nothing to lead.
            self._keeper.ring()
            self._flusher.ring()
            self._call_back()

    @trio.lowlevel.enable_ki_protection
    def flush_soon(self, channel: Channel) -> None:
        """Have a connection written when the running task pauses, with all that comes till then."""
        self.dirty.append(channel)
        if len(self.dirty) == 1:
            self.ring_flusher()

    @trio.lowlevel.enable_ki_protection
    def ring_flusher(self) -> None:
        """Has to be called by who puts the first channel into :attr:`dirty` himself."""
        if not self.fed:
            self._run.unwritten[self] = None
            self._flusher.ring()

    def call_at(self, deadline: float, channel: Timed) -> int:
        """Tell a connection when the time has come; returns what :meth:`cancel` takes."""
        first = self.timers.next_deadline
        number = self.timers.add(deadline, channel)
        if deadline < first:
            self._keeper.ring()
            if self._keeper_leads:
                self._call_back()
        return number

    def cancel(self, number: int) -> None:
        """Forget a timer, unless it is over: nothing holds its connection any more."""
        self.timers.cancel(number)

    # Waiting

    @trio.lowlevel.enable_ki_protection
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
        self.has_served = self.woke = True
        if wait.leads:
            wait.result = result
            self._call_back()
        else:
            self._followers.pop(wait, None)
            wait.reschedule(result)

    async def _lead(self, wait: Wait) -> Any:
        self._leader = wait
        wait.leads = True
        try:
            self.write()
            while wait.result is None and self._channels:
                if not self._look():
                    await self._sleep()
        except trio.Cancelled:
            # A message that is ours already is not given back; a cancellation finds the task at
            # its next checkpoint.
            if wait.result is None:
                wait.withdraw()
                raise
        except BaseException:
            if wait.result is None:
                wait.withdraw()
            raise
        finally:
            self._leader = None
            self._left = True
            wait.leads = False
            self._hand_over()
        if wait.result is None:
            return await self._follow(wait)
        return wait.result.unwrap()

    def _look(self) -> bool:
        """Serve what comes within a moment, to any socket of the run that is waited for.

        Returns:
            Whether to look again, rather than sleep, if this has not brought what is waited for.
        """
        busy = self.busy_poll
        if not busy.may_look or self._only < 0:
            return False
        for poller in tuple(self._run.unwritten):  # those who would do it could not run
            poller.write()
        waiting = tuple(self._run.waiting)
        if len(waiting) >= MOST_LOOKED_AT:
            return False
        found = look((self._only, *(poller.watched for poller in waiting)), busy.seconds)
        busy.looked(found >= 0)
        if found < 0:
            return False
        if found == 0:
            self._serve()
            return True
        other = waiting[found - 1]
        other.woke = False
        other.serve()
        if other.woke:
            busy.make_way()
        return not other.woke

    async def _sleep(self) -> None:
        """Wait in the system, and serve what is ready."""
        self._run.waiting[self] = None
        self.busy_poll.begin_wait()
        try:
            await self._watch()
        finally:
            self.busy_poll.end_wait()
            del self._run.waiting[self]

    async def _watch(self) -> None:
        """Wait until connections are ready, and serve them; or until :meth:`_call_back`."""
        if self._epoll is None:
            raise trio.ClosedResourceError("the socket was closed")
        # The set can be waited for like a connection. Where there is but one, that costs less.
        watched = self._only if self._only >= 0 else self._epoll.fileno()
        self.watched = watched
        try:
            await trio.lowlevel.wait_readable(watched)
        except trio.ClosedResourceError:
            return
        finally:
            self.watched = -1
        self._serve()

    def _call_back(self) -> None:
        """Have whoever leads look up from the descriptor. It cannot be cancelled before that."""
        if self.watched >= 0:
            trio.lowlevel.notify_closing(self.watched)

    def _look_again(self) -> None:
        """See whether there is one connection alone, which wants to be read and nothing else."""
        only = -1
        if not self._resting and not self._writing:
            only = self._channels.only()
        if only != self._only:
            self._only = only
            self._call_back()

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

    # Serving

    @trio.lowlevel.enable_ki_protection
    def serve(self) -> None:
        """Serve what is ready by now; for one who would otherwise wait."""
        if not self._serving:
            self.has_served = True  # so that the keeper stands by
            self._serve()

    @trio.lowlevel.enable_ki_protection
    def look(self) -> bool:
        """Serve what comes within a moment; for one who would otherwise wait.

        Returns:
            Whether something came, be it what is waited for or not.
        """
        if self._leader is not None or self._keeper_leads or self._serving or not self._look():
            return False
        self.has_served = True  # so that the keeper stands by
        return True

    def _serve(self) -> None:
        if self._epoll is None:
            return
        self._serving = True
        for sink in self.sinks:
            sink.fed = True
        try:
            if self._only >= 0:
                self._channels.ready(self._only, select.EPOLLIN)
            else:
                self._channels.serve(self._epoll, AT_ONCE)
            flush_dirty(self.dirty)
        finally:
            self._serving = False
            for sink in self.sinks:
                sink.fed = False
                sink.write()

    @trio.lowlevel.enable_ki_protection
    def write(self) -> None:
        """Write what waits to be written."""
        self._run.unwritten.pop(self, None)
        self._serving = True
        try:
            flush_dirty(self.dirty)
        finally:
            self._serving = False

    async def _flush_always(self) -> None:
        while self._channels:
            await self._flusher.wait(math.inf)
            await self._let_gather()
            self._run.unwritten.pop(self, None)
            flush_dirty(self.dirty)
        self._flushes = False

    async def _let_gather(self) -> None:
        """Wait while one who sends has only let others run, and is not done yet."""
        if not self.breathes:
            return
        still = 0
        for _ in range(BREATHS):
            # Tasks run in any order: who has not come by in one round may have in the next.
            still = 0 if self.breathes else still + 1
            if still == 2:
                return
            self.breathes = False
            await trio.lowlevel.checkpoint()

    async def _keep(self) -> None:
        try:
            while self._channels:
                await self._keep_once()
                self.timers.tell(trio.current_time())
                flush_dirty(self.dirty)
        except BaseException:
            self._close()
            raise
        self._keeps = False
        self._close_when_idle()

    async def _keep_once(self) -> None:
        deadline = self.timers.next_deadline
        if not self._channels:
            await self._keeper.wait(deadline)
        elif self._leader is not None and not self._left:
            await self._keeper.wait(deadline)  # until that one leaves
            self.has_served = True
        elif self.has_served or self._leader is not None:
            # Those who wait often come and go without a word to the keeper.
            self.has_served = self._left = False
            await trio.sleep_until(min(deadline, trio.current_time() + STANDBY))
        else:
            self._keeper_leads = True
            self.has_served = False
            try:
                with trio.move_on_at(deadline):
                    await self._watch()
            finally:
                self._keeper_leads = False
            if self.has_served and self._followers:  # by what it has just served
                self._hand_over()

    def _close_when_idle(self) -> None:
        if not self._channels and self._leader is None and not self._keeps:
            self._close()

    def _close(self) -> None:
        if self._epoll is not None:
            self._call_back()
            self._epoll.close()
            self._epoll = None
