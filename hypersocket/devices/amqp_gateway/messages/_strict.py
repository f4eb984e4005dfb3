"""From tables that users and peers wrote to properties that a broker can take: strict, by field.

What a broker cannot take ends a channel, or a connection, with all that is under way on it. So it
is found here, message by message, and told with the name of the field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ....amqp import Properties
from .._client import ProtocolName
from .._policy import COPIES
from ._values import MAX_DEPTH, is_list, is_table, kind

SHORT_STRING = 255
"""Bytes that text beside a body has at most (AMQP 0-9-1, 4.2.5.3)."""

MAX_KEY = 128
"""Bytes of a header's name at most (AMQP 0-9-1, 4.2.5.5)."""

MAX_TABLE = 60_000
"""Bytes of all headers at most: they, and the rest, have to fit into one frame."""

MAX_TTL = 0xFFFF_FFFF / 1000
"""Seconds: both protocols count milliseconds in 32 bits."""

YEAR_10000 = 253_402_300_800
"""Seconds since 1970."""

INT64 = range(-(2**63), 2**63)
UINT64 = range(2**64)


class MetadataError(ValueError):
    """A message's metadata cannot be sent; the text names the field and what would be right."""


class Checker:
    """Makes properties for one protocol.

    Args:
        protocol: what it will go over.
    """

    def __init__(self, protocol: ProtocolName) -> None:
        self._old = protocol == "0-9-1"
        self._room = 0
        text, table = self._text, self._table
        self._checks: Mapping[str, Callable[[str, Any], Any]] = {
            "content_type": self._symbol,
            "content_encoding": self._symbol,
            "headers": table,
            "annotations": self._annotations,
            "durable": _boolean,
            "priority": _priority,
            "message_id": self._identifier,
            "correlation_id": self._identifier,
            "reply_to": text,
            "ttl": _ttl,
            "timestamp": _timestamp,
            "type": text,
            "user_id": text,
            "app_id": text,
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The properties there are."""
        return tuple(self._checks)

    def properties(self, said: Mapping[str, Any]) -> Properties:
        """Check all that is said, and convert what has to be.

        Raises:
            MetadataError: something of it cannot be sent.
        """
        self._room = MAX_TABLE
        found: dict[str, Any] = {}
        for name, value in said.items():
            check = self._checks.get(name)
            if check is None:
                known = ", ".join(self._checks)
                raise MetadataError(f"{str(name)[:60]!r} is no property; there are {known}")
            if value is not None:
                found[name] = check(name, value)
        if self._old and found.get("annotations"):
            # As RabbitMQ does: 0-9-1 has one table for both.
            found["headers"] = {**found.pop("annotations"), **found.get("headers", {})}
        if self._old:
            _check_copies(found.get("headers", {}))
        return Properties(**found)

    # One by one

    def _text(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise MetadataError(f"{name}: must be text, not {kind(value)}")
        size = _size(name, value)
        if self._old and size > SHORT_STRING:
            raise MetadataError(f"{name}: {size} bytes; AMQP 0-9-1 has {SHORT_STRING} at most")
        return value

    def _symbol(self, name: str, value: Any) -> str:
        text = self._text(name, value)
        if not self._old and not text.isascii():
            raise MetadataError(f"{name}: {text[:60]!r} must be ASCII")
        return text

    def _identifier(self, name: str, value: Any) -> str | bytes | int | UUID:
        if isinstance(value, int) and not isinstance(value, bool):
            if value not in UINT64:
                raise MetadataError(f"{name}: {value} is not a number of 0 to 2**64 - 1")
            return str(value) if self._old else value
        if isinstance(value, UUID):
            return str(value) if self._old else value
        if isinstance(value, bytes):
            if self._old and len(value) > SHORT_STRING:
                raise MetadataError(
                    f"{name}: {len(value)} bytes; AMQP 0-9-1 has {SHORT_STRING} at most"
                )
            return value
        if not isinstance(value, str):
            raise MetadataError(
                f"{name}: must be text, bytes, a whole number or a UUID, not {kind(value)}"
            )
        return self._text(name, value)

    def _table(self, name: str, value: Any) -> dict[str, Any]:
        if not is_table(value):
            raise MetadataError(f"{name}: must be a table, not {kind(value)}")
        return {
            self._key(name, key): self._value(f"{name}.{key}", one, 1) for key, one in value.items()
        }

    def _annotations(self, name: str, value: Any) -> dict[str, Any]:
        found = self._table(name, value)
        for key in found:
            if not self._old and not key.isascii():
                raise MetadataError(f"{name}: the key {key[:40]!r} must be ASCII")
        return found

    def _key(self, path: str, key: Any) -> str:
        if not isinstance(key, str):
            raise MetadataError(f"{path}: the keys of a table must be text, not {kind(key)}")
        size = _size(path, key)
        if size > MAX_KEY:
            raise MetadataError(f"{path}: the key {key[:40]!r}... is over {MAX_KEY} bytes")
        self._spend(path, size + 1)
        return key

    def _value(self, path: str, value: Any, depth: int) -> Any:
        self._spend(path, 9)
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, int):
            if value not in INT64:
                raise MetadataError(f"{path}: {value} needs more than 64 bits")
            return value
        if isinstance(value, str):
            self._spend(path, _size(path, value))
            return value
        if isinstance(value, bytes):
            self._spend(path, len(value))
            return value
        if isinstance(value, UUID):
            return str(value) if self._old else value
        if isinstance(value, datetime):
            return _datetime(path, value)
        if isinstance(value, Decimal):
            return _decimal(path, value) if self._old else str(value)
        if is_table(value) or is_list(value):
            return self._nested(path, value, depth)
        raise MetadataError(f"{path}: {kind(value)} cannot be a header")

    def _nested(self, path: str, value: Any, depth: int) -> Any:
        if not self._old:
            raise MetadataError(f"{path}: AMQP 1.0 has no lists or tables among the headers")
        if depth > MAX_DEPTH:
            raise MetadataError(f"{path}: nested over {MAX_DEPTH} deep")
        if is_table(value):
            return {
                self._key(path, key): self._value(f"{path}.{key}", one, depth + 1)
                for key, one in value.items()
            }
        return [self._value(f"{path}[{n}]", one, depth + 1) for n, one in enumerate(value)]

    def _spend(self, path: str, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise MetadataError(f"{path[:60]}: the headers are over {MAX_TABLE} bytes here")


def _check_copies(headers: Mapping[str, Any]) -> None:
    for name in COPIES:
        keys = headers.get(name, [])
        if not is_list(keys) or not all(isinstance(key, str) for key in keys):
            raise MetadataError(
                f"headers.{name}: must be a list of text: RabbitMQ sends copies to these routing "
                "keys, and ends the channel for anything else"
            )


def _size(path: str, text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise MetadataError(f"{path}: {text[:40]!r} has half a character in it") from None


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise MetadataError(f"{name}: must be true or false, not {kind(value)}")
    return value


def _priority(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
        raise MetadataError(f"{name}: must be a whole number of 0 to 255, not {_shown(value)}")
    return value


def _ttl(name: str, value: Any) -> float:
    if not _is_number(value) or not 0 <= value <= MAX_TTL:
        raise MetadataError(
            f"{name}: must be seconds, a number of 0 to {MAX_TTL:.0f}, not {_shown(value)}"
        )
    return float(value)


def _timestamp(name: str, value: Any) -> float:
    if isinstance(value, datetime):
        value = _datetime(name, value).timestamp()
    if not _is_number(value) or not 0 <= value < YEAR_10000:
        raise MetadataError(
            f"{name}: must be seconds since 1970, a number of 0 to below {YEAR_10000}, "
            f"not {_shown(value)}"
        )
    return float(value)


def _datetime(path: str, value: datetime) -> datetime:
    if value.tzinfo is None:
        raise MetadataError(f"{path}: {value.isoformat()} does not say in which time zone")
    return value


def _decimal(path: str, value: Decimal) -> Decimal:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or not -255 <= exponent <= 0:
        raise MetadataError(f"{path}: the decimal {_begin(value)} cannot be sent over AMQP 0-9-1")
    # Digits are counted first: Python makes no int of thousands of them.
    if len(digits) > 10 or int("".join(map(str, digits))) >= 2**31:
        raise MetadataError(f"{path}: the decimal {_begin(value)} needs more than 32 bits")
    return value


def _begin(value: Decimal) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: Any) -> str:
    return str(value)[:40] if isinstance(value, (int, float)) else kind(value)
