"""Metadata: the properties that peers tell each other (RFC 37, "Connection Metadata")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .._errors import HandshakeError
from .._reasons import Reason
from .greeting import printable

SOCKET_TYPE = "Socket-Type"
IDENTITY = "Identity"

MAX_ROUTING_ID = 255
_MAX_VALUE = (1 << 31) - 1


def _table(*groups: tuple[str, str]) -> Mapping[str, frozenset[str]]:
    return {ours: frozenset(theirs.split()) for ours, theirs in groups}


COMPATIBLE: Mapping[str, frozenset[str]] = _table(
    ("REQ", "REP ROUTER"),
    ("REP", "REQ DEALER"),
    ("DEALER", "REP DEALER ROUTER"),
    ("ROUTER", "REQ DEALER ROUTER"),
    ("PUB", "SUB XSUB"),
    ("XPUB", "SUB XSUB"),
    ("SUB", "PUB XPUB"),
    ("XSUB", "PUB XPUB"),
    ("PUSH", "PULL"),
    ("PULL", "PUSH"),
    ("PAIR", "PAIR"),
    ("CLIENT", "SERVER"),
    ("SERVER", "CLIENT"),
    ("RADIO", "DISH"),
    ("DISH", "RADIO"),
    ("SCATTER", "GATHER"),
    ("GATHER", "SCATTER"),
    ("PEER", "PEER"),
    ("CHANNEL", "CHANNEL"),
)
"""Which socket types each type may talk to (RFC 37, "The Socket-Type Property")."""

WITH_ROUTING_ID = frozenset(("REQ", "DEALER", "ROUTER"))
"""The types that announce a routing id; from any other it is ignored."""


class Metadata(Mapping[str, bytes]):
    """Properties by name. Names keep the case in which they came; look-up does not care for it."""

    __slots__ = ("_items",)

    def __init__(self, properties: Mapping[str, bytes] | None = None) -> None:
        self._items = {name.lower(): (name, value) for name, value in (properties or {}).items()}

    def __getitem__(self, name: str) -> bytes:
        return self._items[name.lower()][1]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._items

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Metadata({dict(self)!r})"


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """What a completed handshake says of the peer.

    Attributes:
        version: the ZMTP version that it announced, major and minor.
        mechanism: the security mechanism that both sides used.
        socket_type: in capitals, as in the RFC.
        routing_id: what a ROUTER is to call it; empty when it has no wish.
        metadata: all properties, the standard ones included.
    """

    version: tuple[int, int]
    mechanism: str
    socket_type: str
    routing_id: bytes
    metadata: Mapping[str, bytes]


def encode_metadata(properties: Mapping[str, bytes]) -> bytes:
    """The wire form of properties.

    Raises:
        ValueError: a name is not 1 to 255 ASCII characters, or a value is 2 GiB or more.
    """
    out: list[bytes] = []
    for name, value in properties.items():
        if not (1 <= len(name) <= 255 and name.isascii() and name.isprintable()):
            raise ValueError(f"not a name for metadata: {name!r}")
        if len(value) > _MAX_VALUE:
            raise ValueError(f"the value of {name!r} is too long")
        out += [bytes((len(name),)), name.encode(), len(value).to_bytes(4, "big"), value]
    return b"".join(out)


def own_properties(
    socket_type: str, routing_id: bytes, extra: Mapping[str, bytes] | None
) -> dict[str, bytes]:
    """The properties that a socket announces.

    Raises:
        ValueError: the type is unknown, the routing id is invalid, or ``extra`` names a standard
            property.
    """
    if socket_type not in COMPATIBLE:
        raise ValueError(f"unknown socket type {socket_type!r}")
    wrong = routing_id_problem(routing_id)
    if wrong:
        raise ValueError(wrong)
    properties = {SOCKET_TYPE: socket_type.encode()}
    if socket_type in WITH_ROUTING_ID:
        # libzmq sends it even when it is empty, and so do we: the form that every peer has seen.
        properties[IDENTITY] = routing_id
    taken = Metadata({SOCKET_TYPE: b"", IDENTITY: b""})
    for name, value in (extra or {}).items():
        if name in taken:
            raise ValueError(f"{name} is set by the socket itself")
        properties[name] = value
    return properties


def parse_metadata(data: bytes, max_size: int) -> Metadata:
    """Read properties from their wire form.

    Names may hold any printable ASCII, since libzmq lets applications choose theirs freely. The
    same name twice is refused: two readers could take different ones for the truth.

    Raises:
        HandshakeError: they are malformed, or more than ``max_size`` bytes.
    """
    if len(data) > max_size:
        raise HandshakeError(
            f"{len(data)} bytes of metadata, {max_size} allowed", Reason.METADATA_TOO_LARGE
        )
    found: dict[str, tuple[str, bytes]] = {}
    pos = 0
    end = len(data)
    while pos < end:
        name_end = pos + 1 + data[pos]
        value_at = name_end + 4
        if data[pos] == 0 or value_at > end:
            raise _bad("a property without a whole name and size")
        raw = data[pos + 1 : name_end]
        name = printable(raw)
        if name.encode() != raw:
            raise _bad(f"unprintable property name {name!r}")
        pos = value_at + int.from_bytes(data[name_end:value_at], "big")
        if pos > end:
            raise _bad(f"the value of {name!r} goes past the end")
        if name.lower() in found:
            raise _bad(f"{name!r} comes twice")
        found[name.lower()] = name, data[value_at:pos]
    return Metadata(dict(found.values()))


def routing_id_problem(routing_id: bytes) -> str:
    """What is wrong with a routing id, or an empty string."""
    if len(routing_id) > MAX_ROUTING_ID:
        return f"a routing id has at most {MAX_ROUTING_ID} bytes, not {len(routing_id)}"
    if routing_id[:1] == b"\0":
        return "a routing id cannot begin with a zero byte"
    return ""


def describe_peer(
    local_type: str, version: tuple[int, int], mechanism: str, metadata: Metadata
) -> PeerInfo:
    """Check the standard properties of a peer.

    Raises:
        HandshakeError: the socket type is missing or does not match ours, or the routing id is
            invalid.
    """
    if SOCKET_TYPE not in metadata:
        raise _bad("the peer does not tell its socket type")
    theirs = printable(metadata[SOCKET_TYPE])
    if theirs not in COMPATIBLE[local_type]:
        raise HandshakeError(
            f"a {local_type} socket cannot talk to {theirs!r}", Reason.INCOMPATIBLE_TYPE
        )
    routing_id = metadata.get(IDENTITY, b"") if theirs in WITH_ROUTING_ID else b""
    wrong = routing_id_problem(routing_id)
    if wrong:
        raise HandshakeError(wrong, Reason.BAD_ROUTING_ID)
    return PeerInfo(version, mechanism, theirs, routing_id, metadata)


def _bad(text: str) -> HandshakeError:
    return HandshakeError(text, Reason.BAD_METADATA)
