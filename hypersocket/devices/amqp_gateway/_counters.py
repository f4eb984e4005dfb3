"""What a route counts, while it is counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from ._spec import RouteKind
from ._stats import RouteStats


@dataclass(slots=True)
class Counters:
    """The counters of :class:`~hypersocket.devices.amqp_gateway.RouteStats`, by its names."""

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
    drops: dict[str, int] = field(default_factory=dict[str, int])

    def drop(self, reason: str, count: int = 1) -> bool:
        """Count messages that went nowhere; True when they are the first of this reason."""
        before = self.drops.get(reason, 0)
        self.drops[reason] = before + count
        return before == 0

    def snapshot(
        self,
        name: str,
        kind: RouteKind,
        *,
        active: bool,
        error: str,
        pending: int,
        credit: int,
        bindings: int,
        overdue: int,
    ) -> RouteStats:
        """The counters as others see them."""
        return RouteStats(
            name=name,
            kind=kind,
            active=active,
            error=error,
            dropped=sum(self.drops.values()),
            pending=pending,
            credit=credit,
            bindings=bindings,
            overdue=overdue,
            **asdict(self),
        )
