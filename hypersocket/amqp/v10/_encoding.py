"""Properties and bodies as the sections of a message (part 3.2); the table is the package's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from .._types import NO_PROPERTIES, Identifier, Properties
from . import _codec
from ._codec import CodecError
from ._quirks import NO_QUIRKS, Quirks

HEADER = 0x70
DELIVERY_ANNOTATIONS = 0x71
MESSAGE_ANNOTATIONS = 0x72
PROPERTIES = 0x73
APPLICATION_PROPERTIES = 0x74
DATA = 0x75
SEQUENCE = 0x76
VALUE = 0x77
FOOTER = 0x78

_NULL = b"\x40"
_UINT_MAX = 0xFFFF_FFFF


def encode_data(body: bytes) -> bytes:
    """What goes before a body that is sent as one Data section."""
    size = len(body)
    if size < 256:
        return bytes((0, 0x53, DATA, 0xA0, size))
    if size > _UINT_MAX:
        raise CodecError(f"a body of {size} bytes is more than a section can hold")
    return b"\x00\x53\x75\xb0" + size.to_bytes(4, "big")


def encode_prefix(
    properties: Properties, subject: str = "", to: str = "", quirks: Quirks = NO_QUIRKS
) -> bytes:
    """All sections of a message that come before the body.

    Raises:
        CodecError: a property cannot be said in AMQP 1.0, or not to this peer.
    """
    if properties is NO_PROPERTIES and not subject and not to:
        return b""
    p = properties
    try:
        return b"".join(
            (
                _section(HEADER, _header_fields(p)),
                _map_section(MESSAGE_ANNOTATIONS, p.annotations, _codec.encode_symbol),
                _section(PROPERTIES, _property_fields(p, subject, to, quirks)),
                _map_section(APPLICATION_PROPERTIES, p.headers, _codec.encode_string),
            )
        )
    except (AttributeError, TypeError, OverflowError) as error:
        raise CodecError(f"a property is of a wrong type: {error}") from error
    except UnicodeEncodeError as error:
        raise CodecError(f"{error.object!r} cannot be written as UTF-8") from error


def _section(code: int, fields: list[bytes]) -> bytes:
    while fields and fields[-1] == _NULL:
        fields.pop()
    return bytes((0, 0x53, code)) + _codec.encode_list(fields) if fields else b""


def _map_section(
    code: int, mapping: Mapping[str, Any], encode_key: Callable[[str], bytes]
) -> bytes:
    if not mapping:
        return b""
    pairs: list[tuple[bytes, bytes]] = []
    for key, value in mapping.items():
        if not isinstance(key, str):
            raise CodecError(f"the key {key!r} is not a str")
        try:
            pairs.append((encode_key(key), _codec.encode(value)))
        except CodecError as error:
            raise CodecError(f"{key}: {error}") from error
    return bytes((0, 0x53, code)) + _codec.encode_map(pairs)


def _header_fields(properties: Properties) -> list[bytes]:
    durable, priority, ttl = properties.durable, properties.priority, properties.ttl
    if priority is not None and not 0 <= priority < 256:
        raise CodecError(f"priority: {priority} is not from 0 to 255")
    return [
        _NULL if durable is None else _codec.encode(bool(durable)),
        _NULL if priority is None else bytes((0x50, priority)),
        _NULL if ttl is None else _codec.encode_uint(_ttl(ttl)),
    ]


def _ttl(seconds: float) -> int:
    """Milliseconds; beyond 49 days, the most that the field holds."""
    if not seconds >= 0:
        raise CodecError(f"ttl: {seconds} is no number of seconds from 0 on")
    return _UINT_MAX if seconds * 1000 >= _UINT_MAX else round(seconds * 1000)


def _timestamp(seconds: float) -> bytes:
    if not math.isfinite(seconds):
        raise CodecError(f"timestamp: {seconds} is no time")
    milliseconds = seconds * 1000
    if not math.isfinite(milliseconds):
        raise CodecError(f"timestamp: {seconds} is no time that 64 bits can tell")
    return _codec.encode_timestamp(round(milliseconds))


def _property_fields(properties: Properties, subject: str, to: str, quirks: Quirks) -> list[bytes]:
    p = properties
    return [
        _id("message_id", p.message_id, quirks),
        _NULL if p.user_id is None else _codec.encode_binary(p.user_id.encode()),
        _NULL if not to else _codec.encode_string(to),
        _optional(subject or p.type),
        _NULL if p.reply_to is None else _id("reply_to", p.reply_to, quirks),
        _id("correlation_id", p.correlation_id, quirks),
        _NULL if p.content_type is None else _codec.encode_symbol(p.content_type),
        _NULL if p.content_encoding is None else _codec.encode_symbol(p.content_encoding),
        _NULL,
        _NULL if p.timestamp is None else _timestamp(p.timestamp),
        _optional(p.app_id),
    ]


def _optional(text: str | None) -> bytes:
    return _NULL if text is None else _codec.encode_string(text)


def _id(name: str, value: Identifier | None, quirks: Quirks) -> bytes:
    if quirks.text_ids:
        value = _as_text(value)
        size = len(value.encode() if isinstance(value, str) else value or b"")
        if size > 255:
            raise CodecError(f"{name}: {size} bytes, and this broker can pass on 255")
    if value is None:
        return _NULL
    if isinstance(value, int):
        return _codec.encode_ulong(value)
    return _codec.encode(value)


def _as_text(value: Identifier | None) -> str | bytes | None:
    if isinstance(value, int | UUID):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    return value
