"""Strings, and the tables that headers and arguments are made of (AMQP 0-9-1, 4.2.5).

The types are those of RabbitMQ's errata, which all brokers of today use: what the standard and
they disagree about (the meaning of ``s`` and ``L``) is read as RabbitMQ reads it and never written.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, cast

MAX_SHORT: Final = 255
MAX_DEPTH: Final = 64  # of tables in tables; a broker's own header tables are two or three deep

_INT64: Final = range(-(1 << 63), 1 << 63)
_INT32: Final = range(-(1 << 31), 1 << 31)
_pack_long = struct.Struct("!I").pack
_pack_int = struct.Struct("!ci").pack
_pack_longlong = struct.Struct("!cq").pack
_pack_double = struct.Struct("!cd").pack
_pack_sized = struct.Struct("!cI").pack
_pack_decimal = struct.Struct("!cBi").pack
_unpack_long = struct.Struct("!I").unpack_from


class Truncated(ValueError):
    """A value says that it is longer than what it is in."""


# --- writing -------------------------------------------------------------------------


def short_string(value: str | bytes, what: str) -> bytes:
    """A string of at most 255 bytes, with its length.

    Args:
        value: the text, or its bytes. Bytes that came in as surrogate escapes go out as they were.
        what: its name, for the error.

    Raises:
        ValueError: it is too long; the text says what, and how long it is.
    """
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    if len(data) > MAX_SHORT:
        raise ValueError(f"{what} has {len(data)} bytes; AMQP 0-9-1 carries at most {MAX_SHORT}")
    return bytes((len(data),)) + data


def long_string(value: str | bytes) -> bytes:
    """A string with its length in four bytes."""
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    return _pack_long(len(data)) + data


def table(values: Mapping[str, Any], what: str = "table") -> bytes:
    """A table, with its length.

    ``str`` becomes a long string, ``bytes`` a byte array, ``int`` 32 or 64 bits as it needs,
    ``float`` a double, :class:`~decimal.Decimal` a decimal, an aware or naive (UTC)
    :class:`~datetime.datetime` a timestamp of whole seconds; mappings, lists and tuples nest.

    Raises:
        ValueError: a value has no such form (an integer of more than 64 bits, a decimal of more
            than 32, a key of more than 255 bytes, too deep); the text names the key.
        TypeError: a value is of another type.
    """
    return _table(values, what, 0)


def _table(values: Mapping[str, Any], what: str, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise ValueError(f"{what}: nested deeper than {MAX_DEPTH}")
    parts: list[bytes] = []
    for key, value in values.items():
        name = f"{what}[{key!r}]"
        if not isinstance(key, str):
            raise TypeError(f"{what}: a key is {type(key).__name__}; keys are str")
        parts.append(short_string(key, f"the key of {name}"))
        parts.append(_value(value, name, depth))
    return long_string(b"".join(parts))


def _value(value: Any, what: str, depth: int) -> bytes:
    if isinstance(value, str):
        return b"S" + long_string(value)
    if isinstance(value, bool):
        return b"t\x01" if value else b"t\x00"
    if isinstance(value, int):
        return _integer(value, what)
    if value is None:
        return b"V"
    if isinstance(value, float):
        return _pack_double(b"d", value)
    if isinstance(value, bytes | bytearray):
        return b"x" + long_string(bytes(value))
    if isinstance(value, Mapping):
        return b"F" + _table(cast("Mapping[str, Any]", value), what, depth + 1)
    if isinstance(value, list | tuple):
        return _array(cast("Sequence[Any]", value), what, depth + 1)
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return _pack_longlong(b"T", int(aware.timestamp()))
    if isinstance(value, Decimal):
        return _decimal(value, what)
    raise TypeError(f"{what} is {type(value).__name__}, which AMQP 0-9-1 cannot carry")


def _integer(value: int, what: str) -> bytes:
    if value in _INT32:
        return _pack_int(b"I", value)
    if value in _INT64:
        return _pack_longlong(b"l", value)
    raise ValueError(f"{what} = {value}: AMQP 0-9-1 carries integers of at most 64 bits, signed")


def _array(values: Sequence[Any], what: str, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise ValueError(f"{what}: nested deeper than {MAX_DEPTH}")
    data = b"".join([_value(value, f"{what}[{i}]", depth) for i, value in enumerate(values)])
    return _pack_sized(b"A", len(data)) + data


def _decimal(value: Decimal, what: str) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if isinstance(exponent, int):
        number = int("".join(map(str, digits))) * (-1 if sign else 1)
        if exponent > 0:
            number, exponent = number * 10 ** min(exponent, 10), 0
        if number in _INT32 and exponent >= -255 and value.adjusted() < 10:
            return _pack_decimal(b"D", -exponent, number)
    raise ValueError(f"{what} = {value}: AMQP 0-9-1 carries decimals of 32 bits and 255 places")


# --- reading -------------------------------------------------------------------------


def text_or_bytes(data: bytes) -> str | bytes:
    """Text where it is UTF-8; what it was where it is not."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def text(data: bytes) -> str:
    """Text; bytes that are not UTF-8 become surrogate escapes, which go out again as they were."""
    return data.decode("utf-8", "surrogateescape")


