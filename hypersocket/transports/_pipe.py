"""The pipe: the seam between a socket and a transport.

A socket sees one pipe for each peer: send a message, take a message, is there room, it is gone.
A transport sees the other face: take what is to be written, deliver what was read, say when the
peer came and went. Neither knows more of the other.

A pipe that was dialled (``connect``) outlives its connections: it queues messages before the
first and between two. A pipe of an accepted connection lives and dies with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import trio

from .._reasons import DropReason, Reason
from .._speedups import PipeQueues
from .._stats import Counters, PeerStats

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        """Everything that was sent has been written; told once after ``want_flushed``."""

    def pipe_subscription(self, pipe: Pipe, topic: bytes, wanted: bool) -> None:
        """The peer, a subscriber, told of a subscription or its end.

        Raises :class:`hypersocket.ProtocolError` where a bound is passed.
        """

    def pipe_dropped(self, pipe: Pipe, reason: DropReason, count: int) -> None:
        """Messages were dropped, the first of this pipe for that reason."""


class Pipe(PipeQueues):
    """A two-way path to one peer, with a bounded queue each way.

    Args:
        owner: the socket.
        endpoint: ours, for events and statistics.
        dialled: whether it outlives its connections.
        sndhwm: how many messages may wait to be written, 0 for any number.
        rcvhwm: how many received messages may wait to be taken, 0 for any number.
        conflate: whether each queue keeps its newest message only.
    """

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
        super().__init__(owner, sndhwm, rcvhwm, conflate)
        self.endpoint = endpoint
        self.dialled = dialled
        self.peer: Peer | None = None
        # While it is being closed, what the peer had written before it learnt of that still
        # comes in; else nobody takes it.
        self.takes_rest = False
        self.subscriptions = 0  # held by the peer; a publisher keeps count
        self._events = Counters()  # connects, disconnects and drops

    def __repr__(self) -> str:
        who = self.peer.address if self.peer else "nobody yet"
        return f"<Pipe {self.endpoint} to {who}>"

    # The socket's face

    def tell_subscription(self, topic: bytes, wanted: bool) -> None:
        """Tell the publisher at the other end, apart from the queue and its high-water mark."""
        if self.link is not None:
            self.link.subscription(topic, wanted)

    def reset(self, reason: Reason) -> None:
        """End the connection, and forget what was sent and not written.

        A dialled pipe gets a new connection.
        """
        self.clear_outgoing()
        self.forsake()
        if not self.dialled:
            self.closing = True
        if self.link is not None:
            self.link.reset(reason)

    def close(self, reason: Reason) -> None:
        """End the connection, and the pipe with it."""
        if self.link is not None:
            self.link.close(reason)

    @trio.lowlevel.enable_ki_protection
    def drop(self, reason: DropReason, count: int = 1) -> None:
        """Count messages that were dropped, and tell the first time."""
        if count and self._events.drop(reason, count):
            self.owner.pipe_dropped(self, reason, count)

    @property
    def losses(self) -> int:
        """Messages that had been accepted to be sent, and were dropped."""
        return self._events.losses

    def _totals(self) -> Counters:
        """What has been counted so far."""
        return Counters(
            messages_in=self.messages_in,
            messages_out=self.messages_out,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            connects=self._events.connects,
            disconnects=self._events.disconnects,
            drops=dict(self._events.drops),
        )

    def stats(self) -> PeerStats:
        """A snapshot."""
        peer, counters = self.peer, self._totals()
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
            drops=counters.drops,
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
            self.owner.pipe_connected(self)
        except BaseException:
            self.connected = False
            raise
        self._events.connects += 1

    def interrupted(self, reason: Reason, detail: str = "") -> None:
        """The connection of a dialled pipe has ended; another is to come."""
        if self.connected:
            self.connected = False
            self._events.disconnects += 1
            self.owner.pipe_disconnected(self, reason, detail)

    def finished(self, reason: Reason, detail: str = "") -> None:
        """The pipe has ended; what was not written is dropped, and counted.

        Of what the link has taken, it still says what became of it.
        """
        if self.gone:
            return
        if self.connected:
            self._events.disconnects += 1
        self.gone = True
        lost = self.clear_outgoing()
        if reason is Reason.CLOSED_BY_US:
            self.drop_at_end = DropReason.LINGER
        self.drop(self.drop_at_end, lost)
        self.owner.pipe_gone(self, reason, detail)
        self.connected = False
        self.link = None

    def deliver_subscription(self, topic: bytes, wanted: bool) -> None:
        """Hand over a subscription of the peer's, or its end.

        Raises:
            ProtocolError: the peer has passed a bound.
        """
        self.owner.pipe_subscription(self, topic, wanted)
