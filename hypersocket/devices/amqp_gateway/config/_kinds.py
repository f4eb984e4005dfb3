"""Which keys count for which kind of route, and for which protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .._client import ProtocolName
from .._spec import RouteKind


@dataclass(frozen=True, slots=True)
class Counts:
    """For what a key counts.

    Attributes:
        kinds: kinds of route.
        protocol: the protocol that has it; None for both.
    """

    kinds: tuple[RouteKind, ...]
    protocol: ProtocolName | None = None


_PUBLISHING: tuple[RouteKind, ...] = ("out", "topics", "call", "serve")

KEYS: Mapping[str, Counts] = {
    "exchange": Counts(("out", "in", "topics", "call"), "0-9-1"),
    "routing_key": Counts(("out", "in", "call")),
    "key_frame": Counts(("out",)),
    "queue": Counts(("out", "in", "call", "serve"), "0-9-1"),
    "address": Counts(("out", "in", "topics", "call", "serve"), "1.0"),
    "filter": Counts(("in",), "1.0"),
    "arguments": Counts(("in", "serve"), "0-9-1"),
    "mode": Counts(("out", "in")),
    "ack": Counts(("in",)),
    "own_messages": Counts(("in",)),
    "mandatory": Counts(("out",), "0-9-1"),
    "durable": Counts(_PUBLISHING),
    "hop_header": Counts(_PUBLISHING),
    "properties": Counts(_PUBLISHING),
    "retries": Counts(("out", "topics")),
    "max_deliveries": Counts(("in", "serve")),
    "timeout": Counts(("in", "call", "serve")),
    "reply_queue": Counts(("call",)),
    "subscribe": Counts(("topics",)),
    "separator": Counts(("topics",)),
}
"""What is not here counts for every route."""

INSTEAD: Mapping[str, str] = {
    "exchange": "name an address",
    "queue": "name an address",
    "address": "name an exchange or a queue",
}
"""What stands for a key in the other protocol."""
