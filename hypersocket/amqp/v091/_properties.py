"""What is said of a message, as the fourteen properties of class basic (AMQP 0-9-1, 1.8.1).

Reading never fails: what a peer wrote wrongly is given as bytes, or left out, and the rest of the
message is none the worse for it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from .._types import NO_PROPERTIES, Identifier, Properties
from ._values import (
    read_long,
    read_short,
    read_table,
    short_string,
    table,
    text,
    text_or_bytes,
)

# The flags, from the highest bit down, in the order in which the values follow.
CONTENT_TYPE: Final = 1 << 15
CONTENT_ENCODING: Final = 1 << 14
HEADERS: Final = 1 << 13
DELIVERY_MODE: Final = 1 << 12
PRIORITY: Final = 1 << 11
CORRELATION_ID: Final = 1 << 10
REPLY_TO: Final = 1 << 9
EXPIRATION: Final = 1 << 8
MESSAGE_ID: Final = 1 << 7
TIMESTAMP: Final = 1 << 6
TYPE: Final = 1 << 5
USER_ID: Final = 1 << 4
APP_ID: Final = 1 << 3
CLUSTER_ID: Final = 1 << 2

_pack_flags = struct.Struct("!H").pack
_unpack_flags = struct.Struct("!H").unpack_from
_pack_time = struct.Struct("!Q").pack
_unpack_time = struct.Struct("!Q").unpack_from

MAX_TTL: Final = 0xFFFFFFFF / 1000

PERSISTENT: Final = b"\x02"
TRANSIENT: Final = b"\x01"


def encode(properties: Properties) -> bytes:
    """Flags and values, as they stand at the end of a content header.

    A TTL is whole milliseconds, rounded, and at most 49 days: RabbitMQ closes the channel for more,
    and all that is unconfirmed on it would be in doubt. A timestamp is whole seconds. Annotations
    have no place in 0-9-1 and are left out.

    Raises:
        ValueError: a value is out of range or too long; the text names the property.
        TypeError: a header is of a type that AMQP 0-9-1 does not have.
    """
    if properties is NO_PROPERTIES:
        return b"\x00\x00"
    flags = 0
    parts: list[bytes] = [b""]
    for flag, value in _said(properties):
        flags |= flag
        parts.append(value)
    parts[0] = _pack_flags(flags)
    return b"".join(parts)


def _said(said: Properties) -> list[tuple[int, bytes]]:
    """What is said, in the order of the flags."""
    values: list[tuple[int, bytes]] = []

    def string(flag: int, value: str | bytes | None, name: str) -> None:
        if value:
            values.append((flag, short_string(value, name)))

    string(CONTENT_TYPE, said.content_type, "content_type")
    string(CONTENT_ENCODING, said.content_encoding, "content_encoding")
    if said.headers:
        values.append((HEADERS, table(said.headers, "headers")))
    if said.durable is not None:
        values.append((DELIVERY_MODE, PERSISTENT if said.durable else TRANSIENT))
    if said.priority is not None:
        if not 0 <= said.priority <= 255:
            raise ValueError(f"priority = {said.priority}: it must be 0 to 255")
        values.append((PRIORITY, bytes((said.priority,))))
    string(CORRELATION_ID, _identifier(said.correlation_id), "correlation_id")
    string(REPLY_TO, said.reply_to, "reply_to")
    if said.ttl is not None:
        string(EXPIRATION, _expiration(said.ttl), "ttl")
    string(MESSAGE_ID, _identifier(said.message_id), "message_id")
    if said.timestamp is not None:
        values.append((TIMESTAMP, _seconds(said.timestamp)))
    string(TYPE, said.type, "type")
    string(USER_ID, said.user_id, "user_id")
    string(APP_ID, said.app_id, "app_id")
    return values


def _identifier(value: Identifier | None) -> str | bytes | None:
    """0-9-1 has text alone: numbers and UUIDs are written out, bytes go as they are."""
    return str(value) if isinstance(value, int | UUID) else value


def _expiration(ttl: float) -> str:
    if not ttl >= 0:
        raise ValueError(f"ttl = {ttl}: it must be seconds, not below zero")
    return str(int(min(ttl, MAX_TTL) * 1000 + 0.5))


def _seconds(timestamp: float) -> bytes:
    if not 0 <= timestamp < 1 << 63:
        raise ValueError(f"timestamp = {timestamp}: it must be seconds since 1970")
    return _pack_time(int(timestamp))


def decode(data: bytes) -> Properties:
    """Read what :func:`encode` writes, and whatever else peers wrote.

    Identifiers that are not UTF-8 are given as bytes; other text that is not has surrogate
    escapes, which :func:`encode` turns back. A headers table that cannot be read is given as
    ``{"x-undecodable-headers": bytes}``, and an expiration that is no number is left out. What
    follows a value that is cut off is left out.
    """
    if len(data) < 2:
        return NO_PROPERTIES
    flags: int = _unpack_flags(data)[0]
    if not flags:
        return NO_PROPERTIES
    said: dict[str, Any] = {}
    at = _skip_flags(data)
    try:
        for flag, read in _READERS:
            if flags & flag:
                at = read(said, data, at)
    except ValueError:
        pass  # cut off: what was read before it holds
    return Properties(**said)


def _skip_flags(data: bytes) -> int:
    """Where the values begin: the lowest bit says that another word of flags follows."""
    at = 0
    while len(data) >= at + 2:
        more = data[at + 1] & 1
        at += 2
        if not more:
            break
    return at


class _Text:
    """Reads a short string that is text."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, said: dict[str, Any], data: bytes, at: int) -> int:
        value, at = read_short(data, at)
        if value:
            said[self._name] = text(value)
        return at


