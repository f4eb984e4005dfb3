"""The short way through a socket, for messages that need not wait.

Awaiting one of these calls finishes at once when there is room, or a message, and nobody waits
for it; no coroutine is made. Everything else goes the long way, by the socket's own coroutines.
The compiled form is ``_paths.pyx``: there, finishing at once takes no exception either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import turns


PIECE = 12
"""A power of two: so many bytes of a message count as one more call."""


class Budget:
    """How many calls may still finish without a checkpoint; long messages count as several."""

    def __init__(self, left: int) -> None:
        self.left = left


class _Finished:
    """What a call is awaited by that has finished already."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        raise StopIteration


_FINISHED = _Finished()


class SendCall:
    """One call of ``send``, which does nothing before it is awaited.

    It has a coroutine's methods, so that trio takes it for one.
    """

    def __init__(self, path: SendPath, data: Any) -> None:
        self._path = path
        self._data = data
        self._awaited = False

    def __await__(self) -> Iterator[Any]:
        if self._awaited:
            raise RuntimeError("cannot await a call of send() again: it has sent already")
        self._awaited = True
        if self._path.accepts(self._data):
            return _FINISHED
        return self._path.slow(self._data).__await__()

    def send(self, value: Any) -> Any:
        """Never used: whoever runs tasks awaits this."""
        raise TypeError(f"to be awaited, not sent {value!r}")

    def throw(self, *error: Any) -> Any:
        """Never used: whoever runs tasks awaits this."""
        raise TypeError(f"to be awaited, not thrown {error!r}")

    def close(self) -> None:
        """There is nothing to close."""


class SendPath:
    """The short way for what is sent when there is room, and nobody waits for room.

    Args:
        balancer: takes the message.
        waiters: those who wait; while there are any, nothing goes by this way.
        budget: calls that may finish without a checkpoint.
        slow: the coroutine function that does everything else.
    """

    def __init__(
        self,
        balancer: turns.LoadBalancer,
        waiters: deque[Any],
        budget: Budget,
        slow: Callable[[Any], Awaitable[None]],
    ) -> None:
        self.is_open = False
        self._balancer = balancer
        self._waiters = waiters
        self._budget = budget
        self.slow = slow

    def call(self, data: Any) -> SendCall:
        """One call, to be awaited."""
        return SendCall(self, data)

    def accepts(self, data: Any) -> bool:
        """Send, if it can be done at once."""
        if type(data) is not bytes or not self.is_open or self._budget.left <= 0:
            return False
        if len(self._waiters) > 0 or not self._balancer._send(data):
            return False
        self._budget.left -= 1 + (len(data) >> PIECE)
        return True


class ReceivePath:
    """The short way for single-part messages that are there when nobody waits for one.

    It is its own call: all state is made and used in the moment that it is awaited.

    Args:
        queue: has the messages.
        head: a message that was taken from the queue and is still to be given out, if any.
        waiters: those who wait; while there are any, nothing goes by this way.
        budget: calls that may finish without a checkpoint.
        slow: the coroutine function that does everything else.
        refill: brings messages, if some are there and nobody has seen them yet.
    """

    def __init__(
        self,
        queue: turns.FairQueue,
        head: list[Any],
        waiters: deque[Any],
        budget: Budget,
        slow: Callable[[], Awaitable[bytes]],
        refill: Callable[[], object],
    ) -> None:
        self.is_open = False
        self._queue = queue
        self._head = head
        self._waiters = waiters
        self._budget = budget
        self._slow = slow
        self._refill = refill
        self._result: Any = None

    def __await__(self) -> Iterator[Any]:
        if self.is_open and self._budget.left > 0 and not self._head and not self._waiters:
            message = self._queue._take()
            if message is None:
                self._refill()
                if not self._head and not self._waiters:
                    message = self._queue._take()
            if type(message) is bytes:
                self._budget.left -= 1 + (len(message) >> PIECE)
                self._result = message
                return self
            if message is not None:
                self._head.append(message)
        return self._slow().__await__()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        result = self._result
        self._result = None
        raise StopIteration(result)

    def send(self, value: Any) -> Any:
        """Never used: whoever runs tasks awaits this."""
        raise TypeError(f"to be awaited, not sent {value!r}")

    def throw(self, *error: Any) -> Any:
        """Never used: whoever runs tasks awaits this."""
        raise TypeError(f"to be awaited, not thrown {error!r}")

    def close(self) -> None:
        """There is nothing to close."""


class ShortWays:
    """What a socket inherits that has short ways.

    Attributes:
        _send_path: by which :meth:`send` goes.
        _receive_path: by which :meth:`recv` goes.
    """

    _send_path: SendPath
    _receive_path: ReceivePath

    def short_send(self, data: Any) -> SendCall:
        """One call of ``send``, to be awaited."""
        return SendCall(self._send_path, data)

    def short_recv(self) -> ReceivePath:
        """One call of ``recv``, to be awaited."""
        return self._receive_path
