"""What is measured: one declaration for each, which the feed and the metrics follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from .._stats import PeerStats, SocketStats
from ._sources import DeviceStatsLike

T = TypeVar("T")

Sort = Literal["counters", "gauges"]


@dataclass(frozen=True, slots=True)
class Measure(Generic[T]):
    """One number that is told of a device, a socket or a peer.

    Attributes:
        sort: ``"counters"`` only grow, from 0 when a run begins; ``"gauges"`` go up and down.
        name: in the body of the feed; begins with what it counts.
        metric: in OpenMetrics, without the prefix; ends with the unit.
        unit: what it counts.
        doc: what it says, in a sentence.
        read: takes it from a snapshot.
    """

    sort: Sort
    name: str
    metric: str
    unit: str
    doc: str
    read: Callable[[T], int]


SOCKET: tuple[Measure[SocketStats], ...] = (
    Measure(
        "counters", "messages_in", "received_messages", "messages",
        "Messages received from peers.", lambda s: s.messages_in,
    ),
    Measure(
        "counters", "messages_out", "sent_messages", "messages",
        "Messages sent to peers, one for each peer that was sent it.", lambda s: s.messages_out,
    ),
    Measure(
        "counters", "bytes_in", "received_bytes", "bytes",
        "Bytes of the frames received from peers.", lambda s: s.bytes_in,
    ),
    Measure(
        "counters", "bytes_out", "sent_bytes", "bytes",
        "Bytes of the frames sent to peers.", lambda s: s.bytes_out,
    ),
    Measure(
        "counters", "messages_dropped", "dropped_messages", "messages",
        "Messages dropped, for any reason.", lambda s: s.dropped,
    ),
    Measure(
        "counters", "connections_opened", "opened_connections", "connections",
        "Connections whose handshake succeeded.", lambda s: s.connects,
    ),
    Measure(
        "counters", "connections_closed", "closed_connections", "connections",
        "Connections that ended after a handshake that succeeded.", lambda s: s.disconnects,
    ),
    Measure(
        "counters", "handshakes_failed", "failed_handshakes", "handshakes",
        "Handshakes that failed.", lambda s: s.handshake_failures,
    ),
    Measure(
        "gauges", "messages_queued_in", "receive_queue_messages", "messages",
        "Received messages that wait to be taken from the socket.", lambda s: s.queued_in,
    ),
    Measure(
        "gauges", "messages_queued_out", "send_queue_messages", "messages",
        "Messages that wait to be written.", lambda s: s.queued_out,
    ),
    Measure(
        "gauges", "peers_known", "known_peers", "peers",
        "Peers, and places where one is looked for.", lambda s: len(s.peers),
    ),
    Measure(
        "gauges", "peers_connected", "connected_peers", "peers",
        "Peers whose connection stands.", lambda s: sum(peer.connected for peer in s.peers),
    ),
)  # fmt: skip
"""Of a socket. What peers did that are gone is included."""

PEER: tuple[Measure[PeerStats], ...] = (
    Measure(
        "counters", "messages_in", "received_messages", "messages",
        "Messages received from the peer.", lambda p: p.messages_in,
    ),
    Measure(
        "counters", "messages_out", "sent_messages", "messages",
        "Messages sent to the peer.", lambda p: p.messages_out,
    ),
    Measure(
        "counters", "bytes_in", "received_bytes", "bytes",
        "Bytes of the frames received from the peer.", lambda p: p.bytes_in,
    ),
    Measure(
        "counters", "bytes_out", "sent_bytes", "bytes",
        "Bytes of the frames sent to the peer.", lambda p: p.bytes_out,
    ),
    Measure(
        "counters", "messages_dropped", "dropped_messages", "messages",
        "Messages of the peer that were dropped, for any reason.", lambda p: p.dropped,
    ),
    Measure(
        "counters", "connections_opened", "opened_connections", "connections",
        "Connections with the peer whose handshake succeeded.", lambda p: p.connects,
    ),
    Measure(
        "counters", "connections_closed", "closed_connections", "connections",
        "Connections with the peer that ended after that.", lambda p: p.disconnects,
    ),
    Measure(
        "gauges", "messages_queued_in", "receive_queue_messages", "messages",
        "Messages received from the peer that wait to be taken.", lambda p: p.queued_in,
    ),
    Measure(
        "gauges", "messages_queued_out", "send_queue_messages", "messages",
        "Messages for the peer that wait to be written.", lambda p: p.queued_out,
    ),
    Measure(
        "gauges", "subscriptions", "held_subscriptions", "subscriptions",
        "Subscriptions that the peer holds.", lambda p: p.subscriptions,
    ),
    Measure(
        "gauges", "connections", "open_connections", "connections",
        "Connections with the peer that stand.", lambda p: int(p.connected),
    ),
)  # fmt: skip
"""Of a peer that a socket has now."""

DEVICE: tuple[Measure[DeviceStatsLike], ...] = (
    Measure(
        "counters", "frontend_messages_in", "frontend_taken_messages", "messages",
        "Messages that the device took from its frontend.", lambda d: d.frontend.messages_in,
    ),
    Measure(
        "counters", "frontend_bytes_in", "frontend_taken_bytes", "bytes",
        "Bytes of the frames that the device took from its frontend.",
        lambda d: d.frontend.bytes_in,
    ),
    Measure(
        "counters", "frontend_messages_out", "frontend_given_messages", "messages",
        "Messages that the device gave to its frontend.", lambda d: d.frontend.messages_out,
    ),
    Measure(
        "counters", "frontend_bytes_out", "frontend_given_bytes", "bytes",
        "Bytes of the frames that the device gave to its frontend.",
        lambda d: d.frontend.bytes_out,
    ),
    Measure(
        "counters", "backend_messages_in", "backend_taken_messages", "messages",
        "Messages that the device took from its backend.", lambda d: d.backend.messages_in,
    ),
    Measure(
        "counters", "backend_bytes_in", "backend_taken_bytes", "bytes",
        "Bytes of the frames that the device took from its backend.",
        lambda d: d.backend.bytes_in,
    ),
    Measure(
        "counters", "backend_messages_out", "backend_given_messages", "messages",
        "Messages that the device gave to its backend.", lambda d: d.backend.messages_out,
    ),
    Measure(
        "counters", "backend_bytes_out", "backend_given_bytes", "bytes",
        "Bytes of the frames that the device gave to its backend.",
        lambda d: d.backend.bytes_out,
    ),
    Measure(
        "counters", "messages_undelivered", "undelivered_messages", "messages",
        "Messages that the device had taken and could not hand on.", lambda d: d.undelivered,
    ),
    Measure(
        "counters", "messages_captured", "captured_messages", "messages",
        "Copies that the capture socket accepted.", lambda d: d.captured,
    ),
    Measure(
        "counters", "messages_capture_missed", "capture_missed_messages", "messages",
        "Copies that the capture socket had no room for.", lambda d: d.capture_missed,
    ),
    Measure(
        "counters", "requests_forgotten", "forgotten_requests", "requests",
        "Requests that were with workers which went away.", lambda d: d.forgotten,
    ),
    Measure(
        "gauges", "messages_held", "held_messages", "messages",
        "Messages that the device has taken and not handed on yet.", lambda d: d.held,
    ),
    Measure(
        "gauges", "requests_outstanding", "outstanding_requests", "requests",
        "Requests at workers that are not answered yet, where the queue counts them.",
        lambda d: d.outstanding,
    ),
)  # fmt: skip
"""Of a device. A program that only has sockets has none of these."""


def numbers(measures: tuple[Measure[T], ...], sort: Sort, stats: T) -> dict[str, int]:
    """The measures of one sort, by name."""
    return {one.name: one.read(stats) for one in measures if one.sort == sort}
