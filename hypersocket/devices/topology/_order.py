"""In which order devices are stopped: who sends before those who receive from it."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter

from ._links import End, links_of
from ._spec import Topology


def downstream(topology: Topology) -> dict[str, set[str]]:
    """For each device and gateway those that it hands messages to."""
    found: dict[str, set[str]] = {name: set() for name in topology.members}
    for link in links_of(topology):
        if link.binding is None:
            continue
        ends = (link.connecting, link.binding)
        giving = [end[0] for end in ends if _gives(topology, end)]
        taking = [end[0] for end in ends if _takes(topology, end)]
        if len(giving) == len(taking) == 1 and giving != taking:
            found[giving[0]].add(taking[0])
    return found


_TO_BROKER = {"PULL", "SUB", "XSUB", "ROUTER"}
"""The sockets by which a gateway takes what is for the broker; by others it gives."""


def _gives(topology: Topology, end: End) -> bool:
    """Whether messages, or requests, leave a device or gateway by this socket."""
    name, side = end
    if name in topology.gateways:
        return topology.gateways[name].sockets()[side].type not in _TO_BROKER
    return side == "backend"


def _takes(topology: Topology, end: End) -> bool:
    """Whether they come to it by this socket."""
    name, side = end
    if name in topology.gateways:
        return topology.gateways[name].sockets()[side].type in _TO_BROKER
    return side == "frontend"


def stop_order(topology: Topology, names: Collection[str]) -> list[list[str]]:
    """Groups of devices, to be stopped one group after the other.

    What a device still hands on is then taken by those behind it. Where messages go round in a
    circle there is no first, and those of the circle are stopped together.
    """
    upstream: dict[str, set[str]] = {name: set() for name in names}
    for name, targets in downstream(topology).items():
        for target in targets & upstream.keys():
            if name in upstream:
                upstream[target].add(name)
    sorter = TopologicalSorter(upstream)
    with suppress(CycleError):  # what is neither in a circle nor behind one still comes in order
        sorter.prepare()
    groups: list[list[str]] = []
    while sorter.is_active():
        ready = sorter.get_ready()
        if not ready:
            break
        groups.append(sorted(ready))
        sorter.done(*ready)
    rest = sorted(set(names).difference(*groups))
    return [*groups, rest] if rest else groups
