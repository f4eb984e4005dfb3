"""What a gateway counts: frozen snapshots, as those of sockets and devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ._spec import RouteKind

GatewayState: TypeAlias = Literal["running", "stopping", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteStats:
    """One route since the gateway was started.

    Every message in ``received`` is in ``forwarded`` and settled, or in one of ``pending``,
    ``dead_lettered``, ``dropped`` or ``requeued``.

    Attributes:
        name: the route's.
        kind: the route's.
        active: whether it carries messages now: the broker is there, and what it needs in it.
        error: why not, in the broker's words; empty if it is.
        received: messages taken from the side that they come from.
        bytes_in: bytes of their bodies.
        forwarded: messages handed to the other side.
        bytes_out: bytes of their bodies.
        confirmed: messages that the other side has taken over.
        returned: messages that the broker could not route.
        rejected: messages that the broker, or a worker, refused.
        requeued: messages given back to the broker, to be delivered again.
        retried: messages published once more, their fate being unknown; may be duplicates.
        redelivered: messages that the broker had given to somebody before.
        expired: requests or jobs that nobody answered in time.
        late: answers of workers to jobs that they do not have (any more).
        malformed: messages of workers that are no answers, or whose metadata cannot be sent.
        looped: messages that had come through this gateway, or through too many.
        damaged: messages passed on as one frame, the header that divides them not fitting.
        dead_lettered: messages that went to the dead-letter target.
        dropped: messages that went nowhere.
        drops: the same by reason.
        pending: messages in the gateway's care: unconfirmed, unacknowledged, or unanswered.
        credit: how many more the broker may send now; 0 for routes that only publish.
        bindings: bindings (or links) that subscriptions stand for now.
        overdue: workers that owe the answer to a job which was taken back from them. Until they
            give it, that job counts as theirs: who may have one at a time gets no other.
    """

    name: str
    kind: RouteKind
    active: bool = False
    error: str = ""
    received: int = 0
    bytes_in: int = 0
    forwarded: int = 0
    bytes_out: int = 0
    confirmed: int = 0
    returned: int = 0
    rejected: int = 0
    requeued: int = 0
    retried: int = 0
    redelivered: int = 0
    expired: int = 0
    late: int = 0
    malformed: int = 0
    looped: int = 0
    damaged: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    drops: Mapping[str, int] = field(default_factory=dict[str, int])
    pending: int = 0
    credit: int = 0
    bindings: int = 0
    overdue: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStats:
    """A gateway since it was started.

    Attributes:
        name: the gateway's.
        kind: ``"gateway"``.
        state: ``"running"``, ``"stopping"`` or ``"stopped"``.
        protocol: ``"0-9-1"`` or ``"1.0"``.
        connected: whether there is a connection to the broker: both, where it has two.
        address: ``host:port`` of the broker, or of the one tried last.
        broker: what the broker told of itself.
        blocked: the broker's words while it takes no publications; empty otherwise.
        connects: connections made.
        reconnects: connections made after one had been lost; once for both, where it has two and
            the one that publishes was lost.
        error: why there is no connection; empty if there is.
        routes: the routes, in the order of the configuration.
    """

    name: str
    kind: Literal["gateway"] = "gateway"
    state: GatewayState
    protocol: str
    connected: bool = False
    address: str = ""
    broker: Mapping[str, Any] = field(default_factory=dict[str, Any])
    blocked: str = ""
    connects: int = 0
    reconnects: int = 0
    error: str = ""
    routes: tuple[RouteStats, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayResult:
    """What became of what the gateway had in its care, when it has stopped.

    Attributes:
        stats: the counters at the end.
        unsettled: messages by route that were taken from ØMQ and never confirmed by the broker.
        unread: messages by route that its sockets had received, and that it has not taken.
        returned: deliveries by route that the broker keeps, not having been settled.
    """

    stats: GatewayStats
    unsettled: Mapping[str, int] = field(default_factory=dict[str, int])
    unread: Mapping[str, int] = field(default_factory=dict[str, int])
    returned: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def complete(self) -> bool:
        """Whether nothing was lost, which what the broker keeps is not."""
        return not (any(self.unsettled.values()) or any(self.unread.values()))
