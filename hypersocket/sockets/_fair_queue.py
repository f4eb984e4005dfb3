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
            pipe = ready[0]
            if not pipe.readable:  # its messages were discarded
                ready.popleft()
                continue
            message = pipe.recv()
            if not pipe.queued_in:
                ready.popleft()
            elif len(ready) > 1:
                ready.rotate(-1)
            return pipe, message
        return None
