"""The kinds of thing that are told of as a whole: what is measured, and what else is said.

The feed and the metrics ask here, and know of no kind by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from ._measures import DEVICE, GATEWAY, ROUTE, Measure, both
from ._sources import (
    DeviceStatsLike,
    GatewayStatsLike,
    RouteStatsLike,
    WorkerStatsLike,
)

Body: TypeAlias = dict[str, Any]
T = TypeVar("T")
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T, P]):
    """A kind of device.

    Attributes:
        what: it, in the names of metrics: ``"device"``.
        measures: what is measured of it.
        fields: what else a body says of it; the number is of entries in lists, at most.
        part: what has a socket of its own in it, in the names of metrics; empty for nothing.
        part_measures: what is measured of a part.
        parts: its parts by the names of their sockets.
        part_fields: what else the body of the socket says of a part.
        part_labels: what a part's metrics have besides the names of device and part.
    """

    what: str
    measures: tuple[Measure[T], ...]
    fields: Callable[[T, int], Body]
    part: str = ""
    part_measures: tuple[Measure[P], ...] = ()
    parts: Callable[[T], Mapping[str, P]] = lambda _: {}
    part_fields: Callable[[P], Body] = lambda _: {}
    part_labels: Callable[[P], tuple[str, ...]] = lambda _: ()

    def body(self, stats: T, most: int) -> Body:
        """All that a body says of one."""
        return {**both(self.measures, stats), **self.fields(stats, most)}

    def part_body(self, part: P) -> Body:
        """All that the body of a socket says of the part that has it."""
        return {**both(self.part_measures, part), **self.part_fields(part)}


def _device_fields(stats: DeviceStatsLike, most: int) -> Body:
    return {
        "messages_undelivered_by_reason": dict(stats.reasons),
        "workers": [_worker(worker) for worker in stats.workers[:most]],
    }


def _worker(worker: WorkerStatsLike) -> Body:
    return {
        "routing_id": worker.routing_id.hex(),
        "address": worker.address,
        "counters": {"requests_answered": worker.answered},
        "gauges": {"requests_outstanding": worker.outstanding},
    }


def _gateway_fields(stats: GatewayStatsLike, _: int) -> Body:
    return {
        "protocol": stats.protocol,
        "connected": stats.connected,
        "address": stats.address,
        "blocked": stats.blocked,
        "error": stats.error,
    }


def _route_fields(route: RouteStatsLike) -> Body:
    return {
        "route_kind": route.kind,
        "route_active": route.active,
        "route_error": route.error,
        "route_messages_dropped_by_reason": dict(route.drops),
    }


A_DEVICE: Kind[DeviceStatsLike, Any] = Kind("device", DEVICE, _device_fields)

A_GATEWAY: Kind[GatewayStatsLike, RouteStatsLike] = Kind(
    "gateway",
    GATEWAY,
    _gateway_fields,
    "route",
    ROUTE,
    lambda stats: {route.name: route for route in stats.routes},
    _route_fields,
    lambda route: (route.kind,),
)

KINDS: tuple[Kind[Any, Any], ...] = (A_DEVICE, A_GATEWAY)


def kind_of(stats: DeviceStatsLike | GatewayStatsLike) -> Kind[Any, Any]:
    """What kind of thing statistics are of."""
    return A_GATEWAY if isinstance(stats, GatewayStatsLike) else A_DEVICE
