"""Whose turn it is: fair queueing among those who send, load balancing among those who receive.

Compiled from this same file too; ``_turns.pxd`` has the types.
"""

from __future__ import annotations

from collections import deque
from itertools import cycle
from typing import TYPE_CHECKING, Any

from .._message import Message

if TYPE_CHECKING:
    from . import queues


class FairQueue:
    """The pipes that have messages, in the order of their turns (RFC 28 to 31).

    A pipe is in one fair queue at most: each knows the next.

    Args:
        waiters: those who wait for a message; only while there are some is a pipe's owner told of
            what came. None where the owner is always told.

    Attributes:
        source: the pipe that the last message came by.
    """

    def __init__(self, waiters: deque[Any] | None = None) -> None:
        self._waiters = waiters
        self._first: queues.PipeQueues | None = None
        self._last: queues.PipeQueues | None = None
        self.source: Any = None

    def __len__(self) -> int:
        return self._count()

    def _count(self) -> int:
        count = 0
        pipe = self._first
        while pipe is not None:
            count += 1
            pipe = pipe.next_ready
        return count

    def add(self, pipe: queues.PipeQueues) -> None:
        """A pipe that had no messages has some."""
        if not pipe.in_turn:
            self._append(pipe)

    def incoming(self, pipe: queues.PipeQueues) -> bool:
        """As :meth:`add`; returns whether the pipe's owner is to be told too."""
        if not pipe.in_turn:
            self._append(pipe)
        return self._waiters is None or len(self._waiters) > 0

    def _append(self, pipe: queues.PipeQueues) -> None:
        pipe.in_turn = True
        if self._last is None:
            self._first = pipe
        else:
            self._last.next_ready = pipe
        self._last = pipe

    def remove(self, pipe: queues.PipeQueues) -> None:
        """A pipe's messages were taken past its turn."""
        before: queues.PipeQueues | None = None
        each = self._first
        while each is not None:
            if each is pipe:
                self._unlink(pipe, before)
                return
            before = each
            each = each.next_ready

    def _unlink(self, pipe: queues.PipeQueues, before: queues.PipeQueues | None) -> None:
        if before is None:
            self._first = pipe.next_ready
        else:
            before.next_ready = pipe.next_ready
        if self._last is pipe:
            self._last = before
        pipe.next_ready = None
        pipe.in_turn = False

    def take(self) -> Message | None:
        """Take the next message; None if there is none."""
        return self._take()

    def _take(self) -> Message | None:
        while self._first is not None:
            pipe: queues.PipeQueues = self._first
            left = pipe._count_incoming()
            # A pipe that gives its last is added when it has the next, which may be at once, from
            # within recv().
            if left < 2 or pipe.next_ready is not None:
                self._unlink(pipe, None)
                if left > 1:
                    self._append(pipe)
            if left > 0:  # else its messages were discarded
                self.source = pipe
                message: Message = pipe._recv()
                return message
        return None

    def take_singles(self, most: int) -> list[Any]:
        """Take single-part messages that are there, in the pipes' turns, up to ``most``.

        It ends early, and perhaps with none, where the next message has several parts.
        """
        only = self._first
        if only is not None and only.next_ready is None:
            return self._take_singles_of(only, most)
        left = min(most, self._count_messages())
        taken: list[Any] = []
        while left > 0 and self._first is not None and self._first._count_singles(1) > 0:
            taken.append(self._take())
            left -= 1
        return taken

    def _take_singles_of(self, pipe: queues.PipeQueues, most: int) -> list[Any]:
        count = pipe._count_singles(most)
        if count == 0:
            return []
        if count == pipe._count_incoming():
            self._unlink(pipe, None)  # as in taking one: it may be added again from within
        self.source = pipe
        return pipe._recv_some(count)

    def _count_messages(self) -> int:
        count = 0
        pipe = self._first
        while pipe is not None:
            count += pipe._count_incoming()
            pipe = pipe.next_ready
        return count


class LoadBalancer:
    """The pipes that may have room, in the order of their turns (RFC 28, 30).

    A pipe that proves full is set aside, and costs nothing until it has room again.

    Attributes:
        immediate: whether pipes without a connection are passed over.
    """

    def __init__(self, immediate: bool) -> None:
        self.immediate = immediate
        self._pipes: list[queues.PipeQueues] = []
        self._turn = 0  # the place of the pipe whose turn it is

    def __len__(self) -> int:
        return len(self._pipes)

    def add(self, pipe: queues.PipeQueues) -> None:
        """A pipe may have room."""
        if pipe not in self._pipes:
            # Last in turn: just before the one whose turn it is.
            self._pipes.insert(self._turn, pipe)
            self._turn += 1
            self._wrap()

    def remove(self, pipe: queues.PipeQueues) -> None:
        """A pipe is of no use for now, or for ever."""
        if pipe in self._pipes:
            place = self._pipes.index(pipe)
            del self._pipes[place]
            if place < self._turn:
                self._turn -= 1
            self._wrap()

    def _wrap(self) -> None:
        if self._turn >= len(self._pipes):
            self._turn = 0

    def next(self) -> Any:
        """The pipe whose turn it is, with room for a message; None if there is none."""
        return self._next()

    def _next(self) -> Any:
        pipes = self._pipes
        while len(pipes) > 0:
            pipe: queues.PipeQueues = pipes[self._turn]
            usable = pipe._has_room() and (pipe.connected or not self.immediate)
            # Asking for room may write, which may bring other pipes in, or take this one out.
            turn = self._turn
            if turn >= len(pipes) or pipes[turn] is not pipe:
                continue
            if usable:
                self._turn = turn + 1
                self._wrap()
                return pipe
            del pipes[turn]
            self._wrap()
        return None

    def send(self, message: Message) -> bool:
        """Send to the next pipe with room; False if there is none."""
        return self._send(message)

    def _send(self, message: Message) -> bool:
        pipe: queues.PipeQueues | None = self._next()
        if pipe is None:
            return False
        pipe._send(message)
        return True

    def send_batch(self, messages: list[Any]) -> bool:
        """Send all messages, if they fit below the high-water marks together.

        A batch that does not is let through where a queue is empty, for it may never fit.
        """
        usable = self._usable()
        if not _fit(usable, len(messages)):
            # What waits to be written makes room; and writing may bring pipes in, or take some out.
            for pipe in usable:
                pipe.flush()
            usable = self._usable()
            if not _fit(usable, len(messages)):
                for pipe in usable:
                    pipe.want_room()
                return False
        if len(usable) == 1:
            only: queues.PipeQueues = usable[0]
            only._send_batch(messages)
            return True
        spill = cycle([pipe for pipe in usable if pipe.flushed and pipe.writable])
        for message in messages:
            (self._next() or next(spill)).send(message)
        return True

    def _usable(self) -> list[queues.PipeQueues]:
        return [pipe for pipe in self._pipes if pipe.connected or not self.immediate]


def _fit(pipes: list[queues.PipeQueues], count: int) -> bool:
    """Whether so many messages may be sent together."""
    room = 0
    for pipe in pipes:
        here = pipe._count_room()
        if here > 0 and pipe._is_flushed():
            return True
        room += here
    return 0 < count <= room