def read_short(data: bytes, at: int) -> tuple[bytes, int]:
    """A short string's bytes, and where it ends.

    Raises:
        Truncated: the data ends before it does.
    """
    if at >= len(data):
        raise Truncated("a string is missing")
    end = at + 1 + data[at]
    if end > len(data):
        raise Truncated("a string is longer than what it is in")
    return data[at + 1 : end], end


def read_long(data: bytes, at: int) -> tuple[bytes, int]:
    """A long string's bytes (a table's and an array's, too), and where it ends.

    Raises:
        Truncated: the data ends before it does.
    """
    if at + 4 > len(data):
        raise Truncated("a length is missing")
    end = at + 4 + cast("int", _unpack_long(data, at)[0])
    if end > len(data):
        raise Truncated("a string, table or array is longer than what it is in")
    return data[at + 4 : end], end


def read_table(data: bytes) -> dict[str, Any]:
    """The inside of a table.

    Raises:
        ValueError: it is no table.
    """
    return _read_table(data, 0)


def _read_table(data: bytes, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise ValueError(f"a table is nested deeper than {MAX_DEPTH}")
    values: dict[str, Any] = {}
    at = 0
    while at < len(data):
        key, at = read_short(data, at)
        values[text(key)], at = _read_value(data, at, depth)
    return values


def _read_array(data: bytes, depth: int) -> list[Any]:
    if depth > MAX_DEPTH:
        raise ValueError(f"an array is nested deeper than {MAX_DEPTH}")
    values: list[Any] = []
    at = 0
    while at < len(data):
        value, at = _read_value(data, at, depth)
        values.append(value)
    return values


def _read_value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if at >= len(data):
        raise Truncated("a value is missing")
    kind = data[at]
    at += 1
    fixed = _FIXED.get(kind)
    if fixed is not None:
        if at + fixed.size > len(data):
            raise Truncated("a number is cut off")
        return _READ.get(kind, _first)(fixed.unpack_from(data, at)), at + fixed.size
    if kind == ord("V"):
        return None, at
    content, end = read_long(data, at)
    if kind == ord("S"):
        return text_or_bytes(content), end
    if kind == ord("x"):
        return content, end
    if kind == ord("F"):
        return _read_table(content, depth + 1), end
    if kind == ord("A"):
        return _read_array(content, depth + 1), end
    raise ValueError(f"a value is of the unknown type {bytes((kind,))!r}")


def _first(values: tuple[Any, ...]) -> Any:
    return values[0]


def _timestamp(values: tuple[Any, ...]) -> Any:
    """The moment; the bare number where a calendar has no such."""
    try:
        return datetime.fromtimestamp(values[0], UTC)
    except (ValueError, OverflowError, OSError):
        return values[0]


def _read_decimal(values: tuple[Any, ...]) -> Decimal:
    return Decimal(values[1]).scaleb(-values[0])


_FIXED: Final[Mapping[int, struct.Struct]] = {
    ord(kind): struct.Struct(f"!{form}")
    for kind, form in {
        "t": "?",
        "b": "b",
        "B": "B",
        "s": "h",
        "U": "h",
        "u": "H",
        "I": "i",
        "i": "I",
        "l": "q",
        "L": "q",
        "f": "f",
        "d": "d",
        "D": "Bi",
        "T": "q",  # before 1970, too, as Java's client writes and reads it
    }.items()
}

_READ: Final[Mapping[int, Callable[[tuple[Any, ...]], Any]]] = {
    ord("D"): _read_decimal,
    ord("T"): _timestamp,
}
