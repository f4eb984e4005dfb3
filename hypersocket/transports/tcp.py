"""tcp: ZMTP over TCP, on IPv4 and IPv6.

Dialling has one path of its own instead of :func:`trio.open_tcp_stream`, since buffers, the type
of service, the device and a source port have to be set before the connection is made, and since
the error that is told should be the peer's, not "all attempts failed".
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

import trio
from trio.socket import SocketType

from .._errors import AddressInUse, EndpointError
from .._option_groups import SocketOptions
from ._contract import Binding, Host
from ._interfaces import interface_addresses
from ._sockopts import apply_buffers, apply_tcp, bind_to_device, check_available
from ._stream import StreamListener, StreamTransport
from ._tcp_address import ANY_HOST, HostPort, bracketed, parse_bind, parse_connect

ATTEMPT_DELAY = 0.25
"""Seconds before the next address is tried beside one that does not answer (RFC 8305, 5)."""

_ANY_IPV4 = "0.0.0.0"  # noqa: S104 - what the user's "*" stands for
_ANY_IPV6 = "::"

_NO_WAY_THERE = {
    errno.EADDRNOTAVAIL,
    errno.EAFNOSUPPORT,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
}
"""What tells of our side of the network: of several failures, any other says more."""


class _Place(NamedTuple):
    """Where a socket can be bound or connected."""

    family: int
    address: Any  # what the socket module takes: two or four things

    def __str__(self) -> str:
        return _written(self.address)


class TcpTransport(StreamTransport):
    """Serves ``tcp://``."""

    scheme = "tcp"

    def check(self, address: str, *, binding: bool) -> None:
        """Raise :class:`hypersocket.EndpointError` where ``address`` can never work."""
        if binding:
            parse_bind(address)
        else:
            parse_connect(address)

    async def connect(self, address: str, host: Host) -> Binding:
        """Start dialling, again and again.

        Raises:
            EndpointError: an option asks for what this system does not have.
        """
        try:
            check_available(host.options)
        except OSError as error:
            raise EndpointError(error.strerror) from None
        return await super().connect(address, host)

    async def listen(self, address: str, options: SocketOptions) -> StreamListener:
        """Listen on the address that the host, or the interface of that name, has.

        Of several, an IPv4 address is preferred, as libzmq does. Cancelled, it leaves nothing open.

        Raises:
            EndpointError: the address cannot be bound on this machine, or not with these options.
            AddressInUse: it is taken.
            OSError: the system is short of something, such as descriptors.
        """
        place = await _place_to_listen(parse_bind(address), options)
        sock = trio.socket.socket(place.family, socket.SOCK_STREAM)
        try:
            _prepare(sock, options)
            if os.name == "posix":  # elsewhere it would let another program take the address too
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if place.family == socket.AF_INET6:
                both = options.ipv6 and place.address[0] == _ANY_IPV6
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
            await sock.bind(place.address)
            sock.listen(options.backlog)
        except OSError as error:
            sock.close()
            raise _why_not_bound(error, place) from error
        except BaseException:
            sock.close()
            raise
        return TcpListener(trio.SocketListener(sock), options)

    async def dial(self, address: str, options: SocketOptions) -> tuple[trio.SocketStream, str]:
        """Connect to the first of the host's addresses that answers.

        The addresses are tried in turn, IPv6 and IPv4 alternating; the next begins when one has
        failed or has not answered for :data:`ATTEMPT_DELAY` (RFC 8305, happy eyeballs).
        Cancelled, it leaves nothing open.

        Raises:
            OSError: nobody is reached now. Where addresses failed in different ways, the error is
                that of the first that was reachable.
        """
        route = parse_connect(address)
        targets = _alternate(await _lookup(route.target.host, route.target.port))
        sources = await _source_places(route.source) if route.source else None

        async def attempt(target: _Place) -> SocketType:
            return await _connect(target, sources, options)

        stream = trio.SocketStream(await _race(attempt, targets))
        try:
            return stream, _written(stream.socket.getpeername())
        except BaseException:
            stream.socket.close()
            raise