class _Identifier(_Text):
    """Reads a short string that need not be text."""

    __slots__ = ()

    def __call__(self, said: dict[str, Any], data: bytes, at: int) -> int:
        value, at = read_short(data, at)
        if value:
            said[self._name] = text_or_bytes(value)
        return at


def _read_headers(said: dict[str, Any], data: bytes, at: int) -> int:
    content, at = read_long(data, at)
    headers: Mapping[str, Any]
    try:
        headers = read_table(content)
    except ValueError:
        headers = {"x-undecodable-headers": content}
    said["headers"] = headers
    return at


def _octet(data: bytes, at: int) -> int:
    if at >= len(data):
        raise ValueError("cut off")
    return data[at]


def _read_mode(said: dict[str, Any], data: bytes, at: int) -> int:
    said["durable"] = _octet(data, at) == 2
    return at + 1


def _read_priority(said: dict[str, Any], data: bytes, at: int) -> int:
    said["priority"] = _octet(data, at)
    return at + 1


def _read_expiration(said: dict[str, Any], data: bytes, at: int) -> int:
    value, at = read_short(data, at)
    if value.isdigit() and len(value) <= 18:
        said["ttl"] = int(value) / 1000
    return at


def _read_timestamp(said: dict[str, Any], data: bytes, at: int) -> int:
    if at + 8 > len(data):
        raise ValueError("cut off")
    said["timestamp"] = float(_unpack_time(data, at)[0])
    return at + 8


def _skip(said: dict[str, Any], data: bytes, at: int) -> int:
    del said
    return read_short(data, at)[1]


_READERS: Final = (
    (CONTENT_TYPE, _Text("content_type")),
    (CONTENT_ENCODING, _Text("content_encoding")),
    (HEADERS, _read_headers),
    (DELIVERY_MODE, _read_mode),
    (PRIORITY, _read_priority),
    (CORRELATION_ID, _Identifier("correlation_id")),
    (REPLY_TO, _Text("reply_to")),
    (EXPIRATION, _read_expiration),
    (MESSAGE_ID, _Identifier("message_id")),
    (TIMESTAMP, _read_timestamp),
    (TYPE, _Text("type")),
    (USER_ID, _Text("user_id")),
    (APP_ID, _Text("app_id")),
    (CLUSTER_ID, _skip),
)
