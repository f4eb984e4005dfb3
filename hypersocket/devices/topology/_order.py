"""In which order devices are stopped: who sends before those who receive from it."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter

from ._links import links_of
from ._spec import Topology


def downstream(topology: Topology) -> dict[str, set[str]]:
    """For each device those that its backend hands messages to."""
    found: dict[str, set[str]] = {name: set() for name in topology.devices}
    for link in links_of(topology):
        if link.binding is None:
            continue
        sides = {link.connecting[1]: link.connecting[0], link.binding[1]: link.binding[0]}
        if set(sides) == {"frontend", "backend"} and sides["frontend"] != sides["backend"]:
            found[sides["backend"]].add(sides["frontend"])
    return found


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
