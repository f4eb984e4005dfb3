"""Transports: an endpoint becomes pipes.

A transport serves one scheme, the part of an endpoint before ``://``. A new one registers itself::

    hypersocket.transports.register("scheme", transport)

and should pass :func:`hypersocket.testing.check_transport`.
"""

from ._contract import Binding, Host, Transport
from ._pipe import Link, Peer, Pipe, PipeOwner
from ._registry import register, registered, resolve
from ._stream import StreamListener, StreamTransport

__all__ = [
    "Binding",
    "Host",
    "Link",
    "Peer",
    "Pipe",
    "PipeOwner",
    "StreamListener",
    "StreamTransport",
    "Transport",
    "register",
    "registered",
    "resolve",
]
