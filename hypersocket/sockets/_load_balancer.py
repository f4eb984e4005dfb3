"""Load balancing: each message to the next peer that has room (RFC 28, 30)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import cycle

from .._message import Message
from ..transports import Pipe


class LoadBalancer:
    """The pipes that may have room, in the order of their turns.

    A pipe that proves full is set aside, and costs nothing until it has room again.

    Args:
        immediate: tells whether pipes without a connection are passed over.
    """

    def __init__(self, immediate: Callable[[], bool]) -> None:
        self._immediate = immediate
        self._turns: deque[Pipe] = deque()

    def __len__(self) -> int:
        return len(self._turns)

    def add(self, pipe: Pipe) -> None:
        """A pipe may have room."""
        if pipe not in self._turns:
            self._turns.append(pipe)

    def remove(self, pipe: Pipe) -> None:
        """A pipe is of no use for now, or for ever."""
        if pipe in self._turns:
            self._turns.remove(pipe)

    def next(self) -> Pipe | None:
        """The pipe whose turn it is, with room for a message; the turn goes on."""
        turns = self._turns
        while turns:
            pipe = turns[0]
            if pipe.writable and (pipe.connected or not self._immediate()):
                if len(turns) > 1:
                    turns.rotate(-1)
                return pipe
            turns.popleft()
        return None

    def send(self, message: Message) -> bool:
        """Send to the next pipe with room; False if there is none."""
        pipe = self.next()
        if pipe is None:
            return False
        pipe.send(message)
        return True

    def send_batch(self, messages: list[Message]) -> bool:
        """Send all messages, if they fit below the high-water marks together.

        A batch that does not is let through where a queue is empty, for it may never fit.
        """
        usable = [pipe for pipe in self._turns if pipe.connected or not self._immediate()]
        empty = [pipe for pipe in usable if pipe.flushed and pipe.writable]
        if not empty and sum(pipe.room_out for pipe in usable) < len(messages):
            for pipe in usable:
                pipe.want_room()
            return False
        spill = cycle(empty)
        for message in messages:
            (self.next() or next(spill)).send(message)
        return True
