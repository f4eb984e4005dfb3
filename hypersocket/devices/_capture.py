"""Copies of all that passes a device, for whoever wants to look on."""

from __future__ import annotations

import logging
from typing import Any

import trio

from ._flow import Message

logger = logging.getLogger("hypersocket")


class Capture:
    """Hands copies to a socket, and never waits for it.

    Args:
        socket: PUB, DEALER, PUSH or PAIR.
        label: the device, for logs.

    Attributes:
        socket: the same.
        captured: copies that the socket accepted.
        missed: copies that it had no room for.
    """

    def __init__(self, socket: Any, label: str) -> None:
        self.socket = socket
        self.captured = 0
        self.missed = 0
        self._label = label
        self._send = socket.send_multipart_nowait

    def copy(self, messages: list[Message]) -> None:
        """Hand on copies of what the device has just taken."""
        for message in messages:
            try:
                self._send(message if isinstance(message, list) else (message,))
            except (trio.WouldBlock, trio.ClosedResourceError):
                # The device is not there for whoever looks on.
                if not self.missed:
                    logger.warning(
                        "%s: the capture socket has no room: copies are missing there "
                        "(more are counted in stats())",
                        self._label,
                    )
                self.missed += 1
            else:
                self.captured += 1
