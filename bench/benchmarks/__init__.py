"""The benchmarks: a file for each family. A new one is a file here, and a line below."""

from __future__ import annotations

from ..contract import Case, Role
from . import (
    connect,
    device,
    fan_in,
    fan_out,
    gateway,
    idle,
    inproc,
    latency,
    subscriptions,
    throughput,
)

ROLES: dict[str, Role] = {
    **throughput.ROLES,
    **latency.ROLES,
    **inproc.ROLES,
    **fan_out.ROLES,
    **fan_in.ROLES,
    **subscriptions.ROLES,
    **connect.ROLES,
    **device.ROLES,
    **gateway.ROLES,
}


def cases(short: bool = False) -> list[Case]:
    """Every case, in the order of the table."""
    return [
        *throughput.cases(short),
        *latency.cases(short),
        *inproc.cases(short),
        *fan_out.cases(short),
        *fan_in.cases(short),
        *idle.cases(short),
        *subscriptions.cases(short),
        *connect.cases(short),
        *device.cases(short),
        *gateway.cases(short),
    ]
