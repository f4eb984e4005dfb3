"""Which options reach a socket of the system, and how.

An option that this system does not have is an error, not silence.
"""

from __future__ import annotations

import errno
import math
import os
import socket
import sys
from collections.abc import Iterator
from typing import NamedTuple

from trio.socket import SocketType

from .._option_groups import SocketOptions


class _Setting(NamedTuple):
    option: str  # ours
    level: int
    constant: str  # the system's, as the socket module calls it
    value: int | bytes


def check_available(options: SocketOptions) -> None:
    """See that this system has what the options ask of tcp.

    Raises:
        OSError: it has not, with ``ENOPROTOOPT``; the text names the option.
    """
    for setting in (*_tcp(options, socket.AF_INET), *_device(options)):
        _constant(setting)


def apply_buffers(sock: SocketType | socket.socket, options: SocketOptions) -> None:
    """Set the sizes of the buffers: before listen or connect, so that TCP's window fits them.

    Raises:
        OSError: the system refuses; the text names the option.
    """
    if options.sndbuf is not None:
        _set(sock, _Setting("sndbuf", socket.SOL_SOCKET, "SO_SNDBUF", options.sndbuf))
    if options.rcvbuf is not None:
        _set(sock, _Setting("rcvbuf", socket.SOL_SOCKET, "SO_RCVBUF", options.rcvbuf))


def apply_tcp(sock: SocketType, options: SocketOptions) -> None:
    """Set what is TCP's and IP's. ``TCP_NODELAY`` is not here: a trio.SocketStream sets it.

    Raises:
        OSError: the system does not have one, or refuses; the text names the option.
    """
    for setting in _tcp(options, sock.family):
        _set(sock, setting)


def bind_to_device(sock: SocketType, options: SocketOptions) -> None:
    """Confine a socket to the interface that ``bindtodevice`` names, before bind or connect.

    Accepted sockets have it from the one that listens, and Linux lets nobody set it again without
    privileges.

    Raises:
        OSError: there is no such interface, or the system does not have this, or refuses.
    """
    for setting in _device(options):
        _set(sock, setting)


def _device(options: SocketOptions) -> Iterator[_Setting]:
    if options.bindtodevice is not None:
        name = os.fsencode(options.bindtodevice)
        yield _Setting("bindtodevice", socket.SOL_SOCKET, "SO_BINDTODEVICE", name)


def _tcp(options: SocketOptions, family: int) -> Iterator[_Setting]:
    tcp = socket.IPPROTO_TCP
    if options.tcp_keepalive is not None:
        on = int(options.tcp_keepalive)
        yield _Setting("tcp_keepalive", socket.SOL_SOCKET, "SO_KEEPALIVE", on)
    if options.tcp_keepalive_idle is not None:
        # One meaning, two names: the second is macOS's.
        name = "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE"
        yield _Setting("tcp_keepalive_idle", tcp, name, options.tcp_keepalive_idle)
    if options.tcp_keepalive_intvl is not None:
        yield _Setting("tcp_keepalive_intvl", tcp, "TCP_KEEPINTVL", options.tcp_keepalive_intvl)
    if options.tcp_keepalive_cnt is not None:
        yield _Setting("tcp_keepalive_cnt", tcp, "TCP_KEEPCNT", options.tcp_keepalive_cnt)
    if options.tcp_maxrt:
        # Up, since 0 would mean the system's own; and no more than the C int that it becomes.
        milliseconds = min(math.ceil(options.tcp_maxrt * 1000), 2**31 - 1)
        yield _Setting("tcp_maxrt", tcp, "TCP_USER_TIMEOUT", milliseconds)
    if options.tos:
        if family == socket.AF_INET6:
            yield _Setting("tos", socket.IPPROTO_IPV6, "IPV6_TCLASS", options.tos)
        # Linux's IPv6 sockets take IPv4's octet as well, for the IPv4 peers of a dual-stack one.
        if family == socket.AF_INET or sys.platform == "linux":
            yield _Setting("tos", socket.IPPROTO_IP, "IP_TOS", options.tos)


def _constant(setting: _Setting) -> int:
    number = getattr(socket, setting.constant, None)
    if not isinstance(number, int):
        raise OSError(errno.ENOPROTOOPT, f"{setting.option}: this system has no {setting.constant}")
    return number


def _set(sock: SocketType | socket.socket, setting: _Setting) -> None:
    number = _constant(setting)
    try:
        sock.setsockopt(setting.level, number, setting.value)
    except OSError as error:
        raise OSError(
            error.errno, f"{setting.option}={setting.value!r}: {error.strerror}"
        ) from None
