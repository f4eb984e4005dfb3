"""Which transport serves which scheme."""

from __future__ import annotations

import re

from .._errors import EndpointError
from ._contract import Transport

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")

_transports: dict[str, Transport] = {}


def register(scheme: str, transport: Transport) -> None:
    """Let ``transport`` serve endpoints that begin with ``scheme://``, from now on.

    A scheme that is served already is served by the new transport; sockets that are open keep
    the old one.

    Raises:
        ValueError: the scheme is not lower-case letters, digits, ``+``, ``.`` and ``-``.
        TypeError: the transport is not a :class:`hypersocket.transports.Transport`.
    """
    if not _SCHEME.fullmatch(scheme):
        raise ValueError(f"{scheme!r} is no scheme: expected one such as 'tcp'")
    if not isinstance(transport, Transport):
        raise TypeError(
            f"expected a hypersocket.transports.Transport, not {type(transport).__name__}"
        )
    _transports[scheme] = transport


def registered() -> tuple[str, ...]:
    """The schemes that are served, in alphabetical order."""
    return tuple(sorted(_transports))


def resolve(endpoint: str, *, binding: bool) -> tuple[Transport, str]:
    """Find the transport of an endpoint, and the address that it is to use.

    Raises:
        TypeError: the endpoint is not text.
        EndpointError: it cannot be understood.
    """
    if not isinstance(endpoint, str):
        raise TypeError(f"an endpoint is text, not {type(endpoint).__name__}")
    scheme, separator, address = endpoint.partition("://")
    if not separator:
        raise EndpointError(
            f"{endpoint!r} is no endpoint: expected scheme://address, such as tcp://127.0.0.1:5555"
        )
    transport = _transports.get(scheme)
    if transport is None:
        raise EndpointError(
            f"{endpoint!r}: no transport serves {scheme!r}; there are {', '.join(registered())}"
        )
    try:
        transport.check(address, binding=binding)
    except EndpointError as error:
        raise EndpointError(f"{endpoint!r}: {error}") from None
    return transport, address
