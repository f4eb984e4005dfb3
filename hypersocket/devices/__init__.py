"""Devices: what connects sockets into networks.

::

    async with hs.Pull(bind=sources) as front, hs.Push(bind=sinks) as back:
        await hs.devices.streamer(front, back)

They stand on the public calls of sockets alone.
"""

from ._balance import AddressedDealer
from ._files._problems import ConfigurationError, Problem
from ._handle import Device, DeviceResult, DeviceStats, SideStats, WorkerStats
from ._pairing import PairingError, Ways, check_pairing
from ._proxy import forwarder, proxy, queue, socket_types, streamer

__all__ = [
    "AddressedDealer",
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
