"""What is measured: one declaration for each, which the feed and the metrics follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from .._stats import PeerStats, SocketStats
from ._sources import DeviceStatsLike, GatewayStatsLike, RouteStatsLike

T = TypeVar("T")

Sort: TypeAlias = Literal["counters", "gauges"]
Read: TypeAlias = Callable[[T], int]


@dataclass(frozen=True, slots=True)
class Measure(Generic[T]):
    """One number that is told of a device, a socket, a peer, a gateway or a route of it.

    Attributes:
        sort: ``"counters"`` only grow, from 0 when a run begins; ``"gauges"`` go up and down.
        name: in the body of the feed; begins with what it counts, or whose it is.
        metric: in OpenMetrics, without the prefix; ends with the unit.
        doc: what it says, in a sentence.
        read: takes it from a snapshot.
    """

    sort: Sort
    name: str
    metric: str
    doc: str
    read: Read[T]

    @property
    def unit(self) -> str:
        """What it counts."""
        return self.metric.rpartition("_")[2]


def counter(name: str, metric: str, doc: str, read: str | Read[Any] = "") -> Measure[Any]:
    """A total; read from the attribute of its name, where nothing else is said."""
    return _measure("counters", name, metric, doc, read)


def gauge(name: str, metric: str, doc: str, read: str | Read[Any] = "") -> Measure[Any]:
    """What goes up and down; read as a :func:`counter` is."""
    return _measure("gauges", name, metric, doc, read)


def _measure(sort: Sort, name: str, metric: str, doc: str, read: str | Read[Any]) -> Measure[Any]:
    return Measure(sort, name, metric, doc, read if callable(read) else attrgetter(read or name))


SOCKET: tuple[Measure[SocketStats], ...] = (
    counter("messages_in", "received_messages", "Messages received from peers."),
    counter(
        "messages_out",
        "sent_messages",
        "Messages sent to peers, one for each peer that was sent it.",
    ),
    counter("bytes_in", "received_bytes", "Bytes of the frames received from peers."),
    counter("bytes_out", "sent_bytes", "Bytes of the frames sent to peers."),
    counter("messages_dropped", "dropped_messages", "Messages dropped, for any reason.", "dropped"),
    counter(
        "connections_opened",
        "opened_connections",
        "Connections whose handshake succeeded.",
        "connects",
    ),
    counter(
        "connections_closed",
        "closed_connections",
        "Connections that ended after a handshake that succeeded.",
        "disconnects",
    ),
    counter(
        "handshakes_failed", "failed_handshakes", "Handshakes that failed.", "handshake_failures"
    ),
    gauge(
        "messages_queued_in",
        "receive_queue_messages",
        "Received messages that wait to be taken from the socket.",
        "queued_in",
    ),
    gauge(
        "messages_queued_out",
        "send_queue_messages",
        "Messages that wait to be written.",
        "queued_out",
    ),
    gauge(
        "peers_known",
        "known_peers",
        "Peers, and places where one is looked for.",
        lambda s: len(s.peers),
    ),
    gauge(
        "peers_connected",
        "connected_peers",
        "Peers whose connection stands.",
        lambda s: sum(peer.connected for peer in s.peers),
    ),
)
"""Of a socket. What peers did that are gone is included."""

PEER: tuple[Measure[PeerStats], ...] = (
    counter("messages_in", "received_messages", "Messages received from the peer."),
    counter("messages_out", "sent_messages", "Messages sent to the peer."),
    counter("bytes_in", "received_bytes", "Bytes of the frames received from the peer."),
    counter("bytes_out", "sent_bytes", "Bytes of the frames sent to the peer."),
    counter(
        "messages_dropped",
        "dropped_messages",
        "Messages of the peer that were dropped, for any reason.",
        "dropped",
    ),
    counter(
        "connections_opened",
        "opened_connections",
        "Connections with the peer whose handshake succeeded.",
        "connects",
    ),
    counter(
        "connections_closed",
        "closed_connections",
        "Connections with the peer that ended after that.",
        "disconnects",
    ),
    gauge(
        "messages_queued_in",
        "receive_queue_messages",
        "Messages received from the peer that wait to be taken.",
        "queued_in",
    ),
    gauge(
        "messages_queued_out",
        "send_queue_messages",
        "Messages for the peer that wait to be written.",
        "queued_out",
    ),
    gauge("subscriptions", "held_subscriptions", "Subscriptions that the peer holds."),
    gauge(
        "connections",
        "open_connections",
        "Connections with the peer that stand.",
        lambda p: int(p.connected),
    ),
)
"""Of a peer that a socket has now."""


def _of_side(side: Literal["frontend", "backend"]) -> Iterator[Measure[DeviceStatsLike]]:
    """What a device took from one of its sockets, and gave to it."""
    for way, taken, did in (("in", "taken", "took from"), ("out", "given", "gave to")):
        for unit, text in (("messages", "Messages"), ("bytes", "Bytes of the frames")):
            yield counter(
                f"{side}_{unit}_{way}",
                f"{side}_{taken}_{unit}",
                f"{text} that the device {did} its {side}.",
                f"{side}.{unit}_{way}",
            )


DEVICE: tuple[Measure[DeviceStatsLike], ...] = (
    *_of_side("frontend"),
    *_of_side("backend"),
    counter(
        "messages_undelivered",
        "undelivered_messages",
        "Messages that the device had taken and could not hand on.",
        "undelivered",
    ),
    counter(
        "messages_captured",
        "captured_messages",
        "Copies that the capture socket accepted.",
        "captured",
    ),
    counter(
        "messages_capture_missed",
        "capture_missed_messages",
        "Copies that the capture socket had no room for.",
        "capture_missed",
    ),
    counter(
        "requests_forgotten",
        "forgotten_requests",
        "Requests that were with workers which went away.",
        "forgotten",
    ),
    gauge(
        "messages_held",
        "held_messages",
        "Messages that the device has taken and not handed on yet.",
        "held",
    ),
    gauge(
        "requests_outstanding",
        "outstanding_requests",
        "Requests at workers that are not answered yet, where the queue counts them.",
        "outstanding",
    ),
)
"""Of a device. A program that only has sockets has none of these."""

GATEWAY: tuple[Measure[GatewayStatsLike], ...] = (
    counter(
        "connections_made", "made_connections", "Connections to the broker that stood.", "connects"
    ),
    counter(
        "connections_remade",
        "remade_connections",
        "The same, of those after one had been lost; two at a time count once.",
        "reconnects",
    ),
    gauge(
        "connections",
        "broker_connections",
        "Whether the connections to the broker stand, both where there are two: 1 or 0.",
        lambda g: int(g.connected),
    ),
    gauge(
        "connections_blocked",
        "blocked_connections",
        "Whether the broker takes no messages now: 1 or 0.",
        lambda g: int(bool(g.blocked)),
    ),
)
"""Of a gateway to a broker."""

ROUTE: tuple[Measure[RouteStatsLike], ...] = (
    counter(
        "route_messages_received",
        "received_messages",
        "Messages taken from the side that they come from.",
        "received",
    ),
    counter("route_bytes_received", "received_bytes", "Bytes of their bodies.", "bytes_in"),
    counter(
        "route_messages_forwarded",
        "forwarded_messages",
        "Messages handed to the other side.",
        "forwarded",
    ),
    counter("route_bytes_forwarded", "forwarded_bytes", "Bytes of their bodies.", "bytes_out"),
    counter(
        "route_messages_confirmed",
        "confirmed_messages",
        "Messages that the other side has taken over.",
        "confirmed",
    ),
    counter(
        "route_messages_returned",
        "returned_messages",
        "Messages that the broker could not route.",
        "returned",
    ),
    counter(
        "route_messages_rejected",
        "rejected_messages",
        "Messages that the broker, or a worker, refused.",
        "rejected",
    ),
    counter(
        "route_messages_requeued",
        "requeued_messages",
        "Messages given back to the broker, to be delivered again.",
        "requeued",
    ),
    counter(
        "route_messages_retried",
        "retried_messages",
        "Messages published once more, their fate being unknown.",
        "retried",
    ),
    counter(
        "route_messages_redelivered",
        "redelivered_messages",
        "Messages that the broker had given to somebody before.",
        "redelivered",
    ),
    counter(
        "route_messages_expired",
        "expired_messages",
        "Requests or jobs that nobody answered in time.",
        "expired",
    ),
    counter(
        "route_answers_late",
        "late_answers",
        "Answers of workers to jobs that they do not have (any more).",
        "late",
    ),
    counter(
        "route_answers_malformed",
        "malformed_answers",
        "Messages of workers that are no answers, or whose metadata cannot be sent.",
        "malformed",
    ),
    counter(
        "route_messages_looped",
        "looped_messages",
        "Messages that had come through this gateway, or through too many.",
        "looped",
    ),
    counter(
        "route_messages_damaged",
        "damaged_messages",
        "Messages passed on as one frame, the header that divides them not fitting.",
        "damaged",
    ),
    counter(
        "route_messages_dead_lettered",
        "dead_lettered_messages",
        "Messages that went to the dead-letter target.",
        "dead_lettered",
    ),
    counter(
        "route_messages_dropped",
        "dropped_messages",
        "Messages that went nowhere, for any reason.",
        "dropped",
    ),
    gauge(
        "route_messages_pending",
        "pending_messages",
        "Messages in the route's care: unconfirmed, unacknowledged or unanswered.",
        "pending",
    ),
    gauge(
        "route_messages_credit",
        "credit_messages",
        "Messages that the broker may send now.",
        "credit",
    ),
    gauge(
        "route_bindings",
        "held_bindings",
        "Bindings, or links, that subscriptions stand for.",
        "bindings",
    ),
    gauge(
        "route_workers_overdue",
        "overdue_workers",
        "Workers that owe the answer to a job which was taken back from them.",
        "overdue",
    ),
    gauge(
        "routes_active",
        "active_routes",
        "Whether the route carries messages: 1 or 0.",
        lambda r: int(r.active),
    ),
)
"""Of a route of a gateway; told with the statistics of its socket."""


def numbers(measures: tuple[Measure[T], ...], sort: Sort, stats: T) -> dict[str, int]:
    """The measures of one sort, by name."""
    return {one.name: one.read(stats) for one in measures if one.sort == sort}


def both(measures: tuple[Measure[T], ...], stats: T) -> dict[str, dict[str, int]]:
    """The measures of both sorts, as a body has them."""
    return {
        "counters": numbers(measures, "counters", stats),
        "gauges": numbers(measures, "gauges", stats),
    }
