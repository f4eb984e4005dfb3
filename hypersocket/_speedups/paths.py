"""The short way through a socket, for messages that need not wait.

Awaiting one of these calls finishes at once when there is room, or a message, and nobody waits
for it; no coroutine is made. Everything else goes the long way, by the socket's own coroutines.
The compiled form is ``_paths.pyx``: there, finishing at once takes no exception either.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeGuard

from .._reasons import DropReason
from .queues import size_of_singles
from .wire import forget_shared

if TYPE_CHECKING:
    from . import turns
    from .prefix_tree import PrefixTree


PIECE = 12
"""A power of two: so many bytes of a message count as one more call."""


PASSED_OVER = 256
"""Messages that are not wanted, and are passed over, before others have their turn."""

AT_ONCE = 256
"""A batch ends with so many messages, or with those that were there if they are more."""

ANY_NUMBER = sys.maxsize


def cost_of(count: int, size: int) -> int:
    """What a batch of so many bytes takes from the budget: less than its messages one by one."""
    return (count >> 3) + (size >> PIECE)


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
        if not self.is_open or self._budget.left <= 0 or len(self._waiters) > 0:
            return False
        return self._accepts(data)

    def _accepts(self, data: Any) -> bool:
        if type(data) is not bytes or not self._balancer._send(data):
            return False
        self._budget.left -= 1 + (len(data) >> PIECE)
        return True


def _is_list(frames: object) -> TypeGuard[list[Any]]:
    return type(frames) is list


def _size_of_frames(frames: list[Any]) -> int:
    """Bytes in all frames; -1 where one is not of bytes."""
    size = 0
    for frame in frames:
        if type(frame) is not bytes:
            return -1
        size += len(frame)
    return size


class MultipartSendPath(SendPath):
    """The same for messages of several frames."""

    def _accepts(self, data: Any) -> bool:
        if not _is_list(data):
            return False
        size = _size_of_frames(data)
        if size < 0 or len(data) < 2 or not self._balancer._send(data[:]):
            return False
        self._budget.left -= 1 + (size >> PIECE)
        return True


class RoutedSendPath(SendPath):
    """The same for messages whose first frame names the peer.

    Args:
        peers: by their names.
    """

    def __init__(
        self,
        peers: dict[bytes, Any],
        waiters: deque[Any],
        budget: Budget,
        slow: Callable[[Any], Awaitable[None]],
    ) -> None:
        super().__init__(None, waiters, budget, slow)  # type: ignore[arg-type]
        self._peers = peers

    def _accepts(self, data: Any) -> bool:
        if not _is_list(data):
            return False
        size = _size_of_frames(data)
        if size < 0 or len(data) < 2:
            return False
        pipe = self._peers.get(data[0])
        if pipe is None or pipe.closing:
            return False
        # Taken before there is asked for room, which may let another thread change the list.
        rest = data[1] if len(data) == 2 else data[1:]
        if not pipe._has_room():
            return False
        pipe._send(rest)
        self._budget.left -= 1 + (size >> PIECE)
        return True


class PublishPath(SendPath):
    """The same for what goes to all who want it, and past those that are full.

    Args:
        tree: of those who want messages, by the beginnings of topics.
        multipart: whether this is for messages of several frames.

    Attributes:
        is_plain: whether that is all there is to it; otherwise nothing goes by this way.
    """

    def __init__(
        self,
        tree: PrefixTree,
        waiters: deque[Any],
        budget: Budget,
        slow: Callable[[Any], Awaitable[None]],
        multipart: bool,
    ) -> None:
        super().__init__(None, waiters, budget, slow)  # type: ignore[arg-type]
        self.is_plain = True
        self._tree = tree
        self._multipart = multipart

    def _accepts(self, data: Any) -> bool:
        if not self.is_plain:
            return False
        topic = data
        if self._multipart:
            if not _is_list(data):
                return False
            size = _size_of_frames(data)
            if size < 0 or len(data) < 2:
                return False
            topic = data[0]
            data = data[:]
        elif type(data) is bytes:
            size = len(data)
        else:
            return False
        audience = self._tree.matches(topic)
        for pipe in audience:
            if pipe._has_room():
                pipe._send(data)
            else:
                pipe.drop(DropReason.HIGH_WATER_MARK)
        self._budget.left -= 1 + (len(audience) * (size + 128) >> PIECE)
        if len(audience) > 1:
            forget_shared()
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
        look: does so a moment longer, and says whether anything came; None for never.
    """

    def __init__(
        self,
        queue: turns.FairQueue,
        head: list[Any],
        waiters: deque[Any],
        budget: Budget,
        slow: Callable[..., Awaitable[Any]],
        refill: Callable[[], object],
        look: Callable[[], bool] | None = None,
    ) -> None:
        self.is_open = False
        self._queue = queue
        self._head = head
        self._waiters = waiters
        self._budget = budget
        self.slow = slow
        self._refill = refill
        self._look = look
        self._result: Any = None

    def __await__(self) -> Iterator[Any]:
        if self.is_open and self._budget.left > 0 and not self._head and not self._waiters:
            message = self._take()
            if message is None:
                message = self._await_soon()
            if message is not None:
                if self._finish(message):
                    return self
                self._head.append(message)
        return self.slow().__await__()

    def _await_soon(self) -> Any:
        self._refill()
        while self.is_open and not self._head and not self._waiters:
            message = self._take()
            if message is not None or self._look is None or not self._look():
                return message
        return None

    def _take(self) -> Any:
        return self._queue._take()

    def _finish(self, message: Any) -> bool:
        """Make it the result, if it is for this way."""
        if type(message) is not bytes:
            return False
        self._budget.left -= 1 + (len(message) >> PIECE)
        self._result = message
        return True

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