class TcpListener(StreamListener):
    """Accepts TCP connections.

    Args:
        listener: has the socket that listens, which is owned from now on.
        options: read again for each connection.
    """

    def __init__(self, listener: trio.SocketListener, options: SocketOptions) -> None:
        self._listener = listener
        self._options = options
        self.address = _written(listener.socket.getsockname())

    async def accept(self) -> tuple[trio.SocketStream, str]:
        """Wait for a connection; returns it with the peer's ``ip:port``.

        One that ends before it could be accepted is passed over. Cancelled, it loses none.

        Raises:
            OSError: the system could not accept one now, or refuses an option.
            trio.ClosedResourceError: the listener was closed.
        """
        while True:
            stream = await self._listener.accept()
            try:
                address = _written(stream.socket.getpeername())
            except OSError:
                stream.socket.close()  # reset already; some systems say so only here
                continue
            try:
                apply_buffers(stream.socket, self._options)
                apply_tcp(stream.socket, self._options)
            except BaseException:
                stream.socket.close()
                raise
            return stream, address

    def close(self) -> None:
        """Stop listening; a second call does nothing."""
        self._listener.socket.close()


# Names to places


async def _lookup(host: str, port: int, *, passive: bool = False) -> list[_Place]:
    """Ask the resolver; at least one place.

    Raises:
        socket.gaierror: it does not know the host.
    """
    flags = socket.AI_PASSIVE if passive else 0
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is no host name: {error}") from None
    except socket.gaierror as error:
        raise socket.gaierror(error.errno, f"cannot resolve {host!r}: {error.strerror}") from None
    return [_Place(family, address) for family, _, _, _, address in found]


async def _local_places(host: str, port: int) -> list[_Place]:
    """Where a host or an interface of this machine is, IPv4 first; empty without an address.

    Raises:
        OSError: it is neither.
    """
    addresses = interface_addresses(host)
    hosts = [host] if addresses is None else [str(address) for address in addresses]
    places = [place for name in hosts for place in await _lookup(name, port, passive=True)]
    return sorted(places, key=lambda place: place.family != socket.AF_INET)


async def _place_to_listen(wanted: HostPort, options: SocketOptions) -> _Place:
    if wanted.host == ANY_HOST:
        if options.ipv6 and socket.has_dualstack_ipv6():
            return _Place(socket.AF_INET6, (_ANY_IPV6, wanted.port))
        return _Place(socket.AF_INET, (_ANY_IPV4, wanted.port))
    try:
        places = await _local_places(wanted.host, wanted.port)
    except socket.gaierror as error:
        raise EndpointError(f"{error.strerror}; there is no interface of that name") from None
    if not places:
        raise EndpointError(f"the interface {wanted.host!r} has no address")
    return places[0]


async def _source_places(source: HostPort) -> list[_Place]:
    if source.host == ANY_HOST:
        return [
            _Place(socket.AF_INET, (_ANY_IPV4, source.port)),
            _Place(socket.AF_INET6, (_ANY_IPV6, source.port)),
        ]
    places = await _local_places(source.host, source.port)
    if not places:
        raise OSError(errno.EADDRNOTAVAIL, f"the interface {source.host!r} has no address")
    return places


def _written(address: Any) -> str:
    """An address of the socket module as text, which can be connected to."""
    host, port, *more = address
    if host.startswith("::ffff:") and "." in host:
        host = host.removeprefix("::ffff:")  # an IPv4 peer of a dual-stack socket
    if more and more[1] and "%" not in host:
        host = f"{host}%{_zone(more[1])}"
    return f"{bracketed(host)}:{port}"


def _zone(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)  # the interface is gone


# Listening


def _prepare(sock: SocketType, options: SocketOptions) -> None:
    apply_buffers(sock, options)
    apply_tcp(sock, options)
    bind_to_device(sock, options)


