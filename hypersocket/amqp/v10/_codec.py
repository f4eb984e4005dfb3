"""AMQP 1.0's types as bytes, and back (part 1 of the specification).

Proton's own ``Data`` gives binary values out as views of memory that it frees; this gives values of
their own. Symbols and characters become str, every integer int, timestamps aware datetimes, arrays
lists, decimals their bytes; of a described value the value alone is kept. Text that is not UTF-8 is
given as bytes.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard
from uuid import UUID

DEPTH_MAX = 32
"""Lists in lists. qpid-jms and proton have none; RabbitMQ's parser is bounded by its stack."""

_EMPTY_WIDTH_MAX = 1024
"""Elements of an array that take no bytes each (null, true, ...): a count that costs nothing."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_U32 = struct.Struct(">I")


class CodecError(ValueError):
    """These bytes are not AMQP 1.0, or this value cannot be said in it."""


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a value is a list."""
    return isinstance(value, list)


def is_tuple(value: Any) -> TypeGuard[tuple[Any, ...]]:
    """Whether a value is a tuple."""
    return isinstance(value, tuple)


def is_map(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    """Whether a value is a map."""
    return isinstance(value, Mapping)


class Symbol(str):
    """Text that goes out as a symbol (ASCII), not as a string."""

    __slots__ = ()


# --- decoding ------------------------------------------------------------------------


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _timestamp(data: bytes) -> dt.datetime | int:
    milliseconds: int = struct.unpack(">q", data)[0]
    try:
        return _EPOCH + dt.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return milliseconds


def _unpack(form: str) -> Callable[[bytes], Any]:
    unpack = struct.Struct(form).unpack
    return lambda data: unpack(data)[0]


def _char(data: bytes) -> str | int:
    """The character; the bare number where Unicode has no such (surrogates are none)."""
    number: int = _U32.unpack(data)[0]
    return chr(number) if number < 0xD800 or 0xE000 <= number <= 0x10FFFF else number


_FIXED: dict[int, tuple[int, Callable[[bytes], Any]]] = {
    0x40: (0, lambda _: None),
    0x41: (0, lambda _: True),
    0x42: (0, lambda _: False),
    0x43: (0, lambda _: 0),
    0x44: (0, lambda _: 0),
    0x45: (0, lambda _: []),
    0x50: (1, _unpack(">B")),
    0x51: (1, _unpack(">b")),
    0x52: (1, _unpack(">B")),
    0x53: (1, _unpack(">B")),
    0x54: (1, _unpack(">b")),
    0x55: (1, _unpack(">b")),
    0x56: (1, _unpack(">?")),
    0x60: (2, _unpack(">H")),
    0x61: (2, _unpack(">h")),
    0x70: (4, _unpack(">I")),
    0x71: (4, _unpack(">i")),
    0x72: (4, _unpack(">f")),
    0x73: (4, _char),
    0x74: (4, bytes),
    0x80: (8, _unpack(">Q")),
    0x81: (8, _unpack(">q")),
    0x82: (8, _unpack(">d")),
    0x83: (8, _timestamp),
    0x84: (8, bytes),
    0x94: (16, bytes),
    0x98: (16, lambda data: UUID(bytes=data)),
}
"""Constructors of a fixed width: the width in bytes, and what the bytes mean (1.6)."""

_VARIABLE: dict[int, Callable[[bytes], Any]] = {
    0xA0: bytes,
    0xA1: _text,
    0xA3: _text,
    0xB0: bytes,
    0xB1: _text,
    0xB3: _text,
}


def _size(data: bytes, at: int, wide: int) -> tuple[int, int]:
    """The size at a position, of one byte or (``wide``) four, and where what it measures begins."""
    if wide:
        if at + 4 > len(data):
            raise CodecError("a size is cut short")
        return _U32.unpack_from(data, at)[0], at + 4
    if at >= len(data):
        raise CodecError("a size is cut short")
    return data[at], at + 1


def decode(data: bytes, at: int = 0, depth: int = 0) -> tuple[Any, int]:
    """Decode one value.

    Args:
        data: the bytes.
        at: where the value begins.
        depth: how many lists it is in.

    Returns:
        The value, and where the next one begins.

    Raises:
        CodecError: these are not AMQP 1.0's types, or are cut short, or nested too deep.
    """
    if at >= len(data):
        raise CodecError("a value is missing")
    code = data[at]
    if code == 0x00:
        if depth >= DEPTH_MAX:
            raise CodecError(f"nested deeper than {DEPTH_MAX}")
        _, at = decode(data, at + 1, depth + 1)
        return decode(data, at, depth + 1)
    return _decode_as(code, data, at + 1, depth)


def _decode_as(code: int, data: bytes, at: int, depth: int) -> tuple[Any, int]:
    fixed = _FIXED.get(code)
    if fixed is not None:
        end = at + fixed[0]
        if end > len(data):
            raise CodecError("a value is cut short")
        return fixed[1](data[at:end]), end
    if code < 0xA0:
        raise CodecError(f"0x{code:02x} is no constructor of AMQP 1.0")
    size, at = _size(data, at, code & 0x10)
    end = at + size
    if end > len(data):
        raise CodecError("a value is cut short")
    variable = _VARIABLE.get(code)
    if variable is not None:
        return variable(data[at:end]), end
    if depth >= DEPTH_MAX:
        raise CodecError(f"nested deeper than {DEPTH_MAX}")
    count, at = _size(data[:end], at, code & 0x10)
    kind = code & 0xEF
    if kind == 0xC0:
        return _items(data, at, end, count, depth), end
    if kind == 0xC1:
        items = _items(data, at, end, count, depth)
        if count % 2:
            raise CodecError("a map has a key without a value")
        return _as_map(items), end
    if kind == 0xE0:
        return _array(data, at, end, count, depth), end
    raise CodecError(f"0x{code:02x} is no constructor of AMQP 1.0")


def _items(data: bytes, at: int, end: int, count: int, depth: int) -> list[Any]:
    if count > end - at:
        raise CodecError(f"{count} elements are promised in {end - at} bytes")
    items: list[Any] = []
    for _ in range(count):
        item, at = decode(data, at, depth + 1)
        items.append(item)
    if at > end:
        raise CodecError("the elements of a list reach beyond its end")
    return items


def _as_map(items: list[Any]) -> dict[Any, Any]:
    keys = (repr(key) if is_list(key) or is_map(key) else key for key in items[::2])
    return dict(zip(keys, items[1::2], strict=True))


def _array(data: bytes, at: int, end: int, count: int, depth: int) -> list[Any]:
    if at >= end:
        raise CodecError("an array has no constructor")
    code = data[at]
    at += 1
    if code == 0x00:
        _, at = decode(data, at, depth + 1)
        if at >= end:
            raise CodecError("an array has no constructor")
        code = data[at]
        at += 1
    width = _FIXED[code][0] if code in _FIXED else 1
    if count * width > end - at or (not width and count > _EMPTY_WIDTH_MAX):
        raise CodecError(f"{count} elements are promised in {end - at} bytes")
    items: list[Any] = []
    for _ in range(count):
        item, at = _decode_as(code, data, at, depth + 1)
        items.append(item)
    if at > end:
        raise CodecError("the elements of an array reach beyond its end")
    return items


# --- encoding ------------------------------------------------------------------------


def _sized(short: int, content: bytes) -> bytes:
    size = len(content)
    if size < 256:
        return bytes((short, size)) + content
    return bytes((short + 0x10,)) + _U32.pack(size) + content


def encode_binary(value: bytes) -> bytes:
    """Bytes, as binary (1.6.19)."""
    return _sized(0xA0, value)


def encode_string(value: str) -> bytes:
    """Text, as a string (1.6.20)."""
    try:
        return _sized(0xA1, value.encode())
    except UnicodeEncodeError as error:
        raise CodecError(f"{value!r} cannot be written as UTF-8") from error


def encode_symbol(value: str) -> bytes:
    """Text, as a symbol (1.6.21)."""
    try:
        return _sized(0xA3, value.encode("ascii"))
    except UnicodeEncodeError as error:
        raise CodecError(f"{value!r} is not ASCII, as a symbol has to be") from error


def encode_uint(value: int) -> bytes:
    """An int from 0 to 2**32 - 1, as a uint (1.6.5)."""
    return b"\x70" + _U32.pack(value)


def encode_ulong(value: int) -> bytes:
    """An int from 0 to 2**64 - 1, as a ulong (1.6.6)."""
    if not 0 <= value < 1 << 64:
        raise CodecError(f"{value} is not from 0 to 2**64 - 1")
    return b"\x80" + value.to_bytes(8, "big")


def encode_timestamp(milliseconds: int) -> bytes:
    """Milliseconds since 1970, as a timestamp (1.6.17)."""
    if not -(1 << 63) <= milliseconds < 1 << 63:
        raise CodecError(f"{milliseconds} ms since 1970 is no time that 64 bits can tell")
    return b"\x83" + milliseconds.to_bytes(8, "big", signed=True)


def encode_list(items: list[bytes]) -> bytes:
    """A list of values that are encoded already (1.6.22)."""
    if not items:
        return b"\x45"
    return _compound(0xC0, len(items), b"".join(items))


def encode_map(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """A map of keys and values that are encoded already (1.6.23)."""
    return _compound(0xC1, 2 * len(pairs), b"".join(key + value for key, value in pairs))


def _compound(short: int, count: int, content: bytes) -> bytes:
    size = len(content)
    if size < 255 and count < 256:
        return bytes((short, size + 1, count)) + content
    return bytes((short + 0x10,)) + _U32.pack(size + 4) + _U32.pack(count) + content


def _encode_int(value: int) -> bytes:
    if -(1 << 63) <= value < 1 << 63:
        return b"\x81" + value.to_bytes(8, "big", signed=True)
    return encode_ulong(value)


def _encode_datetime(value: dt.datetime) -> bytes:
    if value.tzinfo is None:
        value = value.replace(tzinfo=dt.UTC)
    return encode_timestamp((value - _EPOCH) // dt.timedelta(milliseconds=1))


def encode(value: Any, depth: int = 0) -> bytes:
    """Encode None, bool, int (as long), float (double), str, bytes, UUID, datetime, list or map.

    Raises:
        CodecError: the value is of another type, too big, or nested too deep.
    """
    if depth > DEPTH_MAX:
        raise CodecError(f"nested deeper than {DEPTH_MAX}")
    if value is None:
        return b"\x40"
    simple = _SIMPLE.get(value.__class__)
    if simple is not None:
        return simple(value)
    if is_map(value):
        pairs = value.items()
        return encode_map([(encode(k, depth + 1), encode(v, depth + 1)) for k, v in pairs])
    if is_list(value) or is_tuple(value):
        return encode_list([encode(item, depth + 1) for item in value])
    for kind, encoder in _SIMPLE.items():  # an IntEnum, a subclass of str ...
        if isinstance(value, kind):
            return encoder(value)
    raise CodecError(f"a {type(value).__name__} has no form in AMQP 1.0")


_SIMPLE: dict[type[Any], Callable[[Any], bytes]] = {
    bool: lambda value: b"\x41" if value else b"\x42",
    Symbol: encode_symbol,
    str: encode_string,
    int: _encode_int,
    float: lambda value: b"\x82" + struct.pack(">d", value),
    bytes: encode_binary,
    bytearray: lambda value: encode_binary(bytes(value)),
    memoryview: lambda value: encode_binary(bytes(value)),
    UUID: lambda value: b"\x98" + value.bytes,
    dt.datetime: _encode_datetime,
}
