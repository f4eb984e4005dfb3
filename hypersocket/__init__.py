"""Brokerless messaging: ØMQ's patterned sockets, native to Python and trio.

::

    import hypersocket as hs

    async with hs.Rep(bind="tcp://127.0.0.1:*") as rep, hs.Req() as req:
        await req.connect(rep.endpoints[0])
        await req.send(b"hello")
        print(await rep.recv())
"""

from . import _events as events
from . import _speedups, transports
from ._errors import (
    AddressInUse,
    EndpointError,
    HandshakeError,
    HostUnreachable,
    HypersocketError,
    MessageTooLarge,
    MultipartError,
    ProtocolError,
    StateError,
)
from ._reasons import DropReason, Reason
from ._stats import PeerStats, SocketStats
from ._version import __version__
from .sockets import (
    Dealer,
    Pair,
    Pub,
    Pull,
    Push,
    Rep,
    Req,
    Router,
    Socket,
    Sub,
    XPub,
    XSub,
)
from .transports import inproc as _inproc
from .transports import ipc as _ipc
from .transports import tcp as _tcp

transports.register("tcp", _tcp.TcpTransport())
transports.register("ipc", _ipc.IpcTransport())
transports.register("inproc", _inproc.InprocTransport())

from . import devices, management  # noqa: E402 - they stand on what is above

speedups = _speedups.FORM
"""Whether the compiled core is in use: ``"compiled"`` or ``"pure"``."""

__all__ = [
    "AddressInUse",
    "Dealer",
    "DropReason",
    "EndpointError",
    "HandshakeError",
    "HostUnreachable",
    "HypersocketError",
    "MessageTooLarge",
    "MultipartError",
    "Pair",
    "PeerStats",
    "ProtocolError",
    "Pub",
    "Pull",
    "Push",
    "Reason",
    "Rep",
    "Req",
    "Router",
    "Socket",
    "SocketStats",
    "StateError",
    "Sub",
    "XPub",
    "XSub",
    "__version__",
    "devices",
    "events",
    "management",
    "speedups",
    "transports",
]
