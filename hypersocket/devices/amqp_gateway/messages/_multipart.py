"""Multipart messages on AMQP, which has one body for each message.

The body is the frames joined; the header ``x-hypersocket-frames`` has their lengths, as in
``"5,0,3"``. A message of one frame has no such header, and is its body.
"""

from __future__ import annotations

from collections.abc import Sequence

Message = bytes | list[bytes]
"""One frame, or several."""

HEADER = "x-hypersocket-frames"

MAX_HEADER = 65_536
"""Bytes of the header at most. All properties of a message have to fit into one AMQP frame, which
is 131072 bytes with RabbitMQ."""


class DamagedFrames(ValueError):
    """A header that does not say how to cut this body."""


def join(frames: Sequence[bytes]) -> tuple[bytes, str | None]:
    """The body for these frames, and the header's text; None for one frame.

    Raises:
        ValueError: there is no frame, or there are so many that the header gets too long.
    """
    if len(frames) == 1:
        return frames[0], None
    if not frames:
        raise ValueError("a message has at least one frame")
    header = ",".join([str(len(frame)) for frame in frames])
    if len(header) > MAX_HEADER:
        raise ValueError(
            f"{len(frames)} frames: the list of their lengths is over {MAX_HEADER} bytes, "
            "and would not fit into the properties of an AMQP message"
        )
    return b"".join(frames), header


def split(body: bytes, header: object) -> list[bytes]:
    """The frames of a body; `header` as it came, None if there was none.

    Raises:
        DamagedFrames: it is not such a header, or not of this body. What can still be done is to
            take the body as one frame, and to count and log that: see :func:`split_or_whole`.
    """
    if header is None:
        return [body]
    lengths = _lengths(header)
    if sum(lengths) != len(body):
        raise DamagedFrames(
            f"{HEADER} counts {sum(lengths)} bytes, and the body has {len(body)}",
        )
    frames: list[bytes] = []
    start = 0
    for length in lengths:
        frames.append(body[start : start + length])
        start += length
    return frames


def split_or_whole(body: bytes, header: object) -> tuple[list[bytes], str]:
    """As :func:`split`, but never raises: the body as one frame, and what was wrong.

    Returns:
        the frames, and why they may not be those that were sent; empty if they are.
    """
    try:
        return split(body, header), ""
    except DamagedFrames as error:
        return [body], str(error)


def _lengths(header: object) -> list[int]:
    if isinstance(header, bytes):  # some brokers and clients have no text but this
        header = header.decode("latin-1")
    if not isinstance(header, str):
        raise DamagedFrames(f"{HEADER} is of type {type(header).__name__}, not text")
    if len(header) > MAX_HEADER:
        raise DamagedFrames(f"{HEADER} is over {MAX_HEADER} bytes")
    words = header.split(",")
    for word in words:
        # No more than 19 digits: a 64-bit number, and nothing that takes long to read.
        if not (word.isascii() and word.isdigit() and len(word) <= 19):
            raise DamagedFrames(f"{HEADER} has {word[:20]!r} where a length should be")
    return [int(word) for word in words]
