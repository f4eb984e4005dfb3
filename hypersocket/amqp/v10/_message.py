"""A message of AMQP 1.0 (part 3.2) from, and to, a body and :class:`~hypersocket.amqp.Properties`.

=================  ======================================  ==============================
Properties         section and field                       type on the wire
=================  ======================================  ==============================
content_type       properties: content-type                symbol
content_encoding   properties: content-encoding            symbol
headers            application-properties                  map of str to any simple value
annotations        message-annotations                     map of symbol (``x-opt-...``)
durable            header: durable                         boolean
priority           header: priority                        ubyte; a peer's default is 4
message_id         properties: message-id                  str, ulong, uuid or binary
correlation_id     properties: correlation-id              str, ulong, uuid or binary
reply_to           properties: reply-to                    str
ttl                header: ttl                             uint: milliseconds
timestamp          properties: creation-time               timestamp: milliseconds
type               properties: subject                     str
user_id            properties: user-id                     binary: UTF-8
app_id             properties: group-id                    str
=================  ======================================  ==============================

A target's ``routing_key``, if not empty, is the subject, and its ``address`` goes to ``to`` on an
anonymous relay. An int in headers is a long (a ulong beyond 2**63), a float a double, a naive
datetime is UTC; lists and maps in headers are written as such, though 3.2.5 has simple values only:
brokers pass them on.

Bodies go out as one Data section. What comes in: Data sections are joined; of an AmqpValue, bytes
are taken as they are, text as UTF-8 and null as nothing; any other value, and AmqpSequences (joined
into one list), become JSON, with bytes as ``{"base64": ...}``, UUIDs as text and times in ISO 8601.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from .._types import NO_PROPERTIES, Identifier, Properties, Target
from . import _codec
from ._codec import CodecError

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
_SECONDS_MAX = 100_000_000_000
"""A creation time below this is of before March 1973, if it really is in milliseconds."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """What a peer is known to do wrong.

    Attributes:
        text_ids: ids must be text, and ids and addresses of at most 255 bytes: RabbitMQ 3 takes
            others, and then ends the connection of whoever reads them over 0-9-1.
        second_timestamps: creation times that came over 0-9-1 are in seconds (RabbitMQ 3).
    """

    text_ids: bool = False
    second_timestamps: bool = False


NO_QUIRKS = Quirks()
RABBITMQ_3 = Quirks(text_ids=True, second_timestamps=True)


def quirks_of(product: str, version: str) -> Quirks:
    """The faults to work round, from what a peer says in its open frame's properties."""
    major = version.partition(".")[0]
    if product == "RabbitMQ" and major.isdigit() and int(major) < 4:
        return RABBITMQ_3
    return NO_QUIRKS


# --- encoding ------------------------------------------------------------------------


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
    return b"".join(
        (
            _section(HEADER, _header_fields(properties)),
            _map_section(MESSAGE_ANNOTATIONS, properties.annotations, _codec.encode_symbol),
            _section(PROPERTIES, _property_fields(properties, subject, to, quirks)),
            _map_section(APPLICATION_PROPERTIES, properties.headers, _codec.encode_string),
        )
    )


def _section(code: int, fields: list[bytes]) -> bytes:
    while fields and fields[-1] == _NULL:
        fields.pop()
    return bytes((0, 0x53, code)) + _codec.encode_list(fields) if fields else b""


def _map_section(code: int, mapping: Mapping[str, Any], encode_key: Any) -> bytes:
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
    """Milliseconds; more than 49 days is more than the field holds, and sent as the most it does."""
    if not seconds >= 0:
        raise CodecError(f"ttl: {seconds} is no number of seconds from 0 on")
    return _UINT_MAX if seconds * 1000 >= _UINT_MAX else round(seconds * 1000)


def _timestamp(seconds: float) -> bytes:
    if not math.isfinite(seconds):
        raise CodecError(f"timestamp: {seconds} is no time")
    return _codec.encode_timestamp(round(seconds * 1000))


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


# --- decoding ------------------------------------------------------------------------


