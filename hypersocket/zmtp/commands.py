"""Commands: a name, then data (RFC 37, "Commands", "Connection Heartbeating" and PUB-SUB)."""

from __future__ import annotations

from .._errors import ProtocolError
from .._reasons import Reason
from .greeting import printable

READY = b"READY"
ERROR = b"ERROR"
PING = b"PING"
PONG = b"PONG"
SUBSCRIBE = b"SUBSCRIBE"
CANCEL = b"CANCEL"

MAX_PING_CONTEXT = 16
MAX_TTL = 6553.5

SUBSCRIBE_OVERHEAD = 1 + len(SUBSCRIBE)
"""What the longer of the two names adds to a topic."""


def encode_named(name: bytes, data: bytes = b"") -> bytes:
    """The body of a command, without the frame around it."""
    return bytes((len(name),)) + name + data


def split_command(body: bytes) -> tuple[bytes, bytes]:
    """Part a command's body into name and data.

    Raises:
        ProtocolError: there is no name, or it does not fit into the body.
    """
    size = body[0] if body else 0
    if size == 0 or size >= len(body):
        raise ProtocolError("a command without a whole name", Reason.BAD_COMMAND)
    return body[1 : size + 1], body[size + 1 :]


def encode_error(text: str) -> bytes:
    """The body of an ERROR command; ``text`` is cut to 255 printable ASCII characters."""
    reason = printable(text.encode("ascii", "replace"))[:255].encode("ascii")
    return encode_named(ERROR, bytes((len(reason),)) + reason)


def parse_error(data: bytes) -> str:
    """The reason in an ERROR command, safe to show. Its length octet may be wrong or missing."""
    return printable(data[1 : 1 + data[0]]) if data else ""


def encode_ping(ttl: float) -> bytes:
    """The body of a PING without context; ``ttl`` in seconds, 0 for none, at most 6553.5."""
    tenths = round(min(max(ttl, 0.0), MAX_TTL) * 10)
    return encode_named(PING, tenths.to_bytes(2, "big"))


def parse_ping(data: bytes) -> tuple[float, bytes]:
    """The time to live in seconds (0: none) and the context of a PING.

    Raises:
        ProtocolError: it is too short, or its context too long.
    """
    if not 2 <= len(data) <= 2 + MAX_PING_CONTEXT:
        raise ProtocolError(f"a PING with {len(data)} bytes of data", Reason.BAD_COMMAND)
    return int.from_bytes(data[:2], "big") / 10, data[2:]


def check_pong(data: bytes) -> None:
    """Check what came in a PONG.

    Raises:
        ProtocolError: the context is longer than any that a PING may carry.
    """
    if len(data) > MAX_PING_CONTEXT:
        raise ProtocolError(f"a PONG with {len(data)} bytes of context", Reason.BAD_COMMAND)
