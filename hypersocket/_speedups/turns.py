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

    Attributes:
        source: the pipe that the last message came by.
    """

    def __init__(self) -> None:
        self._ready: deque[Any] = deque()
        self.source: Any = None

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, pipe: queues.PipeQueues) -> None:
        """A pipe that had no messages has some."""
        self._ready.append(pipe)

    def remove(self, pipe: queues.PipeQueues) -> None:
        """A pipe's messages were taken past its turn."""
        if pipe in self._ready:
            self._ready.remove(pipe)

    def take(self) -> Message | None:
        """Take the next message; None if there is none."""
        ready = self._ready
        while len(ready) > 0:
            pipe: queues.PipeQueues = ready[0]
            left = pipe.count_incoming()
            # A pipe that gives its last is added when it has the next, which may be at once, from
            # within recv().
            if left < 2 or len(ready) > 1:
                ready.popleft()
                if left > 1:
                    ready.append(pipe)
            if left > 0:  # else its messages were discarded
                self.source = pipe
                message: Message = pipe.recv()
                return message
        return None


class LoadBalancer:
    """The pipes that may have room, in the order of their turns (RFC 28, 30).

    A pipe that proves full is set aside, and costs nothing until it has room again.

    Attributes:
        immediate: whether pipes without a connection are passed over.
    """

    def __init__(self, immediate: bool) -> None:
        self.immediate = immediate
        self._turns: deque[Any] = deque()

    def __len__(self) -> int:
        return len(self._turns)

    def add(self, pipe: queues.PipeQueues) -> None:
        """A pipe may have room."""
        if pipe not in self._turns:
            self._turns.append(pipe)

    def remove(self, pipe: queues.PipeQueues) -> None:
        """A pipe is of no use for now, or for ever."""
        if pipe in self._turns:
            self._turns.remove(pipe)

    def next(self) -> Any:
        """The pipe whose turn it is, with room for a message; None if there is none."""
        turns = self._turns
        while len(turns) > 0:
            pipe: queues.PipeQueues = turns[0]
            if pipe.has_room() and (pipe.connected or not self.immediate):
                if len(turns) > 1:
                    turns.rotate(-1)
                return pipe
            turns.popleft()
        return None

    def send(self, message: Message) -> bool:
        """Send to the next pipe with room; False if there is none."""
        pipe: queues.PipeQueues | None = self.next()
        if pipe is None:
            return False
        pipe.send(message)
        return True

    def send_batch(self, messages: list[Any]) -> bool:
        """Send all messages, if they fit below the high-water marks together.

        A batch that does not is let through where a queue is empty, for it may never fit.
        """
        usable = [pipe for pipe in self._turns if pipe.connected or not self.immediate]
        empty = [pipe for pipe in usable if pipe.flushed and pipe.writable]
        if not empty:
            room = 0
            for pipe in usable:
                room += pipe.room_out
            if room < len(messages):
                for pipe in usable:
                    pipe.want_room()
                return False
        spill = cycle(empty)
        for message in messages:
            (self.next() or next(spill)).send(message)
        return True
