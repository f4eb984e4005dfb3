"""The addresses of a network interface, by its name.

Python's standard library can list interfaces, but not their addresses. C's ``getifaddrs`` tells
them on every POSIX system alike, at once and without privileges.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

_HAS_LENGTH = sys.platform.startswith(("darwin", "freebsd", "netbsd", "openbsd", "dragonfly"))


class _Sockaddr(ctypes.Structure):
    """The head of any ``sockaddr``: BSDs put a length before the family."""

    _fields_ = (
        [("length", ctypes.c_uint8), ("family", ctypes.c_uint8)]
        if _HAS_LENGTH
        else [("family", ctypes.c_uint16)]
    )


class _Ifaddrs(ctypes.Structure):
    """The head of ``struct ifaddrs``, as far as all systems agree."""


_Ifaddrs._fields_ = [
    ("next", ctypes.POINTER(_Ifaddrs)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.POINTER(_Sockaddr)),
]

# Where the address stands in a sockaddr_in and in a sockaddr_in6: after family (and length) and
# port, and in the latter after the flow label too.
_OFFSET = {socket.AF_INET: (4, 4), socket.AF_INET6: (8, 16)}


def interface_addresses(name: str) -> tuple[IPv4Address | IPv6Address, ...] | None:
    """The addresses of an interface, or None if this machine has no interface of that name.

    IPv4 addresses come first, and IPv6 addresses that hold on their own link only come last; those
    have the interface as their zone. An interface that has no address gives an empty tuple.

    Raises:
        OSError: the system does not tell.
    """
    try:
        socket.if_nametoindex(name)
    except (OSError, ValueError):
        return None  # no such name, or one that could not be any: too long, or with a NUL
    if os.name == "nt":
        return ()  # it has no getifaddrs
    found = [_with_zone(address, name) for owner, address in _all_addresses() if owner == name]
    return tuple(sorted(found, key=lambda address: (address.version, address.is_link_local)))


def _with_zone(address: IPv4Address | IPv6Address, name: str) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address) and address.is_link_local:
        packed = bytearray(address.packed)
        packed[2:4] = b"\0\0"  # where BSD kernels keep the zone's number
        return IPv6Address(f"{IPv6Address(bytes(packed))}%{name}")
    return address


def _all_addresses() -> Iterator[tuple[str, IPv4Address | IPv6Address]]:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.getifaddrs.argtypes = [ctypes.POINTER(ctypes.POINTER(_Ifaddrs))]
    libc.freeifaddrs.argtypes = [ctypes.POINTER(_Ifaddrs)]
    libc.freeifaddrs.restype = None
    head = ctypes.POINTER(_Ifaddrs)()
    if libc.getifaddrs(ctypes.byref(head)):
        number = ctypes.get_errno()
        raise OSError(number, "the system does not tell its interfaces' addresses")
    try:
        entry = head
        while bool(entry):
            address = _read_address(entry.contents.address)
            if address is not None:
                yield os.fsdecode(entry.contents.name), address
            entry = entry.contents.next
    finally:
        libc.freeifaddrs(head)


def _read_address(pointer: ctypes._Pointer[_Sockaddr]) -> IPv4Address | IPv6Address | None:
    if not bool(pointer):
        return None  # an interface that is there, but has no address of any family
    place = _OFFSET.get(pointer.contents.family)
    if place is None:
        return None
    start = ctypes.addressof(pointer.contents)
    packed = ctypes.string_at(start + place[0], place[1])
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
