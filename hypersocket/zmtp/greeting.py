"""The greeting: 64 octets that settle version and mechanism (RFC 37, "Version Negotiation")."""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import HandshakeError
from .._reasons import Reason

GREETING_SIZE = 64
VERSION = (3, 1)

_MECHANISM_SIZE = 20
_VERSION_AT = 10
_MECHANISM_AT = 12
_AS_SERVER_AT = _MECHANISM_AT + _MECHANISM_SIZE


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a peer's greeting says."""

    version: tuple[int, int]
    mechanism: bytes
    as_server: bool


def encode_greeting(mechanism: str, as_server: bool) -> bytes:
    """Our greeting, whole: we have no older protocol to fall back to, so nothing is held back.

    Raises:
        ValueError: the mechanism's name is empty, not ASCII, or longer than 20 characters.
    """
    name = mechanism.encode("ascii")
    if not 1 <= len(name) <= _MECHANISM_SIZE:
        raise ValueError(f"a mechanism's name has 1 to 20 characters: {mechanism!r}")
    signature = b"\xff" + bytes(8) + b"\x7f"
    start = signature + bytes(VERSION) + name.ljust(_MECHANISM_SIZE, b"\0") + bytes((as_server,))
    return start.ljust(GREETING_SIZE, b"\0")


def parse_greeting(data: bytes) -> Greeting | None:
    """Read a greeting, or as much of it as is there.

    A peer that is too old is refused by its eleventh octet at the latest, since it may never send
    more. The padding has no meaning by the RFC: libzmq keeps a length for ZMTP 1.0 there. Of the
    signature's last octet only the lowest bit counts, and the filler is not looked at, both as
    in libzmq: a later version may give them a meaning, and later versions are to be accepted.

    Args:
        data: the first bytes of the connection, not more than 64.

    Returns:
        None when the greeting is not complete, and nothing is wrong so far.

    Raises:
        HandshakeError: this is no ZMTP, or one before 3.0.
    """
    if data and data[0] != 0xFF:
        raise HandshakeError(
            "the peer does not begin with a ZMTP signature: another protocol, or ZMTP 1.0",
            Reason.BAD_GREETING,
        )
    if len(data) >= _VERSION_AT and not data[_VERSION_AT - 1] & 1:
        raise HandshakeError("the peer speaks ZMTP 1.0; 3.0 is needed", Reason.VERSION_TOO_OLD)
    if len(data) > _VERSION_AT and data[_VERSION_AT] < 3:
        # The octet is a revision in ZMTP 2.0, where 1 stands for 2.0.
        raise HandshakeError(
            f"the peer speaks ZMTP 2.0 (revision {data[_VERSION_AT]}); 3.0 is needed",
            Reason.VERSION_TOO_OLD,
        )
    if len(data) < GREETING_SIZE:
        return None
    return Greeting(
        version=(data[_VERSION_AT], data[_VERSION_AT + 1]),
        mechanism=data[_MECHANISM_AT:_AS_SERVER_AT],
        as_server=data[_AS_SERVER_AT] == 1,
    )


def check_mechanism(greeting: Greeting, mechanism: str) -> None:
    """Insist that both sides name the same mechanism, so that none can talk the other down.

    Raises:
        HandshakeError: they do not.
    """
    if greeting.mechanism != mechanism.encode("ascii").ljust(_MECHANISM_SIZE, b"\0"):
        theirs = printable(greeting.mechanism.rstrip(b"\0"))
        raise HandshakeError(
            f"the peer's security mechanism is {theirs!r}, ours is {mechanism!r}",
            Reason.MECHANISM_MISMATCH,
        )


def printable(data: bytes) -> str:
    """A peer's text made safe to show: what is not printable ASCII becomes ``?``."""
    return "".join(chr(octet) if 0x20 <= octet < 0x7F else "?" for octet in data[:255])