def _why_not_bound(error: OSError, place: _Place) -> Exception:
    match error.errno:
        case errno.EADDRINUSE:
            return AddressInUse(f"tcp://{place} is in use by another socket")
        case errno.EADDRNOTAVAIL:
            return EndpointError(f"{place}: this machine does not have that address")
        case errno.EAFNOSUPPORT:
            return EndpointError(f"{place}: this machine does not have that kind of address")
        case errno.EACCES:
            return EndpointError(
                f"{place}: not allowed; low ports (below 1024 as a rule) need privileges"
            )
        case errno.ENOPROTOOPT | errno.ENODEV | errno.EPERM | errno.EINVAL:
            return EndpointError(f"{place}: {error.strerror}")
        case _:
            return error


# Dialling


async def _connect(
    target: _Place, sources: list[_Place] | None, options: SocketOptions
) -> SocketType:
    """Make one attempt at one address. Cancelled, it leaves nothing open."""
    sock = trio.socket.socket(target.family, socket.SOCK_STREAM)
    try:
        _prepare(sock, options)
        if sources is not None:
            await _bind_source(sock, target, sources)
        try:
            await sock.connect(target.address)
        except OSError as error:
            number = error.errno or 0
            raise OSError(number, f"{target}: {os.strerror(number)}") from None
        if sock.getsockname() == sock.getpeername():
            # To a port that nobody has, TCP can connect a socket with itself, when the system
            # chooses just that port for our side. A reset frees it at once for whom it is for.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise ConnectionRefusedError(
                errno.ECONNREFUSED, f"{target}: nobody listens (it had connected to itself)"
            )
    except BaseException:
        sock.close()
        raise
    return sock


async def _bind_source(sock: SocketType, target: _Place, sources: list[_Place]) -> None:
    source = next((place for place in sources if place.family == target.family), None)
    if source is None:
        raise OSError(
            errno.EADDRNOTAVAIL, f"{target} cannot be reached from {sources[0]}: another family"
        )
    if source.address[1]:
        # A port that was named is to serve again while its last connection is in TIME_WAIT.
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    elif (option := getattr(trio.socket, "IP_BIND_ADDRESS_NO_PORT", None)) is not None:
        # Let connect choose the port: it can share one among connections to different peers.
        sock.setsockopt(socket.IPPROTO_IP, option, 1)
    try:
        await sock.bind(source.address)
    except OSError as error:
        raise OSError(error.errno, f"source address {source}: {error.strerror}") from None


def _alternate(places: list[_Place]) -> list[_Place]:
    """The two families by turns, beginning with the resolver's choice (RFC 8305, 4)."""
    same = [place for place in places if place.family == places[0].family]
    other = [place for place in places if place.family != places[0].family]
    pairs = chain.from_iterable(zip_longest(same, other))
    return [place for place in pairs if place is not None]


async def _race(
    attempt: Callable[[_Place], Awaitable[SocketType]], targets: Sequence[_Place]
) -> SocketType:
    """The first socket that connects; cancelled or failed, none is left open."""
    winner: SocketType | None = None
    failures: dict[_Place, OSError] = {}

    @trio.lowlevel.enable_ki_protection  # the program's own code is to be interrupted
    async def run(target: _Place, failed: trio.Event) -> None:
        nonlocal winner
        try:
            sock = await attempt(target)
        except OSError as error:
            failures[target] = error
            failed.set()
            return
        if winner is None:
            winner = sock
            nursery.cancel_scope.cancel()
        else:
            sock.close()  # both connected before either could be cancelled

    try:
        async with trio.open_nursery() as nursery:
            for target in targets:
                failed = trio.Event()
                nursery.start_soon(run, target, failed)
                with trio.move_on_after(ATTEMPT_DELAY):
                    await failed.wait()
    except BaseException:
        if winner is not None:
            winner.close()
        raise
    if winner is not None:
        return winner
    in_order = [failures[target] for target in targets]
    telling = [error for error in in_order if error.errno not in _NO_WAY_THERE]
    try:
        raise (telling or in_order)[0]
    finally:
        # An error holds its traceback, and that this frame: no ring for the garbage collector.
        failures.clear()
        del in_order, telling
