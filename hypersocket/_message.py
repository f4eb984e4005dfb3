"""What a message is, inside.

A single-part message is its ``bytes``; a multipart message is a list of two or more ``bytes``. The
first form spares the busiest path a list for every message; the second is never shorter than two,
so that each message has one form only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Message: TypeAlias = bytes | list[bytes]
"""``bytes`` when single-part, else a list of at least two frames; owned by whoever holds it."""

Buffer: TypeAlias = bytes | bytearray | memoryview
"""What users may send: any contiguous bytes-like object."""


def to_bytes(data: object) -> bytes:
    """Return ``data`` as immutable bytes: itself when it is ``bytes`` already, else a copy.

    Raises:
        TypeError: it is text, a number, or anything else that is not bytes-like.
    """
    if type(data) is bytes:
        return data
    if isinstance(data, str):
        raise TypeError("a message is bytes, not str: encode it first, for instance with .encode()")
    try:
        return bytes(memoryview(data))  # type: ignore[arg-type]  # it says itself if it is none
    except TypeError:
        raise TypeError(f"a message is a bytes-like object, not {type(data).__name__}") from None


def to_message(frames: Iterable[Buffer]) -> Message:
    """Make a message of user-given frames.

    Raises:
        TypeError: ``frames`` is one bytes-like object or text instead of a sequence of frames.
        ValueError: there is no frame at all.
    """
    given: object = frames
    if isinstance(given, (bytes, bytearray, memoryview, str)):
        raise TypeError(
            "a multipart message is a sequence of frames, not one "
            f"{type(given).__name__}: use send() for a single-part message"
        )
    parts = [to_bytes(frame) for frame in frames]
    if not parts:
        raise ValueError("a message has at least one frame; an empty message is [b'']")
    return parts[0] if len(parts) == 1 else parts


def from_frames(frames: list[bytes]) -> Message:
    """Give a non-empty list of frames the one form that a message has."""
    return frames[0] if len(frames) == 1 else frames


def frames_of(message: Message) -> list[bytes]:
    """The frames of a message, as a list that the caller may change where it was single-part."""
    return [message] if type(message) is bytes else message  # type: ignore[return-value]


def size_of(message: Message) -> int:
    """Payload bytes, framing not counted."""
    return len(message) if type(message) is bytes else sum(map(len, message))  # type: ignore[arg-type]
