"""What a tcp address says: text to parts and back, with no I/O.

Whether a name is an interface of this machine or a host of the DNS is not known here: that is
found out where it is bound or dialled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from .._errors import EndpointError

ANY_HOST = "*"

_IPV6 = re.compile(r"\[([^\[\]]*)\]:(.*)")
_NAME = re.compile(r"[\w.-]+")  # underscores and letters of any script: DNS has both
_MAX_NAME = 253  # RFC 1035, 2.3.4, without the root's dot and the length octet


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host and a port.

    Attributes:
        host: an address (IPv6 without brackets), the name of an interface or of a host, or ``*``.
        port: 0 for one that the system chooses.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port or '*'}"


@dataclass(frozen=True, slots=True)
class Route:
    """Where to connect to, and from where if that was said."""

    target: HostPort
    source: HostPort | None = None

    def __str__(self) -> str:
        return f"{self.source};{self.target}" if self.source else str(self.target)


def bracketed(host: str) -> str:
    """A host as it stands before a colon and a port."""
    return f"[{host}]" if ":" in host else host


def parse_bind(text: str) -> HostPort:
    """Read an address to listen on.

    Raises:
        EndpointError: it can be understood in no way; the text says what would be right.
    """
    if ";" in text:
        raise EndpointError("a source address (before ';') is for connect, not for bind")
    return _parse(text)


def parse_connect(text: str) -> Route:
    """Read an address to connect to.

    Raises:
        EndpointError: it can be understood in no way; the text says what would be right.
    """
    before, separator, after = text.rpartition(";")
    if ";" in before:
        raise EndpointError("more than one ';': expected source:port;host:port")
    source = None
    if separator:
        try:
            source = _parse(before)
        except EndpointError as error:
            raise EndpointError(f"the source address before ';': {error}") from None
    target = _parse(after)
    if target.host == ANY_HOST:
        raise EndpointError("cannot connect to '*': name a host, such as 127.0.0.1:5555")
    if not target.port:
        raise EndpointError("cannot connect to a wildcard port: name one, 1 to 65535")
    return Route(target, source)


def _parse(text: str) -> HostPort:
    if any(char.isspace() or not char.isprintable() for char in text):
        raise EndpointError("there is whitespace or an unprintable character in it")
    if text.startswith("["):
        match = _IPV6.fullmatch(text)
        if match is None:
            raise EndpointError("expected [IPv6 address]:port, such as [::1]:5555")
        host, port = match.groups()
        _check_ipv6(host)
    else:
        host, separator, port = text.rpartition(":")
        if not separator:
            raise EndpointError("the port is missing: expected host:port")
        _check_host(host)
    return HostPort(host, _parse_port(port))


def _check_ipv6(host: str) -> None:
    zone = host.partition("%")[2]
    try:
        IPv6Address(host)
    except ValueError:
        pass
    else:
        if not zone or _NAME.fullmatch(zone):
            return
    raise EndpointError(f"{host!r} is not an IPv6 address, and brackets are for those alone")


def _check_host(host: str) -> None:
    if not host:
        raise EndpointError("the host is missing: expected host:port, or *:port to bind")
    if host == ANY_HOST:
        return
    if ":" in host:
        raise EndpointError(
            "an IPv6 address needs brackets, such as [::1]:5555, and another has one ':' only"
        )
    if not _NAME.fullmatch(host):
        raise EndpointError(
            f"{host!r} is no host: expected an address, an interface or a host name"
        )
    # Numbers alone would be read by the resolver as inet_aton() does: 127.1, 2130706433, 010.0.0.1.
    # A last number after a name is left alone: eth0.100 is a VLAN's interface.
    if all(label.isdigit() for label in host.rstrip(".").split(".")):
        try:
            IPv4Address(host)
        except ValueError as error:
            raise EndpointError(f"{host!r} is not an IPv4 address: {error}") from None
        return
    if len(host) > _MAX_NAME:
        raise EndpointError(f"the host name has more than {_MAX_NAME} characters")
    try:
        host.encode("idna")
    except UnicodeError:
        raise EndpointError(
            f"{host!r} is no host name: one of its labels is empty, too long or not allowed"
        ) from None


def _parse_port(text: str) -> int:
    if text == "*":
        return 0
    if not text:
        raise EndpointError("the port is missing after ':': expected 1 to 65535, or * to bind")
    if not (text.isascii() and text.isdigit()):
        raise EndpointError(f"the port {text!r} is not a number: expected 1 to 65535")
    if len(text) > 5 or int(text) > 65535:
        raise EndpointError(f"the port {text} is out of range: expected 1 to 65535")
    return int(text)