class Sections:
    """Where a message's sections are. They are decoded when somebody asks.

    Attributes:
        body: the body's bytes; those of the whole message, if it could not be decoded.
        problem: why the message could not be decoded; None if it could.
    """

    __slots__ = ("_at", "_raw", "body", "problem")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at: dict[int, int] = {}
        self.problem: str | None = None
        # Two forms of a message that is a body and nothing else, before the general case.
        if raw[:4] == b"\x00\x53\x75\xa0" and len(raw) > 4 and len(raw) == 5 + raw[4]:
            self.body = raw[5:]
        elif raw[:4] == b"\x00\x53\x75\xb0" and len(raw) == 8 + int.from_bytes(raw[4:8], "big"):
            self.body = raw[8:]
        else:
            try:
                self.body = self._scan()
            except CodecError as error:
                self._at.clear()
                self.problem = str(error)
                self.body = raw

    def _scan(self) -> bytes:
        """Find the sections, and the body."""
        raw, at, end = self._raw, 0, len(self._raw)
        bodies: list[tuple[int, int]] = []
        while at < end:
            code, at = _descriptor(raw, at)
            if DATA <= code <= VALUE:
                bodies.append((code, at))
            else:
                self._at.setdefault(code, at)
            at = _skip(raw, at)
        if not bodies:
            raise CodecError("there is no body")
        code, at = bodies[0]
        if any(other != code for other, _ in bodies):
            raise CodecError("there are bodies of different kinds")
        if code == DATA:
            return b"".join(_binary(raw, start) for _, start in bodies)
        if code == SEQUENCE:
            return _json([item for _, start in bodies for item in _list(raw, start)])
        return _value(_codec.decode(raw, at)[0])

    def fields(self, code: int) -> list[Any]:
        """A section that is a list, decoded; empty if it is not there, or cannot be decoded."""
        value = self._decoded(code)
        return cast("list[Any]", value) if isinstance(value, list) else []

    def mapping(self, code: int) -> dict[str, Any]:
        """A section that is a map, decoded; empty if it is not there, or cannot be decoded."""
        value = self._decoded(code)
        if not isinstance(value, dict):
            return {}
        return {_text(key) or "": item for key, item in cast("dict[Any, Any]", value).items()}

    def _decoded(self, code: int) -> Any:
        at = self._at.get(code)
        if at is None:
            return None
        try:
            return _codec.decode(self._raw, at)[0]
        except CodecError as error:
            self.problem = self.problem or str(error)
            return None

    def read_properties(self, quirks: Quirks = NO_QUIRKS) -> Properties:
        """What is said of the message. Never raises."""
        if not self._at:
            return NO_PROPERTIES
        header = _Fields(self.fields(HEADER))
        fields = _Fields(self.fields(PROPERTIES))
        ttl = header.number(2)
        return Properties(
            content_type=_text(fields[6]),
            content_encoding=_text(fields[7]),
            headers=self.mapping(APPLICATION_PROPERTIES),
            annotations=self.mapping(MESSAGE_ANNOTATIONS),
            durable=None if header[0] is None else bool(header[0]),
            priority=header.number(1),
            message_id=_identifier(fields[0]),
            correlation_id=_identifier(fields[5]),
            reply_to=_text(fields[4]),
            ttl=None if ttl is None else ttl / 1000,
            timestamp=_seconds(fields[9], quirks),
            type=_text(fields[3]),
            user_id=_text(fields[1]),
            app_id=_text(fields[10]),
        )

    def read_target(self) -> Target:
        """Where it was published, as far as it tells: the address, and the subject."""
        if PROPERTIES not in self._at:
            return Target()
        fields = _Fields(self.fields(PROPERTIES))
        return Target(address=_text(fields[2]) or "", routing_key=_text(fields[3]) or "")

    def read_delivery_count(self) -> int | None:
        """How often a delivery of it failed before; None if the message does not tell."""
        return _Fields(self.fields(HEADER)).number(4)

    def read_first_acquirer(self) -> bool | None:
        """Whether nobody was given it before; None if the message does not tell."""
        value = _Fields(self.fields(HEADER))[3]
        return value if isinstance(value, bool) else None


class _Fields:
    """A list whose absent fields are None."""

    __slots__ = ("_items",)

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __getitem__(self, index: int) -> Any:
        return self._items[index] if index < len(self._items) else None

    def number(self, index: int) -> int | None:
        value = self[index]
        return value if type(value) is int else None


def _descriptor(raw: bytes, at: int) -> tuple[int, int]:
    """The code of the section at a position, and where its value begins."""
    if raw[at : at + 2] == b"\x00\x53" and at + 2 < len(raw):
        code, after = raw[at + 2], at + 3
    elif raw[at : at + 2] == b"\x00\x80" and at + 10 <= len(raw):
        code, after = int.from_bytes(raw[at + 2 : at + 10], "big"), at + 10
    else:
        raise CodecError(f"no section of a message begins at byte {at}")
    if not HEADER <= code <= FOOTER:
        raise CodecError(f"0x{code:x} is no section of a message")
    return code, after


def _skip(raw: bytes, at: int) -> int:
    """Where the value at a position ends; lists, maps and binaries are not looked into."""
    code = raw[at] if at < len(raw) else 0
    if code in {0xA0, 0xC0, 0xC1} and at + 1 < len(raw):
        end = at + 2 + raw[at + 1]
    elif code in {0xB0, 0xD0, 0xD1} and at + 5 <= len(raw):
        end = at + 5 + int.from_bytes(raw[at + 1 : at + 5], "big")
    else:
        return _codec.decode(raw, at)[1]
    if end > len(raw):
        raise CodecError("a section is cut short")
    return end


def _binary(raw: bytes, at: int) -> bytes:
    value, _ = _codec.decode(raw, at)
    if not isinstance(value, bytes):
        raise CodecError("a Data section has no binary in it")
    return value


def _list(raw: bytes, at: int) -> list[Any]:
    value, _ = _codec.decode(raw, at)
    if not isinstance(value, list):
        raise CodecError("an AmqpSequence has no list in it")
    return cast("list[Any]", value)


def _value(value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return _json(value)


def _json(value: Any) -> bytes:
    return json.dumps(_plain(value), default=str, ensure_ascii=False).encode(errors="replace")


def _plain(value: Any) -> Any:
    """The same, of what JSON has a form for."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return {key if isinstance(key, str) else str(key): _plain(item) for key, item in pairs}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _identifier(value: Any) -> Identifier | None:
    return value if value is None or isinstance(value, str | bytes | int | UUID) else str(value)


def _seconds(value: Any, quirks: Quirks) -> float | None:
    if value is None:
        return None
    milliseconds = (
        value if isinstance(value, int) else getattr(value, "timestamp", lambda: 0)() * 1000
    )
    if quirks.second_timestamps and 0 < milliseconds < _SECONDS_MAX:
        return float(milliseconds)
    return milliseconds / 1000
