"""Steering by messages, as libzmq's ``zmq_proxy_steerable`` is steered."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable
from typing import ClassVar, Protocol

import trio

from .._errors import HypersocketError
from ._handle import Device, DeviceStats

logger = logging.getLogger("hypersocket")

COMMANDS = (b"PAUSE", b"RESUME", b"TERMINATE", b"STATISTICS")

_NUMBER = struct.Struct("=Q")  # libzmq copies a uint64_t as it lies in memory


class ControlSocket(Protocol):
    """REP or PAIR, as far as this goes."""

    socket_type: ClassVar[str]

    async def recv_multipart(self) -> list[bytes]:
        """Wait for a command."""
        ...

    async def send_multipart(self, frames: Iterable[bytes]) -> None:
        """Answer it."""
        ...


async def obey(device: Device, control: ControlSocket) -> None:
    """Do what is commanded, until cancelled.

    As with libzmq, STATISTICS is answered by eight numbers, and the others by an empty message
    where the socket is a REP, and by nothing where it is a PAIR. What is no command is answered
    by a text that begins with ``ERROR``.
    """
    has_to_answer = control.socket_type == "REP"
    while True:
        try:
            answer = _do(device, await control.recv_multipart())
            if answer != [b""] or has_to_answer:
                await control.send_multipart(answer)
        except trio.ClosedResourceError:
            logger.warning("%s: its control socket was closed; it goes on without", device)
            return
        except HypersocketError as error:
            logger.warning("%s: could not answer a command: %s", device, error)


def _do(device: Device, frames: list[bytes]) -> list[bytes]:
    command = frames[0] if len(frames) == 1 else b""
    if command == b"PAUSE":
        device.pause()
    elif command == b"RESUME":
        device.resume()
    elif command == b"TERMINATE":
        device.stop_soon()
    elif command == b"STATISTICS":
        return statistics(device.stats())
    else:
        return [_complaint(device, frames)]
    return [b""]


def _complaint(device: Device, frames: list[bytes]) -> bytes:
    got = f"a message of {len(frames)} frames" if len(frames) > 1 else repr(frames[0][:40])
    text = f"ERROR unknown command {got}: expected PAUSE, RESUME, TERMINATE or STATISTICS"
    logger.warning("%s: control: %s", device, text)
    return text.encode()


def statistics(stats: DeviceStats) -> list[bytes]:
    """The answer to STATISTICS: eight frames of eight bytes, in the machine's byte order.

    Messages and bytes received from the frontend, messages and bytes sent to it; then the same of
    the backend.
    """
    return [
        _NUMBER.pack(number)
        for side in (stats.frontend, stats.backend)
        for number in (side.messages_in, side.bytes_in, side.messages_out, side.bytes_out)
    ]
