"""The bodies of a feed's messages: JSON objects, as docs/reference/monitor-feed.md has them."""

from __future__ import annotations

import dataclasses
import heapq
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

from .. import _events as events
from .._stats import PeerStats
from ..sockets import Socket
from ._kinds import Body, kind_of
from ._measures import PEER, SOCKET, both
from ._sources import Source, named_peers, peer_name
from ._topics import STATS, Topic

SCHEMA = 1
"""The version of the bodies. Fields may be added without another; nothing is renamed or removed."""

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


@dataclasses.dataclass(frozen=True, slots=True)
class Whole:
    """What a source is as a whole, at one moment.

    Attributes:
        state: of the device, or the gateway; a program always runs.
        body: what is told of it beside that.
        parts: what is told of the sockets that parts of it have, by name.
    """

    state: str
    body: Body
    parts: Mapping[str, Body]

    @classmethod
    def of(cls, source: Source, most: int) -> Whole:
        """Look at a source.

        Args:
            source: what is told of.
            most: how many entries lists may have.
        """
        if source.device is None:
            return cls("running", {}, {})
        stats = source.device.stats()
        kind = kind_of(stats)
        parts = {name: kind.part_body(part) for name, part in kind.parts(stats).items()}
        return cls(stats.state, kind.body(stats, most), parts)


def device_told(source: Source, whole: Whole, feed: Mapping[str, Mapping[str, int]]) -> Told:
    """The statistics of a device, or of a program with sockets; and of the feed itself."""
    body: Body = {
        "kind": source.kind,
        "state": whole.state,
        "sockets": list(source.sockets),
        **{sort: dict(own) for sort, own in feed.items()},
    }
    return Topic(device=source.name, event=STATS), _merged(body, whole.body)


def _merged(body: Body, more: Body) -> Body:
    """Both, with the numbers of each."""
    sorts = {sort: {**body[sort], **more.get(sort, {})} for sort in ("counters", "gauges")}
    return {**body, **more, **sorts}


def socket_told(
    device: str,
    name: str,
    socket: Socket,
    bound: Collection[str],
    max_peers: int,
    part: Body,
) -> Iterator[Told]:
    """The statistics of a socket, and of the part of a device that has it; then of its peers."""
    stats = socket.stats()
    peers = _worth_telling(named_peers(stats.peers, bound), max_peers)
    body: Body = {
        "type": socket.socket_type,
        "endpoints": list(socket.endpoints),
        **both(SOCKET, stats),
        "messages_dropped_by_reason": dict(stats.drops),
    }
    body["gauges"]["peers_told"] = len(peers)
    yield Topic(device=device, socket=name, event=STATS), _merged(body, part)
    for peer, its in peers:
        yield Topic(device=device, socket=name, peer=peer, event=STATS), _peer(its)


def _peer(stats: PeerStats) -> Body:
    return {
        "endpoint": stats.endpoint,
        "address": stats.address,
        "socket_type": stats.socket_type,
        "routing_id": stats.routing_id.hex(),
        "connected": stats.connected,
        **both(PEER, stats),
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
