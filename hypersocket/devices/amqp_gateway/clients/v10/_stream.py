"""The way to a broker: TCP, and TLS over it, with one clear error for whatever fails."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from typing import cast

import trio
import trio.abc

from .....amqp import ConnectionLost
from ..._client import BrokerAddress


def name_of(address: BrokerAddress) -> str:
    """``host:port``, for people."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


async def open_stream(address: BrokerAddress) -> trio.abc.Stream:
    """Connect. Cancelled, nothing is left open.

    Raises:
        ConnectionLost: the host is unknown, nobody listens, or TLS failed. Of a name that does not
            exist and of a certificate that is not good, not ``temporary``.
    """
    peer = name_of(address)
    try:
        stream = await trio.open_tcp_stream(address.host, address.port)
    except socket.gaierror as error:
        raise ConnectionLost(
            f"the host {address.host!r} is not known: {error.strerror}",
            temporary=error.errno != socket.EAI_NONAME,
        ) from error
    except OSError as error:
        raise ConnectionLost(
            f"there is no way to {peer}: {_innermost(error)}", temporary=True
        ) from error
    if address.tls is None:
        return stream
    name = address.server_name or address.host
    secure = trio.SSLStream(stream, address.tls, server_hostname=name, https_compatible=True)
    try:
        await secure.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise _tls_failed(peer, error) from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secure


def _tls_failed(peer: str, error: trio.BrokenResourceError) -> ConnectionLost:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ConnectionLost(f"the certificate of {peer} is not good: {cause.verify_message}")
    if isinstance(cause, ssl.SSLError):
        return ConnectionLost(f"{peer} does not answer in TLS: {cause.reason or cause}")
    return ConnectionLost(f"{peer} ended the connection during TLS's handshake", temporary=True)


def _innermost(error: BaseException) -> str:
    """The words of what was wrong with the last address tried."""
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        several = cast("BaseExceptionGroup[BaseException]", cause)
        return _innermost(several.exceptions[-1])
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _innermost(cause) if isinstance(cause, OSError) else str(error)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name alone."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
