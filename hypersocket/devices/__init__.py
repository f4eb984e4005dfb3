"""Devices: what connects sockets into networks.

::

    async with hs.Pull(bind=sources) as front, hs.Push(bind=sinks) as back:
        await hs.devices.streamer(front, back)
"""

from __future__ import annotations

from typing import Any, Literal

import trio

from ..sockets import Socket
from ._handle import Device, DeviceResult, DeviceStats, SideStats, WorkerStats
from ._pairing import PairingError, check_pairing

__all__ = [
    "Device",
    "DeviceResult",
    "DeviceStats",
    "PairingError",
    "SideStats",
    "WorkerStats",
    "check_pairing",
    "forwarder",
    "proxy",
    "queue",
    "streamer",
]


async def proxy(
    frontend: Socket,
    backend: Socket,
    *,
    capture: Socket | None = None,
    control: Socket | None = None,
    name: str = "proxy",
    task_status: trio.TaskStatus[Device] = trio.TASK_STATUS_IGNORED,
) -> DeviceResult:
    """Forward between two sockets (skeleton)."""
    raise NotImplementedError


async def queue(
    frontend: Socket,
    backend: Socket,
    *,
    capture: Socket | None = None,
    control: Socket | None = None,
    balance: Literal["round-robin", "least-outstanding"] = "round-robin",
    name: str = "queue",
    task_status: trio.TaskStatus[Device] = trio.TASK_STATUS_IGNORED,
) -> DeviceResult:
    """Requests to workers (skeleton)."""
    raise NotImplementedError


async def forwarder(
    frontend: Socket,
    backend: Socket,
    *,
    capture: Socket | None = None,
    control: Socket | None = None,
    name: str = "forwarder",
    task_status: trio.TaskStatus[Device] = trio.TASK_STATUS_IGNORED,
) -> DeviceResult:
    """Publishers to subscribers (skeleton)."""
    raise NotImplementedError


async def streamer(
    frontend: Socket,
    backend: Socket,
    *,
    capture: Socket | None = None,
    control: Socket | None = None,
    name: str = "streamer",
    task_status: trio.TaskStatus[Device] = trio.TASK_STATUS_IGNORED,
) -> DeviceResult:
    """Sources to sinks (skeleton)."""
    raise NotImplementedError
