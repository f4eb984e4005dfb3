"""What JSON and msgpack cannot say of AMQP's values, said with tables of one tagged entry.

| value | JSON | msgpack |
| --- | --- | --- |
| bytes | ``{"base64": "AAE="}`` | as it is |
| UUID | ``{"uuid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}`` | the same |
| date and time | ``{"datetime": "2026-01-02T03:04:05+00:00"}`` | the same |
| decimal | ``{"decimal": "1.10"}`` | the same |
| infinite, or no number | ``{"float": "inf"}``, ``"-inf"``, ``"nan"`` | as it is |
| a table that has one entry of such a name | ``{"table": {"base64": 1}}`` | the same |
| a table with keys that are not text | ``{"map": [[1, "a"], [2, "b"]]}`` | the same |

Integers are written in full; they can have 64 bits, which some readers of JSON round.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeGuard
from uuid import UUID

TAGS = frozenset({"base64", "uuid", "datetime", "decimal", "float", "table", "map"})

MAX_DEPTH = 32
"""Tables in tables at most."""

TOO_DEEP = "(nested too deeply)"

_SIMPLE = frozenset({str, int, bool, type(None)})


def is_table(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether it is a table."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether it is a list."""
    return isinstance(value, (list, tuple))


class Tagger:
    """Writes values; never raises.

    Args:
        json: whether it is for JSON, which has no bytes and not all floats.
        careful: whether text may be none: such goes as bytes.
    """

    def __init__(self, *, json: bool, careful: bool = False) -> None:
        self._json = json
        self._careful = careful

    def tag(self, value: object, depth: int = 0) -> Any:
        """The value in terms of the format."""
        if type(value) in _SIMPLE and not (self._careful and type(value) is str):
            return value
        if depth > MAX_DEPTH:
            return TOO_DEEP
        if is_table(value):
            return self.table(value, depth)
        if is_list(value):
            return [self.tag(one, depth + 1) for one in value]
        return self._leaf(value)

    def table(self, value: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
        """The same for a table."""
        if not all(isinstance(key, str) and self._is_text(key) for key in value):
            pairs = [[self.tag(key, depth + 1), self.tag(value[key], depth + 1)] for key in value]
            return {"map": pairs}
        table = {str(key): self.tag(one, depth + 1) for key, one in value.items()}
        if len(table) == 1 and not TAGS.isdisjoint(table):
            return {"table": table}
        return table

    def _is_text(self, value: str) -> bool:
        if self._careful:
            try:
                value.encode()
            except UnicodeEncodeError:
                return False
        return True

    def _leaf(self, value: object) -> Any:
        if isinstance(value, bool):
            return bool(value)
        if isinstance(value, str):
            if self._is_text(value):
                return str(value)
            return self._bytes(_escaped(value))
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            if self._json and not math.isfinite(value):
                return {"float": str(float(value))}
            return float(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._bytes(bytes(value))  # pyright: ignore[reportUnknownArgumentType]
        if isinstance(value, UUID):
            return {"uuid": str(value)}
        if isinstance(value, datetime):
            return {"datetime": _in_utc(value).isoformat()}
        if isinstance(value, Decimal):
            return {"decimal": str(value)}
        return str(value)  # a type that a client should not have given

    def _bytes(self, value: bytes) -> Any:
        return {"base64": base64.b64encode(value).decode()} if self._json else value


def _escaped(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")  # the bytes, as clients read them
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def untag(value: Any, depth: int = 0) -> Any:
    """The opposite: what a tagged value stands for.

    Raises:
        ValueError: a tag's value is not what it has to be, or tables are nested too deeply. The
            message is for the reader who knows the place.
    """
    if type(value) in _SIMPLE:
        return value
    if depth > MAX_DEPTH:
        raise ValueError(f"nested over {MAX_DEPTH} deep")
    if is_list(value):
        return [untag(one, depth + 1) for one in value]
    if not is_table(value):
        return value
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key in TAGS:
            return _untagged(key, inner, depth)
    return {key: untag(one, depth + 1) for key, one in value.items()}


def _untagged(tag: str, value: Any, depth: int) -> Any:
    if tag == "table":
        if not is_table(value):
            raise ValueError(f'{{"table": ...}} has a table in it, not {kind(value)}')
        return {key: untag(one, depth + 1) for key, one in value.items()}
    if tag == "map":
        raise ValueError("the keys of a table must be text")
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004 - somebody's data is wrong, and no call
            f'{{"{tag}": ...}} has text in it, not {kind(value)}'
        )
    try:
        return _READERS[tag](value)
    except (ValueError, OverflowError, InvalidOperation):
        raise ValueError(f'{{"{tag}": {value[:60]!r}}} cannot be read as such') from None


def _read_float(text: str) -> float:
    if text not in {"inf", "-inf", "nan"}:
        raise ValueError(text)
    return float(text)


def _read_datetime(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(text)
    return when.astimezone(UTC)


def _read_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


_READERS: Mapping[str, Callable[[str], Any]] = {
    "base64": _read_base64,
    "uuid": UUID,
    "datetime": _read_datetime,
    "decimal": Decimal,
    "float": _read_float,
}


def _in_utc(when: datetime) -> datetime:
    # AMQP's times have no zone: they are UTC.
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def kind(value: object) -> str:
    """What a value is, for somebody who wrote JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    for types, word in _KINDS:
        if isinstance(value, types):
            return word
    return f"a {type(value).__name__}"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "text"),
    ((int, float), "a number"),
    (list, "a list"),
    (Mapping, "a table"),
    (bytes, "bytes"),
)
