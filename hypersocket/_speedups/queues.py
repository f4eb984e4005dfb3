"""The queues of a pipe, and who has the next turn at them.

This is what every message passes on its way between a user and a connection. It knows messages,
bounds and turns, and nothing of what they are for: a pipe's owner and its link are whoever is to
be told. It is plain in style because it is also compiled, by Cython from this same file;
``queues.pxd`` has the types.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import cycle
from typing import Any

from .._message import Message, size_of
from .._reasons import DropReason

NO_BOUND = 1 << 30
"""Room where there is no high-water mark."""

FLUSH_BYTES = 64 * 1024
"""Bytes that are collected before they are written at once; less is written at the next pause."""


class Queue:
    """Messages in the order of their coming: a list, and where in it the oldest is."""

    __slots__ = ("_items", "_oldest")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._oldest = 0

    def __len__(self) -> int:
        return len(self._items) - self._oldest

    def put(self, message: Message) -> None:
        """Add the newest."""
        self._items.append(message)

    def take(self) -> Any:
        """Take the oldest; ``IndexError`` if there is none."""
        items = self._items
        oldest = self._oldest
        message = items[oldest]
        if oldest + 1 == len(items):
            items.clear()
            self._oldest = 0
            return message
        items[oldest] = None
        self._oldest = oldest + 1
        if oldest >= 4096 and 2 * oldest >= len(items):
            # What is in use is moved to the front, once for at least as many that were taken.
            del items[: oldest + 1]
            self._oldest = 0
        return message

    def put_first(self, messages: list[Message]) -> None:
        """Add what is older than all that is here."""
        self._items[: self._oldest] = messages
        self._oldest = 0

    def clear(self) -> int:
        """Forget everything; returns how many messages."""
        count = len(self._items) - self._oldest
        self._items.clear()
        self._oldest = 0
        return count


class PipeQueues:
    """The two bounded queues of a pipe, with their counters.

    Args:
        owner: is told ``pipe_readable``, ``pipe_writable``, ``pipe_flushed`` and ``pipe_dropped``.
        sndhwm: how many messages may wait to be written, 0 for any number.
        rcvhwm: how many received messages may wait to be taken, 0 for any number.
        conflate: whether each queue keeps its newest message only.

    Attributes:
        link: is told ``outgoing``, ``flush`` and ``incoming_room``; None when there is none.
        closing: it takes no more messages; what it has is being written.
        gone: it has ended; what was received can still be taken.
        connected: there is a connection.
    """

    def __init__(self, owner: Any, sndhwm: int, rcvhwm: int, conflate: bool) -> None:
        self.owner = owner
        self.link: Any = None
        self.sndhwm = sndhwm
        self.rcvhwm = rcvhwm
        self._conflate = conflate
        self.connected = False
        self.closing = False
        self.gone = False
        self.messages_in = 0
        self.messages_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self._inbox = Queue()
        self._outbox = Queue()
        self._outbox_bytes = 0
        self._in_flight = 0  # taken by the link, not yet written
        self._incoming_full = False
        self._outgoing_full = False
        self._held = False
        self._forsaken = False  # what is in flight is not to be sent again
        self.drop_at_end = DropReason.PEER_GONE

    # The socket's face

    @property
    def room_out(self) -> int:
        """How many messages fit below the high-water mark."""
        return self.count_room()

    def count_room(self) -> int:
        """How many messages fit below the high-water mark."""
        if self.gone or self.closing:
            return 0
        if self.sndhwm == 0 or self._conflate:
            return NO_BOUND
        room = self.sndhwm - len(self._outbox) - self._in_flight
        return max(0, room)

    @property
    def writable(self) -> bool:
        """Whether :meth:`send` has room; when not, the owner is told as soon as it has."""
        return self.has_room()

    def has_room(self) -> bool:
        """Whether :meth:`send` has room; when not, the owner is told as soon as it has."""
        room = self.count_room()
        if room == 0 and self.link is not None and not self.closing:
            self.link.flush()
            room = self.count_room()
        if room == 0:
            self._outgoing_full = True
        return room > 0

    def want_room(self) -> None:
        """Have the owner told when messages have been written."""
        self._outgoing_full = True

    def send(self, message: Message) -> None:
        """Queue one message, which the pipe owns from now on. The caller has seen to the room."""
        outbox = self._outbox
        if self._conflate and len(outbox) > 0:
            outbox.clear()
            self._outbox_bytes = 0
            self.drop(DropReason.CONFLATED)
        outbox.put(message)
        if type(message) is bytes:
            self._outbox_bytes += len(message)
        else:
            self._outbox_bytes += size_of(message)
        if self.link is not None:
            if self._outbox_bytes >= FLUSH_BYTES:
                self.link.flush()
            elif len(outbox) == 1:
                self.link.outgoing()

    def clear_outgoing(self) -> int:
        """Forget what was sent and not yet taken to be written, telling nobody."""
        self._outbox_bytes = 0
        return self._outbox.clear()

    def count_incoming(self) -> int:
        """How many received messages wait to be taken."""
        return len(self._inbox)

    @property
    def readable(self) -> bool:
        """Whether :meth:`recv` has a message."""
        return len(self._inbox) > 0

    def recv(self) -> Any:
        """Take the oldest received message; ``IndexError`` if there is none."""
        message = self._inbox.take()
        if self._incoming_full and 2 * len(self._inbox) <= self.rcvhwm:
            # Not before half: one wake-up of the reader should be good for many messages.
            self._incoming_full = False
            if self.link is not None and not self._held:
                self.link.incoming_room()
        return message

    def hold_input(self) -> None:
        """Let nothing more come in until :meth:`release_input`."""
        self._held = True

    @property
    def holds_input(self) -> bool:
        """Whether nothing may come in for now."""
        return self._held

    def release_input(self) -> None:
        """Let messages come in again."""
        if self._held:
            self._held = False
            if self.link is not None:
                self.link.incoming_room()

    @property
    def queued_in(self) -> int:
        """How many received messages wait to be taken."""
        return len(self._inbox)

    @property
    def queued_out(self) -> int:
        """How many messages wait to be written."""
        return len(self._outbox) + self._in_flight

    @property
    def flushed(self) -> bool:
        """Whether everything that was sent has been written."""
        return len(self._outbox) == 0 and self._in_flight == 0

    def discard_incoming(self) -> int:
        """Forget what was received and not yet taken; returns how many messages."""
        return self._inbox.clear()

    def discard_outgoing(self) -> int:
        """Forget what was sent and not yet taken to be written; returns how many messages."""
        count = self.clear_outgoing()
        self.room_again()
        return count

    def forsake(self) -> None:
        """Let what is being written not be written again, should its connection end."""
        self._forsaken = self._in_flight > 0

    def drop(self, reason: DropReason, count: int = 1) -> None:
        """Count messages that were dropped."""
        raise NotImplementedError

    # The transport's face

    @property
    def room_in(self) -> int:
        """How many messages :meth:`deliver` may bring; 0 means to stop reading.

        The link is told by ``incoming_room`` when there is room again.
        """
        if self._held:
            return 0
        if self.rcvhwm == 0 or self._conflate:
            return NO_BOUND
        room = self.rcvhwm - len(self._inbox)
        if room <= 0:
            self._incoming_full = True
            return 0
        return room

    def deliver(self, messages: Iterable[Message]) -> None:
        """Hand over received messages, no more than :attr:`room_in`.

        The pipe owns them from now on; what several receivers get is to be copied for each.
        """
        inbox = self._inbox
        was_empty = len(inbox) == 0
        count = 0
        size = 0
        for message in messages:
            count += 1
            if type(message) is bytes:
                size += len(message)
            else:
                size += size_of(message)
            if self._conflate and len(inbox) > 0:
                inbox.clear()
                self.drop(DropReason.CONFLATED)
            inbox.put(message)
        self.messages_in += count
        self.bytes_in += size
        if was_empty and count > 0:
            self.owner.pipe_readable(self)

    @property
    def has_outgoing(self) -> bool:
        """Whether :meth:`take_outgoing` has something."""
        return len(self._outbox) > 0

    def take_outgoing(self, max_messages: int, max_bytes: int) -> list[Any]:
        """Take messages to write: until a bound is passed, and at least one if there is any.

        They count as queued until :meth:`written` or :meth:`put_back`.
        """
        outbox = self._outbox
        taken: list[Any] = []
        size = 0
        count = 0
        while len(outbox) > 0 and count < max_messages and size < max_bytes:
            message = outbox.take()
            if type(message) is bytes:
                size += len(message)
            else:
                size += size_of(message)
            taken.append(message)
            count += 1
        self._outbox_bytes = self._outbox_bytes - size if len(outbox) > 0 else 0
        self._in_flight += count
        return taken

    def written(self, count: int, size: int) -> None:
        """``count`` of the messages taken, of ``size`` bytes in all, were written whole."""
        self._in_flight -= count
        if self._in_flight == 0:
            self._forsaken = False  # it all went out before it could be stopped
        self.messages_out += count
        self.bytes_out += size
        self.room_again()

    def put_back(self, messages: list[Any]) -> None:
        """Messages that were taken, but surely not written whole, are to be taken again first."""
        self._in_flight -= len(messages)
        if self.gone:
            self.drop(self.drop_at_end, len(messages))
        elif self._forsaken:
            self.drop(DropReason.REQUEST_ABANDONED, len(messages))
        else:
            self._outbox.put_first(messages)
            for message in messages:
                self._outbox_bytes += size_of(message)
        self._forsaken = False

    def lost(self, count: int, reason: DropReason) -> None:
        """``count`` messages that were taken may have been written in part; they are dropped."""
        self._in_flight -= count
        self._forsaken = False
        self.drop(reason, count)
        self.room_again()

    def room_again(self) -> None:
        """Tell the owner that there is room, if it wants to know, and that all is written."""
        if self.gone:
            return
        if self._outgoing_full:
            self._outgoing_full = False
            self.owner.pipe_writable(self)
        if len(self._outbox) == 0 and self._in_flight == 0:
            self.owner.pipe_flushed(self)


class FairQueue:
    """The pipes that have messages, in the order of their turns (RFC 28 to 31).

    Attributes:
        source: the pipe that the last message came by.
    """

    def __init__(self) -> None:
        self._ready: deque[Any] = deque()
        self.source: Any = None

    def add(self, pipe: PipeQueues) -> None:
        """A pipe that had no messages has some."""
        self._ready.append(pipe)

    def take(self) -> Message | None:
        """Take the next message; None if there is none."""
        ready = self._ready
        while len(ready) > 0:
            pipe: PipeQueues = ready[0]
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

    def add(self, pipe: PipeQueues) -> None:
        """A pipe may have room."""
        if pipe not in self._turns:
            self._turns.append(pipe)

    def remove(self, pipe: PipeQueues) -> None:
        """A pipe is of no use for now, or for ever."""
        if pipe in self._turns:
            self._turns.remove(pipe)

    def next(self) -> Any:
        """The pipe whose turn it is, with room for a message; None if there is none."""
        turns = self._turns
        while len(turns) > 0:
            pipe: PipeQueues = turns[0]
            if pipe.has_room() and (pipe.connected or not self.immediate):
                if len(turns) > 1:
                    turns.rotate(-1)
                return pipe
            turns.popleft()
        return None

    def send(self, message: Message) -> bool:
        """Send to the next pipe with room; False if there is none."""
        pipe: PipeQueues | None = self.next()
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


class Budget:
    """How many calls may still finish without a checkpoint."""

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

    def __await__(self) -> Iterator[Any]:
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
        balancer: LoadBalancer,
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
        if len(self._waiters) > 0 or not self._balancer.send(data):
            return False
        self._budget.left -= 1
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
    """

    def __init__(
        self,
        queue: FairQueue,
        head: list[Any],
        waiters: deque[Any],
        budget: Budget,
        slow: Callable[[], Awaitable[bytes]],
    ) -> None:
        self.is_open = False
        self._queue = queue
        self._head = head
        self._waiters = waiters
        self._budget = budget
        self._slow = slow
        self._result: Any = None

    def __await__(self) -> Iterator[Any]:
        if self.is_open and self._budget.left > 0 and not self._head and not self._waiters:
            message = self._queue.take()
            if type(message) is bytes:
                self._budget.left -= 1
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
