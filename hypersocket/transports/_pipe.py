"""The pipe: the seam between a socket and a transport.

A socket sees one pipe for each peer: send a message, take a message, is there room, it is gone.
A transport sees the other face: take what is to be written, deliver what was read, say when the
peer came and went. Neither knows more of the other.

A pipe that was dialled (``connect``) outlives its connections: it queues messages before the
first and between two. A pipe of an accepted connection lives and dies with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from .._message import Message, size_of
from .._reasons import DropReason, Reason
from .._stats import Counters, PeerStats

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_BOUND = 1 << 30
"""Room where there is no high-water mark."""

FLUSH_BYTES = 64 * 1024
"""Bytes that are collected before they are written at once; less is written at the next pause."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What a peer has told of itself in the handshake.

    Attributes:
        socket_type: such as ``"REP"``.
        routing_id: as it announced; empty where it did not.
        address: where it is, as its transport writes addresses.
        metadata: all properties, standard and other.
    """

    socket_type: str
    routing_id: bytes = b""
    address: str = ""
    metadata: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


class Link(Protocol):
    """What a transport does for a pipe. Every call returns at once and may not raise."""

    def outgoing(self) -> None:
        """The pipe has messages to write, and had none before."""

    def flush(self) -> None:
        """Write at once what can be written without waiting."""

    def incoming_room(self) -> None:
        """The pipe that could take no more messages can take some again."""

    def subscription(self, topic: bytes, wanted: bool) -> None:
        """Tell the peer, a publisher, of a subscription or its end."""

    def reset(self, reason: Reason) -> None:
        """End the connection; a dialled pipe gets a new one at once."""

    def close(self, reason: Reason) -> None:
        """End the connection for good."""


class PipeOwner(Protocol):
    """What a socket is told by its pipes."""

    def pipe_connected(self, pipe: Pipe) -> None:
        """The peer is there. Raises :class:`hypersocket.HandshakeError` to refuse it."""

    def pipe_disconnected(self, pipe: Pipe, reason: Reason, detail: str) -> None:
        """The connection ended; the pipe is dialled, and goes on."""

    def pipe_gone(self, pipe: Pipe, reason: Reason, detail: str) -> None:
        """The pipe has ended. What it received can still be taken."""

    def pipe_readable(self, pipe: Pipe) -> None:
        """There are messages to take, and were none before."""

    def pipe_writable(self, pipe: Pipe) -> None:
        """There is room to send, and was none before."""

    def pipe_flushed(self, pipe: Pipe) -> None:
        """Everything that was sent has been written."""

    def pipe_subscription(self, pipe: Pipe, topic: bytes, wanted: bool) -> None:
        """The peer, a subscriber, told of a subscription or its end.

        Raises :class:`hypersocket.ProtocolError` where a bound is passed.
        """

    def pipe_dropped(self, pipe: Pipe, reason: DropReason, count: int) -> None:
        """Messages were dropped, the first of this pipe for that reason."""


class Pipe:
    """A two-way path to one peer, with a bounded queue each way.

    Args:
        owner: the socket.
        endpoint: ours, for events and statistics.
        dialled: whether it outlives its connections.
        sndhwm: how many messages may wait to be written, 0 for any number.
        rcvhwm: how many received messages may wait to be taken, 0 for any number.
        conflate: whether each queue keeps its newest message only.
    """

    __slots__ = (
        "_conflate",
        "_drop_at_end",
        "_forsaken",
        "_held",
        "_in_flight",
        "_inbox",
        "_incoming_full",
        "_outbox",
        "_outbox_bytes",
        "_outgoing_full",
        "_owner",
        "closing",
        "connected",
        "counters",
        "dialled",
        "endpoint",
        "gone",
        "link",
        "peer",
        "rcvhwm",
        "routing_id",
        "sndhwm",
        "subscriptions",
    )

    def __init__(
        self,
        owner: PipeOwner,
        *,
        endpoint: str,
        dialled: bool,
        sndhwm: int,
        rcvhwm: int,
        conflate: bool = False,
    ) -> None:
        self._owner = owner
        self.endpoint = endpoint
        self.dialled = dialled
        self.sndhwm = sndhwm
        self.rcvhwm = rcvhwm
        self._conflate = conflate
        self.link: Link | None = None
        self.peer: Peer | None = None
        self.connected = False
        self.closing = False  # it takes no more messages; what it has is being written
        self.gone = False
        self.routing_id = b""  # a ROUTER's name for the peer
        self.subscriptions = 0  # held by the peer; a publisher keeps count
        self.counters = Counters()
        self._inbox: deque[Message] = deque()
        self._outbox: deque[Message] = deque()
        self._outbox_bytes = 0
        self._in_flight = 0  # taken by the link, not yet written
        self._incoming_full = False
        self._outgoing_full = False
        self._held = False
        self._drop_at_end = DropReason.PEER_GONE
        self._forsaken = False  # what is in flight is not to be sent again

    def __repr__(self) -> str:
        who = self.peer.address if self.peer else "nobody yet"
        return f"<Pipe {self.endpoint} to {who}>"

    # The socket's face

    @property
    def room_out(self) -> int:
        """How many messages fit below the high-water mark."""
        if self.gone or self.closing:
            return 0
        if not self.sndhwm or self._conflate:
            return NO_BOUND
        return max(0, self.sndhwm - len(self._outbox) - self._in_flight)

    @property
    def writable(self) -> bool:
        """Whether :meth:`send` has room; when not, the owner is told as soon as it has."""
        room = self.room_out
        if not room and self.link is not None and not self.closing:
            self.link.flush()
            room = self.room_out
        if not room:
            self.want_room()
        return room > 0

    def want_room(self) -> None:
        """Have the owner told when messages have been written."""
        self._outgoing_full = True

    def send(self, message: Message) -> None:
        """Queue one message, which the pipe owns from now on. The caller has seen to the room."""
        outbox = self._outbox
        if self._conflate and outbox:
            outbox.clear()
            self._outbox_bytes = 0
            self.drop(DropReason.CONFLATED)
        outbox.append(message)
        self._outbox_bytes += size_of(message)
        if self.link is not None:
            if self._outbox_bytes >= FLUSH_BYTES:
                self.link.flush()
            elif len(outbox) == 1:
                self.link.outgoing()

    def tell_subscription(self, topic: bytes, wanted: bool) -> None:
        """Tell the publisher at the other end, apart from the queue and its high-water mark."""
        if self.link is not None:
            self.link.subscription(topic, wanted)

    @property
    def readable(self) -> bool:
        """Whether :meth:`recv` has a message."""
        return bool(self._inbox)

    def recv(self) -> Message:
        """Take the oldest received message; ``IndexError`` if there is none."""
        message = self._inbox.popleft()
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
        return not self._outbox and not self._in_flight

    def discard_incoming(self) -> int:
        """Forget what was received and not yet taken; returns how many messages."""
        count = len(self._inbox)
        self._inbox.clear()
        return count

    def discard_outgoing(self) -> int:
        """Forget what was sent and not yet taken to be written; returns how many messages."""
        count = len(self._outbox)
        self._outbox.clear()
        self._outbox_bytes = 0
        self._room_again()
        return count

    def forsake(self) -> None:
        """Let what is being written not be written again, should its connection end."""
        self._forsaken = self._in_flight > 0

    def reset(self, reason: Reason) -> None:
        """End the connection, and forget what was sent and not written.

        A dialled pipe gets a new connection.
        """
        self._outbox.clear()
        self._outbox_bytes = 0
        self.forsake()
        if not self.dialled:
            self.closing = True
        if self.link is not None:
            self.link.reset(reason)

    def close(self, reason: Reason) -> None:
        """End the connection, and the pipe with it."""
        if self.link is not None:
            self.link.close(reason)

    def drop(self, reason: DropReason, count: int = 1) -> None:
        """Count messages that were dropped, and tell the first time."""
        if count and self.counters.drop(reason, count):
            self._owner.pipe_dropped(self, reason, count)

    def stats(self) -> PeerStats:
        """A snapshot."""
        peer, counters = self.peer, self.counters
        return PeerStats(
            endpoint=self.endpoint,
            address=peer.address if peer else "",
            socket_type=peer.socket_type if peer else "",
            routing_id=self.routing_id or (peer.routing_id if peer else b""),
            connected=self.connected,
            messages_in=counters.messages_in,
            messages_out=counters.messages_out,
            bytes_in=counters.bytes_in,
            bytes_out=counters.bytes_out,
            queued_in=self.queued_in,
            queued_out=self.queued_out,
            dropped=counters.dropped,
            drops=dict(counters.drops),
            subscriptions=self.subscriptions,
            connects=counters.connects,
            disconnects=counters.disconnects,
        )

    # The transport's face

    def established(self, peer: Peer) -> None:
        """The handshake is done.

        Raises:
            HandshakeError: the socket does not want this peer.
        """
        self.peer = peer
        self.connected = True
        try:
            self._owner.pipe_connected(self)
        except BaseException:
            self.connected = False
            raise
        self.counters.connects += 1

    def interrupted(self, reason: Reason, detail: str = "") -> None:
        """The connection of a dialled pipe has ended; another is to come."""
        if self.connected:
            self.connected = False
            self.counters.disconnects += 1
            self._owner.pipe_disconnected(self, reason, detail)

    def finished(self, reason: Reason, detail: str = "") -> None:
        """The pipe has ended; what was not written is dropped, and counted.

        Of what the link has taken, it still says what became of it.
        """
        if self.gone:
            return
        if self.connected:
            self.counters.disconnects += 1
        self.gone = True
        lost = len(self._outbox)
        self._outbox.clear()
        self._outbox_bytes = 0
        if reason is Reason.CLOSED_BY_US:
            self._drop_at_end = DropReason.LINGER
        self.drop(self._drop_at_end, lost)
        self._owner.pipe_gone(self, reason, detail)
        self.connected = False
        self.link = None

    @property
    def room_in(self) -> int:
        """How many messages :meth:`deliver` may bring; 0 means to stop reading.

        The link is told by :meth:`Link.incoming_room` when there is room again.
        """
        if self._held:
            return 0
        if not self.rcvhwm or self._conflate:
            return NO_BOUND
        room = self.rcvhwm - len(self._inbox)
        if room <= 0:
            self._incoming_full = True
            return 0
        return room

    def deliver(self, messages: Iterable[Message]) -> None:
        """Hand over received messages, no more than :attr:`room_in`."""
        inbox, counters = self._inbox, self.counters
        was_empty = not inbox
        for message in messages:
            counters.messages_in += 1
            counters.bytes_in += size_of(message)
            if self._conflate and inbox:
                inbox.clear()
                self.drop(DropReason.CONFLATED)
            inbox.append(message)
        if was_empty and inbox:
            self._owner.pipe_readable(self)

    def deliver_subscription(self, topic: bytes, wanted: bool) -> None:
        """Hand over a subscription of the peer's, or its end.

        Raises:
            ProtocolError: the peer has passed a bound.
        """
        self._owner.pipe_subscription(self, topic, wanted)

    @property
    def has_outgoing(self) -> bool:
        """Whether :meth:`take_outgoing` has something."""
        return bool(self._outbox)

    def take_outgoing(self, max_messages: int, max_bytes: int) -> list[Message]:
        """Take messages to write: until a bound is passed, and at least one if there is any.

        They count as queued until :meth:`written` or :meth:`put_back`.
        """
        outbox = self._outbox
        taken: list[Message] = []
        size = 0
        while outbox and len(taken) < max_messages and size < max_bytes:
            message = outbox.popleft()
            size += size_of(message)
            taken.append(message)
        self._outbox_bytes = self._outbox_bytes - size if outbox else 0
        self._in_flight += len(taken)
        return taken

    def written(self, count: int, size: int) -> None:
        """``count`` of the messages taken, of ``size`` bytes in all, were written whole."""
        self._in_flight -= count
        if not self._in_flight:
            self._forsaken = False  # it all went out before it could be stopped
        self.counters.messages_out += count
        self.counters.bytes_out += size
        self._room_again()

    def put_back(self, messages: list[Message]) -> None:
        """Messages that were taken, but surely not written whole, are to be taken again first."""
        self._in_flight -= len(messages)
        if self.gone:
            self.drop(self._drop_at_end, len(messages))
        elif self._forsaken:
            self.drop(DropReason.REQUEST_ABANDONED, len(messages))
        else:
            self._outbox.extendleft(reversed(messages))
            self._outbox_bytes += sum(map(size_of, messages))
        self._forsaken = False

    def lost(self, count: int, reason: DropReason) -> None:
        """``count`` messages that were taken may have been written in part; they are dropped."""
        self._in_flight -= count
        self._forsaken = False
        self.drop(reason, count)
        self._room_again()

    def _room_again(self) -> None:
        if self.gone:
            return
        if self._outgoing_full:
            self._outgoing_full = False
            self._owner.pipe_writable(self)
        if self.flushed:
            self._owner.pipe_flushed(self)
