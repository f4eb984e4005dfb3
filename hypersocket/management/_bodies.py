"""The bodies of a feed's messages: JSON objects, as docs/reference/monitor-feed.md has them."""

from __future__ import annotations

import dataclasses
import heapq
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeAlias

from .. import _events as events
from .._stats import PeerStats
from ..sockets import Socket
from ._measures import DEVICE, PEER, SOCKET, numbers
from ._sources import Source, WorkerStatsLike, named_peers, peer_name
from ._topics import STATS, Topic

SCHEMA = 1
"""The version of the bodies. Fields may be added without another; nothing is renamed or removed."""

Body: TypeAlias = dict[str, Any]
Told: TypeAlias = tuple[Topic, Body]

_RENAMED = {"retry_in": "retry_in_seconds"}
_COUNTS: dict[type[events.Event], str] = {
    events.MessagesDropped: "messages_dropped",
    events.EventsMissed: "events_missed",
}


def event_name(kind: type[events.Event]) -> str:
    """The name of an event in topics: ``HandshakeFailed`` is ``"handshake_failed"``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


def event_told(
    device: str, socket: str, event: events.MonitorEvent, bound: Collection[str]
) -> Told:
    """What is told of one monitor event, without its times."""
    body: Body = {}
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if field.name == "count":
            body[_COUNTS[type(event)]] = value
        elif field.name != "time":
            name = _RENAMED.get(field.name, field.name)
            body[name] = value.hex() if isinstance(value, bytes) else value
    peer = ""
    if isinstance(event, (events.PeerEvent, events.ConnectRetried)) and event.endpoint:
        peer = peer_name(event.endpoint, body.get("address", ""), bound)
    return Topic(device=device, socket=socket, peer=peer, event=event_name(type(event))), body


def device_told(source: Source, max_peers: int, feed: Mapping[str, Mapping[str, int]]) -> Told:
    """The statistics of a device, or of a program with sockets; and of the feed itself."""
    body: Body = {
        "kind": source.kind,
        "state": "running",
        "sockets": list(source.sockets),
        "counters": dict(feed["counters"]),
        "gauges": dict(feed["gauges"]),
    }
    if source.device is not None:
        stats = source.device.stats()
        body["state"] = stats.state
        body["counters"] |= numbers(DEVICE, "counters", stats)
        body["gauges"] |= numbers(DEVICE, "gauges", stats)
        body["messages_undelivered_by_reason"] = dict(stats.reasons)
        body["workers"] = [_worker(worker) for worker in stats.workers[:max_peers]]
    return Topic(device=source.name, event=STATS), body


def _worker(worker: WorkerStatsLike) -> Body:
    return {
        "routing_id": worker.routing_id.hex(),
        "address": worker.address,
        "counters": {"requests_answered": worker.answered},
        "gauges": {"requests_outstanding": worker.outstanding},
    }


def socket_told(
    device: str, name: str, socket: Socket, bound: Collection[str], max_peers: int
) -> Iterator[Told]:
    """The statistics of a socket, then of its peers."""
    stats = socket.stats()
    peers = _worth_telling(named_peers(stats.peers, bound), max_peers)
    body: Body = {
        "type": socket.socket_type,
        "endpoints": list(socket.endpoints),
        "counters": numbers(SOCKET, "counters", stats),
        "gauges": numbers(SOCKET, "gauges", stats) | {"peers_told": len(peers)},
        "messages_dropped_by_reason": dict(stats.drops),
    }
    yield Topic(device=device, socket=name, event=STATS), body
    for peer, its in peers:
        yield Topic(device=device, socket=name, peer=peer, event=STATS), _peer(its)


def _peer(stats: PeerStats) -> Body:
    return {
        "endpoint": stats.endpoint,
        "address": stats.address,
        "socket_type": stats.socket_type,
        "routing_id": stats.routing_id.hex(),
        "connected": stats.connected,
        "counters": numbers(PEER, "counters", stats),
        "gauges": numbers(PEER, "gauges", stats),
        "messages_dropped_by_reason": dict(stats.drops),
    }


def _worth_telling(peers: list[tuple[str, PeerStats]], bound: int) -> list[tuple[str, PeerStats]]:
    # Of too many, those with messages that wait or were dropped are what somebody looks for; among
    # equals those who came first, so that the choice stays the same while nothing happens.
    if len(peers) <= bound:
        return peers
    return heapq.nlargest(
        bound, peers, key=lambda one: (one[1].queued_in + one[1].queued_out, one[1].dropped)
    )


def encode(body: Body) -> bytes:
    """A body as it is sent."""
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # What is not text, as paths of sockets may have it, becomes the escape that JSON has for it.
    return text.encode(errors="backslashreplace")
