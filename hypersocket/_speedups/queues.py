"""The queues of a pipe.

This is what every message passes on its way between a user and a connection. It knows messages,
bounds and turns, and nothing of what they are for: a pipe's owner and its link are whoever is to
be told. It is plain in style because it is also compiled, by Cython from this same file;
``_queues.pxd`` has the types. What the core itself calls for every message begins with an
underscore: compiled, that is a C function, which no subclass is looked up for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._message import Message
from .._reasons import DropReason

NO_BOUND = 1 << 30
"""Room where there is no high-water mark."""

FLUSH_BYTES = 64 * 1024
"""Bytes that are collected before they are written at once; less is written at the next pause."""


def size_of(message: Message) -> int:
    """Payload bytes, as that of ``_message``; but compiled, nothing else runs meanwhile."""
    if type(message) is bytes:
        body = message
        return len(body)
    size = 0
    for frame in message:
        if type(frame) is bytes:
            body = frame  # which has its type in the compiled form
            size += len(body)
        else:
            size += len(frame)  # type: ignore[arg-type]
    return size


def size_of_singles(items: list[Any]) -> int:
    """Payload bytes of a batch, as :func:`size_of`; -1 where one is not exactly ``bytes``."""
    size = 0
    for item in items:
        if type(item) is not bytes:
            return -1
        body = item  # which has its type in the compiled form
        size += len(body)
    return size


class Queue:
    """Messages in the order of their coming: a list, and where in it the oldest is.

    A list of fewer than four is left as it is when all were taken: a queue that has one message
    at a time asks for memory, and gives it back, at every fourth.
    """

    __slots__ = ("_items", "_oldest")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._oldest = 0

    def __len__(self) -> int:
        return self._count()

    def _count(self) -> int:
        return len(self._items) - self._oldest

    def put(self, message: Message) -> None:
        """Add the newest."""
        self._items.append(message)

    def put_all(self, messages: list[Any]) -> None:
        """Add the newest, in their order."""
        self._items.extend(messages)

    def take(self) -> Any:
        """Take the oldest; ``IndexError`` if there is none."""
        items = self._items
        oldest = self._oldest
        message = items[oldest]
        if oldest + 1 == len(items) >= 4:
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

    def count_singles(self, most: int) -> int:
        """How many of the oldest are single-part, up to ``most``, and to the first that is not."""
        items = self._items
        place = self._oldest
        end = len(items)
        if most < end - place:  # not the sum first, which may be more than fits
            end = place + most
        while place < end and type(items[place]) is bytes:
            place += 1
        return place - self._oldest

    def take_some(self, count: int) -> list[Any]:
        """Take the ``count`` oldest; they have to be there."""
        items = self._items
        oldest = self._oldest
        if count == len(items):
            self._items = []
            return items
        taken = items[oldest : oldest + count]
        self.drop(count)
        return taken

    def look(self, place: int) -> Any:
        """The message that so many others are older than; it has to be there."""
        return self._items[self._oldest + place]

    def drop(self, count: int) -> None:
        """Forget the ``count`` oldest; they have to be there."""
        items = self._items
        oldest = self._oldest + count
        if oldest == len(items) >= 4:
            items.clear()
            self._oldest = 0
        elif 2 * oldest >= len(items) >= 4:
            del items[:oldest]
            self._oldest = 0
        else:
            for place in range(self._oldest, oldest):
                items[place] = None
            self._oldest = oldest

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


class Inlet:
    """Who is told first of what a pipe received, such as a fair queue.

    The compiled form calls nobody else, without looking a method up; ``_turns.pxd`` says there that
    a fair queue is one.
    """

    def incoming(self, pipe: PipeQueues) -> bool:
        """A pipe that had no messages has some; returns whether its owner is to be told too."""
        raise NotImplementedError


class Outlet:
    """Who writes what a pipe has to send: a wire, which inherits from this for the same reason."""

    def outgoing(self) -> None:
        """There is something to write, where there was nothing."""
        raise NotImplementedError

    def flush(self) -> None:
        """Write at once what can be written without waiting."""
        raise NotImplementedError


class PipeQueues:
    """The two bounded queues of a pipe, with their counters.

    Args:
        owner: is told ``pipe_readable``, ``pipe_writable`` and ``pipe_dropped``, and once after
            :meth:`want_flushed` ``pipe_flushed``.
        sndhwm: how many messages may wait to be written, 0 for any number.
        rcvhwm: how many received messages may wait to be taken, 0 for any number.
        conflate: whether each queue keeps its newest message only.

    Attributes:
        link: is told ``outgoing``, ``flush`` and ``incoming_room``; None when there is none.
        outlet: is told ``outgoing`` and ``flush`` in place of the link, if there is a shorter way
            to write.
        inlet: is told ``incoming`` first of messages, and says whether the owner is to be told.
        routing_id: a ROUTER's name for the peer.
        shares: others are sent the same messages, so that encoding them once may do for all.
        closing: it takes no more messages; what it has is being written.
        gone: it has ended; what was received can still be taken.
        connected: there is a connection.
    """

    def __init__(self, owner: Any, sndhwm: int, rcvhwm: int, conflate: bool) -> None:
        self.owner = owner
        self.link: Any = None
        self.outlet: Outlet | None = None
        self.inlet: Any = None  # an Inlet
        self.routing_id = b""
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
        self._flush_awaited = False
        self._ended_one: Any = None  # being written when a connection ended
        self.drop_at_end = DropReason.PEER_GONE
        self.shares = False
        self.in_turn = False  # it is in a fair queue
        self.next_ready: Any = None  # the pipe behind it there

    # The socket's face

    @property
    def room_out(self) -> int:
        """How many messages fit below the high-water mark."""
        return self._count_room()

    def count_room(self) -> int:
        """How many messages fit below the high-water mark."""
        return self._count_room()

    def _count_room(self) -> int:
        if self.gone or self.closing:
            return 0
        if self.sndhwm == 0 or self._conflate:
            return NO_BOUND
        room = self.sndhwm - self._outbox._count() - self._in_flight
        return max(0, room)

    @property
    def writable(self) -> bool:
        """Whether :meth:`send` has room; when not, the owner is told as soon as it has."""
        return self._has_room()

    def has_room(self) -> bool:
        """Whether :meth:`send` has room; when not, the owner is told as soon as it has."""
        return self._has_room()

    def _has_room(self) -> bool:
        if self._count_room() > 0:
            return True
        if self.link is not None and not self.closing:
            self._flush()
            if self._count_room() > 0:
                return True
        self._outgoing_full = True
        return False

    def flush(self) -> None:
        """Have written what can be without waiting."""
        if self.link is not None and not self.closing and not self._is_flushed():
            self._flush()

    def _flush(self) -> None:
        if self.outlet is not None:
            self.outlet.flush()
        else:
            self.link.flush()

    def want_room(self) -> None:
        """Have the owner told when messages have been written."""
        self._outgoing_full = True

    def want_flushed(self) -> None:
        """Have the owner told once, when everything that was sent has been written."""
        self._flush_awaited = True

    def send(self, message: Message) -> None:
        """Queue one message, which the pipe owns from now on. The caller has seen to the room."""
        self._send(message)

    def _send(self, message: Message) -> None:
        self._send_sized(message, size_of(message))

    def _send_sized(self, message: Message, size: int) -> None:
        """As :meth:`send`, for one who knows how many bytes of payload it has."""
        outbox = self._outbox
        if self._conflate and outbox._count() > 0:
            self.clear_outgoing()
            self.drop(DropReason.CONFLATED)
        outbox.put(message)
        self._outbox_bytes += size
        if self.link is not None:
            if self._outbox_bytes >= FLUSH_BYTES:
                self._flush()
            elif outbox._count() == 1:
                self._tell_outgoing()

    def _send_batch(self, messages: list[Any]) -> None:
        """Queue single-part messages. The caller has seen to the room for all."""
        outbox = self._outbox
        was_empty = outbox._count() == 0
        size = size_of_singles(messages)
        if self._conflate or size < 0:
            for message in messages:
                self._send(message)
            return
        outbox.put_all(messages)
        self._outbox_bytes += size
        if self.link is not None:
            if self._outbox_bytes >= FLUSH_BYTES:
                self._flush()
            elif was_empty and len(messages) > 0:
                self._tell_outgoing()

    def _tell_outgoing(self) -> None:
        if self.outlet is not None:
            self.outlet.outgoing()
        else:
            self.link.outgoing()

    def clear_outgoing(self) -> int:
        """Forget what was sent and not yet taken to be written, telling nobody."""
        self._outbox_bytes = 0
        self._ended_one = None
        return self._outbox.clear()

    def count_incoming(self) -> int:
        """How many received messages wait to be taken."""
        return self._count_incoming()

    def _count_incoming(self) -> int:
        return self._inbox._count()

    @property
    def readable(self) -> bool:
        """Whether :meth:`recv` has a message."""
        return self._inbox._count() > 0

    def recv(self) -> Any:
        """Take the oldest received message; ``IndexError`` if there is none."""
        return self._recv()

    def _recv(self) -> Any:
        message = self._inbox.take()
        if self._incoming_full:
            self._tell_room_in()
        return message

    def _tell_room_in(self) -> None:
        if self._incoming_full and 2 * self._inbox._count() <= self.rcvhwm:
            # Not before half: one wake-up of the reader should be good for many messages.
            self._incoming_full = False
            if self.link is not None and not self._held:
                self.link.incoming_room()

    def _count_singles(self, most: int) -> int:
        return self._inbox.count_singles(most)

    def _recv_some(self, count: int) -> list[Any]:
        taken = self._inbox.take_some(count)
        self._tell_room_in()
        return taken

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
        return self._inbox._count()

    @property
    def queued_out(self) -> int:
        """How many messages wait to be written."""
        return self._outbox._count() + self._in_flight

    @property
    def flushed(self) -> bool:
        """Whether everything that was sent has been written."""
        return self._is_flushed()

    def _is_flushed(self) -> bool:
        return self._outbox._count() == 0 and self._in_flight == 0

    def discard_incoming(self) -> int:
        """Forget what was received and not yet taken; returns how many messages."""
        return self._inbox.clear()

    def discard_outgoing(self) -> int:
        """Forget what was sent and not yet taken to be written; returns how many messages."""
        count = self.clear_outgoing()
        self._room_again()
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
        return self._room_in()

    def _room_in(self) -> int:
        if self._held:
            return 0
        if self.rcvhwm == 0 or self._conflate:
            return NO_BOUND
        room = self.rcvhwm - self._inbox._count()
        if room <= 0:
            self._incoming_full = True
            return 0
        return room

    def deliver(self, messages: Iterable[Message]) -> None:
        """Hand over received messages, no more than :attr:`room_in`.

        The pipe owns them from now on; what several receivers get is to be copied for each.
        """
        inbox = self._inbox
        was_empty = inbox._count() == 0
        count = 0
        size = 0
        for message in messages:
            count += 1
            if type(message) is bytes:
                size += len(message)
            else:
                size += size_of(message)
            if self._conflate and inbox._count() > 0:
                inbox.clear()
                self.drop(DropReason.CONFLATED)
            inbox.put(message)
        self._arrived(count, size, was_empty)

    def _arrived(self, count: int, size: int, was_empty: bool) -> None:
        """So many messages, of so many bytes, were put into the inbox."""
        self.messages_in += count
        self.bytes_in += size
        if was_empty and count > 0:
            inlet = self.inlet
            if inlet is None or inlet.incoming(self):
                self.owner.pipe_readable(self)

    @property
    def has_outgoing(self) -> bool:
        """Whether :meth:`take_outgoing` has something."""
        return self._outbox._count() > 0

    def take_outgoing(self, max_messages: int, max_bytes: int) -> list[Any]:
        """Take messages to write: until a bound is passed, and at least one if there is any.

        They count as queued until :meth:`written` or :meth:`put_back`.
        """
        outbox = self._outbox
        taken: list[Any] = []
        size = 0
        count = 0
        while outbox._count() > 0 and count < max_messages and size < max_bytes:
            message = outbox.take()
            if type(message) is bytes:
                size += len(message)
            else:
                size += size_of(message)
            taken.append(message)
            count += 1
        self._outbox_bytes = self._outbox_bytes - size if outbox._count() > 0 else 0
        self._in_flight += count
        return taken

    def written(self, count: int, size: int) -> None:
        """``count`` of the messages taken, of ``size`` bytes in all, were written whole."""
        self._written(count, size)

    def _written(self, count: int, size: int) -> None:
        self._in_flight -= count
        if self._in_flight == 0:
            self._forsaken = False  # it all went out before it could be stopped
        if count > 0:
            self._ended_one = None
        self.messages_out += count
        self.bytes_out += size
        self._room_again()

    def _look(self, max_messages: int, max_bytes: int) -> list[Any]:
        """What :meth:`take_outgoing` would take."""
        seen: list[Any] = []
        size = 0
        while len(seen) < min(max_messages, self._outbox._count()) and size < max_bytes:
            seen.append(self._outbox.look(len(seen)))
            size += size_of(seen[-1])
        return seen

    def _went_out(self, count: int, size: int) -> None:
        """The ``count`` oldest messages, of ``size`` bytes in all, were written where they lay.

        The owner is not told of the room: :meth:`room_again` does.
        """
        if count > 0:
            self._outbox.drop(count)
            self._outbox_bytes = self._outbox_bytes - size if self._outbox._count() > 0 else 0
            self._ended_one = None
            self.messages_out += count
            self.bytes_out += size

    def put_back(self, messages: list[Any], begun: bool) -> None:
        """Messages that were taken, but surely not written whole, are to be taken again first.

        Args:
            messages: in their order.
            begun: whether a part of the first was written. A message on which a second connection
                ends is dropped: it may be what ends them, and what is behind it waits.
        """
        self._in_flight -= len(messages)
        if self.gone:
            self.drop(self.drop_at_end, len(messages))
        elif self._forsaken:
            self.drop(DropReason.REQUEST_ABANDONED, len(messages))
        elif self._conflate and self._outbox._count() > 0:
            self.drop(DropReason.CONFLATED, len(messages))
        else:
            if begun:
                if self._ended_one is messages[0]:
                    self._ended_one = None
                    self.drop(DropReason.PEER_GONE)
                    messages = messages[1:]
                else:
                    self._ended_one = messages[0]
            self._outbox.put_first(messages)
            for message in messages:
                self._outbox_bytes += size_of(message)
        self._forsaken = False

    def lost(self, count: int, reason: DropReason) -> None:
        """``count`` messages that were taken may have been written in part; they are dropped."""
        self._in_flight -= count
        self._forsaken = False
        self.drop(reason, count)
        self._room_again()

    def room_again(self) -> None:
        """Tell the owner that there is room and that all is written, if it wants to know."""
        self._room_again()

    def _room_again(self) -> None:
        if self.gone:
            return
        if self._outgoing_full:
            self._outgoing_full = False
            self.owner.pipe_writable(self)
        if self._flush_awaited and self._is_flushed():
            self._flush_awaited = False
            self.owner.pipe_flushed(self)
