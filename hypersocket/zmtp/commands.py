"""Commands: a name, then data (RFC 37, "Commands", "Connection Heartbeating" and PUB-SUB)."""

from __future__ import annotations

from .._errors import HandshakeError, ProtocolError
from .._reasons import Reason
from .greeting import printable

READY = b"READY"
ERROR = b"ERROR"
PING = b"PING"
PONG = b"PONG"
SUBSCRIBE = b"SUBSCRIBE"
CANCEL = b"CANCEL"

WITH_SUBSCRIBERS = frozenset(("PUB", "XPUB"))

MAX_PING_CONTEXT = 16
MAX_TTL = 6553.5

SUBSCRIBE_OVERHEAD = 1 + len(SUBSCRIBE)
"""What the longer of the two names adds to a topic."""


# Broken framing gets no answer, nor does a peer that ended it itself. Every other refusal can be
# mended by somebody on the peer's side, so they are told.
UNTOLD = frozenset(
    (
        Reason.BAD_FRAME,
        Reason.BAD_COMMAND,
        Reason.COMMAND_TOO_LARGE,
        Reason.REFUSED_BY_PEER,
        Reason.CLOSED_BY_PEER,
    )
)


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


def refusal(data: bytes) -> HandshakeError:
    """The error that an ERROR command of the peer amounts to."""
    return HandshakeError(f"the peer refused us: {parse_error(data)}", Reason.REFUSED_BY_PEER)


def check_topic(name: bytes, topic: bytes, socket_type: str, max_size: int) -> None:
    """Check a SUBSCRIBE or CANCEL that came to a socket of that type.

    libzmq gives a stray one to the application as a message. No peer has a reason to send one to
    another type than PUB or XPUB, so here it is told off rather than passed over.

    Raises:
        ProtocolError: the socket has no subscribers, or the topic is too long.
    """
    if socket_type not in WITH_SUBSCRIBERS:
        raise ProtocolError(
            f"{printable(name)} came to a {socket_type} socket", Reason.UNEXPECTED_COMMAND
        )
    if len(topic) > max_size:
        raise ProtocolError(
            f"a topic of {len(topic)} bytes, {max_size} allowed", Reason.TOPIC_TOO_LONG
        )
