"""A gateway file that has been read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..._files._problems import Problem
from .._spec import GatewaySpec, RouteSocket


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """What a gateway file says.

    Attributes:
        spec: what the gateway is to do.
        monitor: the socket to publish events and statistics by; None for none.
        monitor_interval: seconds between two publications of statistics.
        metrics: ``host:port`` to serve OpenMetrics at; None for none.
        warnings: what is not wrong, but unwise.
        identity: two gateways run alike if this is equal: all that was read, secrets and
            certificates too.
    """

    spec: GatewaySpec
    monitor: RouteSocket | None = None
    monitor_interval: float = 1.0
    metrics: str | None = None
    warnings: tuple[Problem, ...] = ()
    identity: object = field(default=None, repr=False)

    def sockets(self) -> Mapping[str, RouteSocket]:
        """Its sockets by the names that the gateway has for them, and ``"monitor"``."""
        found: dict[str, RouteSocket] = {}
        for route in self.spec.routes:
            found[route.name] = route.socket
            if route.dead_letters is not None and route.dead_letters.socket is not None:
                found[f"{route.name}.dead-letters"] = route.dead_letters.socket
        if self.monitor is not None:
            found["monitor"] = self.monitor
        return found
