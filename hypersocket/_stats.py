"""Counters of a socket and of its peers, and the frozen snapshots that users see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ._reasons import DropReason


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStats:
    """One peer, as :meth:`Socket.stats` found it.

    ``messages_out`` counts what was handed to the transport whole; what waits for that is in
    ``queued_out``. Bytes are those of the frames, without the protocol's own.

    Attributes:
        endpoint: the endpoint of ours that the peer came by.
        address: the peer's address; empty while there is no connection.
        socket_type: the peer's, such as ``"PULL"``; empty while unknown.
        routing_id: the one a ROUTER addresses the peer by; empty elsewhere, if it told none.
        connected: whether the handshake is done and the connection stands.
        messages_in: messages received from the peer.
        messages_out: messages sent to the peer.
        bytes_in: their bytes.
        bytes_out: their bytes.
        queued_in: received messages that wait for the user.
        queued_out: messages that wait to be written.
        dropped: messages dropped, for any reason.
        drops: the same by reason.
        subscriptions: how many the peer holds with us.
        connects: how many handshakes succeeded.
        disconnects: how many connections ended after that.
    """

    endpoint: str
    address: str
    socket_type: str
    routing_id: bytes
    connected: bool
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    queued_in: int
    queued_out: int
    dropped: int
    drops: Mapping[DropReason, int]
    subscriptions: int
    connects: int
    disconnects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketStats:
    """A socket since it was opened, with the peers that it has now.

    The totals include peers that are gone. For a socket that sends to one peer at a time, every
    message that ``send`` accepted is in ``messages_out``, ``queued_out`` or ``dropped``.

    Attributes:
        messages_in: messages received from peers.
        messages_out: messages sent to peers, one for each peer that was sent it.
        bytes_in: their bytes, frames only.
        bytes_out: their bytes, frames only.
        queued_in: received messages that wait for the user.
        queued_out: messages that wait to be written.
        dropped: messages dropped, for any reason.
        drops: the same by reason.
        connects: handshakes that succeeded.
        disconnects: connections that ended after that.
        handshake_failures: handshakes that failed.
        peers: the peers, in the order of their coming.
    """

    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    queued_in: int
    queued_out: int
    dropped: int
    drops: Mapping[DropReason, int]
    connects: int
    disconnects: int
    handshake_failures: int
    peers: tuple[PeerStats, ...]


@dataclass(slots=True)
class Counters:
    """What is counted, while it is counted: for one peer, or for all that are gone."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    connects: int = 0
    disconnects: int = 0
    drops: dict[DropReason, int] = field(default_factory=dict[DropReason, int])

    def drop(self, reason: DropReason, count: int = 1) -> bool:
        """Count dropped messages; True when they are the first of this reason."""
        before = self.drops.get(reason, 0)
        self.drops[reason] = before + count
        return before == 0

    @property
    def dropped(self) -> int:
        """Messages dropped, for any reason."""
        return sum(self.drops.values())

    @property
    def losses(self) -> int:
        """Messages that had been accepted to be sent, and were dropped."""
        return sum(self.drops.get(reason, 0) for reason in _LOSSES)

    def add(self, other: Counters) -> None:
        """Include the counts of another."""
        self.messages_in += other.messages_in
        self.messages_out += other.messages_out
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        self.connects += other.connects
        self.disconnects += other.disconnects
        for reason, count in other.drops.items():
            self.drop(reason, count)


_LOSSES = (DropReason.PEER_GONE, DropReason.LINGER)