class MultipartReceivePath(ReceivePath):
    """The same for messages of any number of frames, which are given out as lists."""

    def _finish(self, message: Any) -> bool:
        if type(message) is bytes:
            message = [message]
        self._budget.left -= 1 + (_size_of_frames(message) >> PIECE)
        self._result = message
        return True


class BatchReceivePath(ReceivePath):
    """The same for all single-part messages that are there, which are given out as a list."""

    def _take(self) -> Any:
        taken = self._queue.take_singles(ANY_NUMBER)
        # What is taken may make room for more, which is taken too; but it has to end.
        while 0 < len(taken) < AT_ONCE:
            more = self._queue.take_singles(ANY_NUMBER)
            if len(more) == 0:
                break
            taken += more
        return taken if len(taken) > 0 else None

    def _finish(self, message: Any) -> bool:
        self._budget.left -= 1 + cost_of(len(message), size_of_singles(message))
        self._result = message
        return True


class FilteredReceivePath(ReceivePath):
    """The same for those messages whose topic is wanted; others are passed over.

    Args:
        covers: whether a topic is subscribed to.

    Attributes:
        inverted: whether the topics that are not subscribed to are wanted.
    """

    def __init__(self, *args: Any, covers: Callable[[bytes], bool]) -> None:
        super().__init__(*args)
        self.inverted = False
        self._covers = covers

    def _take(self) -> Any:
        return _take_wanted(self._queue, self._covers, self.inverted, self._budget)


class FilteredMultipartReceivePath(MultipartReceivePath):
    """Both."""

    def __init__(self, *args: Any, covers: Callable[[bytes], bool]) -> None:
        super().__init__(*args)
        self.inverted = False
        self._covers = covers

    def _take(self) -> Any:
        return _take_wanted(self._queue, self._covers, self.inverted, self._budget)


def _take_wanted(
    queue: turns.FairQueue, covers: Callable[[bytes], bool], inverted: bool, budget: Budget
) -> Any:
    # A peer may write what is not wanted without end; the slow way lets others run meanwhile.
    for passed in range(PASSED_OVER):
        message = queue._take()
        if message is None:
            budget.left -= cost_of(passed, 0)
            return None
        if covers(message if isinstance(message, bytes) else message[0]) is not inverted:
            budget.left -= cost_of(passed, 0)
            return message
    budget.left -= cost_of(PASSED_OVER, 0)
    return None


class RoutedReceivePath(MultipartReceivePath):
    """The same with the peer's name before each message.

    Args:
        late: messages that have their names already, and come first.
        lost: names that have ended since the last message was taken.
    """

    def __init__(self, *args: Any, late: deque[Any], lost: dict[Any, bytes]) -> None:
        super().__init__(*args)
        self._late = late
        self._lost = lost

    def _take(self) -> Any:
        if self._late:
            return self._late.popleft()
        self._lost.clear()
        message = self._queue._take()
        if message is None:
            return None
        pipe = self._queue.source
        # Taking it may have made room, and what was read next ended the connection.
        name: Any = self._lost.get(pipe, pipe.routing_id)
        if isinstance(message, bytes):
            return [name, message]
        message.insert(0, name)
        return message


class ShortWays:
    """What a socket inherits that has short ways.

    Setting an attribute is one of them: every call sets some, and has to be kept from none but
    public ones, for which ``_set_public`` is asked.

    A socket type that has a short way sets its path, and uses the method as its own.
    """

    _send_path: SendPath
    _receive_path: ReceivePath
    _send_multipart_path: SendPath
    _receive_multipart_path: ReceivePath
    _receive_many_path: BatchReceivePath

    def short_send(self, data: Any) -> SendCall:
        """Send one single-part message; waits while there is no room for it.

        Raises:
            StateError: it is not the socket's turn to send (REQ, REP).
            TypeError: ``data`` is not bytes-like.
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has not sent.
        """
        return SendCall(self._send_path, data)

    def short_recv(self) -> ReceivePath:
        """Wait for a single-part message.

        Raises:
            MultipartError: the next message has several parts; it stays where it is.
            StateError: it is not the socket's turn to receive (REQ, REP).
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has lost nothing.
        """
        return self._receive_path

    def short_send_multipart(self, frames: Any) -> SendCall:
        """Send one message of several frames, all or none; waits while there is no room for it.

        Raises:
            StateError: it is not the socket's turn to send (REQ, REP).
            TypeError: a frame is not bytes-like.
            ValueError: there are no frames.
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has not sent.
        """
        return SendCall(self._send_multipart_path, frames)

    def short_recv_multipart(self) -> ReceivePath:
        """Wait for a message of any number of frames.

        Raises:
            StateError: it is not the socket's turn to receive (REQ, REP).
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has lost nothing.
        """
        return self._receive_multipart_path

    def short_recv_many(self, max: int | None = None) -> Any:  # noqa: A002
        """Wait for at least one single-part message, and take all that are there.

        Args:
            max: take no more than so many.

        Raises:
            MultipartError: the next message has several parts; it stays where it is. Single-part
                messages before it are returned first.
            ValueError: ``max`` is less than one.
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has lost nothing.
        """
        path = self._receive_many_path
        return path if max is None else path.slow(max)

    if not TYPE_CHECKING:  # a checker knows better than to allow any attribute

        def __setattr__(self, name: str, value: Any) -> None:
            if not isinstance(name, str):
                raise TypeError(f"attribute name must be string, not '{type(name).__name__}'")
            if name[:1] == "_":
                object.__setattr__(self, name, value)
            else:
                self._set_public(name, value)

        def _set_plainly(self, name: str, value: Any) -> None:
            object.__setattr__(self, name, value)
