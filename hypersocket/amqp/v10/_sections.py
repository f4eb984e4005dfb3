"""A message that came in: its sections (part 3.2), its body and properties."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from typing import Any
from uuid import UUID

from .._types import NO_PROPERTIES, Identifier, Properties, Target
from . import _codec
from ._codec import CodecError, is_list, is_map
from ._encoding import (
    APPLICATION_PROPERTIES,
    DATA,
    FOOTER,
    HEADER,
    MESSAGE_ANNOTATIONS,
    PROPERTIES,
    SEQUENCE,
    VALUE,
)
from ._quirks import NO_QUIRKS, Quirks

_SECONDS_MAX = 100_000_000_000
"""A creation time below this is of before March 1973, if it really is in milliseconds."""


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
            return b""  # 3.2 asks for a body, but proton sends none if there is nothing in it
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
        return value if is_list(value) else []

    def mapping(self, code: int) -> dict[str, Any]:
        """A section that is a map, decoded; empty if it is not there, or cannot be decoded."""
        value = self._decoded(code)
        return {_text(key) or "": item for key, item in value.items()} if is_map(value) else {}

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
    if not is_list(value):
        raise CodecError("an AmqpSequence has no list in it")
    return value


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
    if is_list(value):
        return [_plain(item) for item in value]
    if is_map(value):
        return {key if isinstance(key, str) else str(key): _plain(it) for key, it in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _identifier(value: Any) -> Identifier | None:
    return value if value is None or isinstance(value, str | bytes | int | UUID) else str(value)


def _seconds(value: Any, quirks: Quirks) -> float | None:
    if isinstance(value, dt.datetime):
        value = round(value.timestamp() * 1000)
    if not isinstance(value, int):
        return None
    if quirks.second_timestamps and 0 < value < _SECONDS_MAX:
        return float(value)
    return value / 1000
