"""Taking batches from a socket, whatever their messages' parts."""

from __future__ import annotations

from typing import Any

import trio

from ...._errors import MultipartError
from ..._engine import leave
from ..messages._multipart import Message

BATCH = 256
"""Messages that are moved at once, at most."""


async def take(socket: Any, most: int) -> list[Message]:
    """Wait for at least one message, and take what is there, up to ``most``.

    Cancelled, it has taken nothing.
    """
    try:
        singles: list[Message] = await socket.recv_many(most)
    except MultipartError:
        return take_nowait(socket, most) or [await socket.recv_multipart()]
    return singles


def take_nowait(socket: Any, most: int) -> list[Message]:
    """Take what is there, up to ``most``."""
    taken: list[Message] = []
    try:
        while len(taken) < most:
            frames: list[bytes] = socket.recv_multipart_nowait()
            taken.append(frames if len(frames) > 1 else frames[0])
    except (trio.WouldBlock, trio.ClosedResourceError):
        pass
    return taken


__all__ = ["BATCH", "Message", "leave", "take", "take_nowait"]
