"""Fair queueing: one message from each peer that has some, in turn (RFC 28 to 31)."""

from __future__ import annotations

from collections import deque

from .._message import Message
from ..transports import Pipe


class FairQueue:
    """The pipes that have messages, in the order of their turns."""

    def __init__(self) -> None:
        self._ready: deque[Pipe] = deque()

    def add(self, pipe: Pipe) -> None:
        """A pipe that had no messages has some."""
        self._ready.append(pipe)

    def recv(self) -> tuple[Pipe, Message] | None:
        """Take the next message, with the pipe it came by; None if there is none."""
        ready = self._ready
        while ready:
            pipe = ready.popleft()
            if not pipe.readable:  # its messages were discarded
                continue
            if pipe.queued_in > 1:
                ready.append(pipe)
            # Else it is added when it has the next, which may be at once, from within recv().
            return pipe, pipe.recv()
        return None
