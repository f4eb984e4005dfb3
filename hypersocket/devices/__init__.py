"""Devices: what connects sockets into networks.

::

    async with hs.Pull(bind=sources) as front, hs.Push(bind=sinks) as back:
        await hs.devices.streamer(front, back)

They stand on the public calls of sockets alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._balance import AddressedDealer
from ._files._problems import ConfigurationError, Problem
from ._handle import Device, DeviceResult, DeviceStats, SideStats, WorkerStats
from ._pairing import PairingError, Ways, check_pairing
from ._proxy import forwarder, proxy, queue, socket_types, streamer

if TYPE_CHECKING:
    from .amqp_gateway import AmqpGateway

__all__ = [
    "AddressedDealer",
    "AmqpGateway",
    "ConfigurationError",
    "Device",
    "DeviceResult",
    "DeviceStats",
    "PairingError",
    "Problem",
    "SideStats",
    "Ways",
    "WorkerStats",
    "check_pairing",
    "forwarder",
    "proxy",
    "queue",
    "socket_types",
    "streamer",
]


def __getattr__(name: str) -> Any:
    # Read when it is asked for: few programs have to do with a broker.
    if name == "AmqpGateway":
        from .amqp_gateway import AmqpGateway

        return AmqpGateway
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
