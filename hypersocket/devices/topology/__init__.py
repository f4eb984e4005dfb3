"""Topology files: devices, gateways, and the sockets around them, composed in one file.

::

    from hypersocket.devices import topology

    await topology.run(topology.load("shop.toml"))
"""

from __future__ import annotations

from .._files._problems import Problem
from ._child import ChildStatus, DeviceFailed
from ._errors import TopologyError
from ._links import Link, links_of
from ._load import load, loads
from ._run import Running, run
from ._service import load_from
from ._spec import DeviceSpec, GatewaySpec, ProgramSpec, SocketSpec, Source, Topology
from ._svg import graph

__all__ = [
    "ChildStatus",
    "DeviceFailed",
    "DeviceSpec",
    "GatewaySpec",
    "Link",
    "Problem",
    "ProgramSpec",
    "Running",
    "SocketSpec",
    "Source",
    "Topology",
    "TopologyError",
    "graph",
    "links_of",
    "load",
    "load_from",
    "loads",
    "run",
]
