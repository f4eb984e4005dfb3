"""AMQP 1.0's types: what proton writes, and what it reads, is what we do."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from typing import Any

import proton
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypersocket.amqp.v10 import CodecError
from hypersocket.amqp.v10 import _codec as codec

SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
    | st.binary(max_size=300)
    | st.uuids()
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    SIMPLE,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=30,
)


array: Any = proton.Array  # its declared types leave out its own constant


def by_proton(data: bytes) -> Any:
    """What proton's own decoder makes of it, without views of its memory."""
    found = proton.Data()
    found.decode(data)
    found.rewind()
    found.next()
    return plain(found.get_object())


def plain(value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items()}
    return value


@given(VALUES)
@example([[]] * 300)
@example({"k": b"x" * 300})
def test_proton_reads_what_we_write(value: Any) -> None:
    assert by_proton(codec.encode(value)) == value


@given(VALUES)
@example([None] * 300)
def test_we_read_what_proton_writes(value: Any) -> None:
    data = proton.Data()
    data.put_object(value)
    encoded = data.encode()
    assert codec.decode(bytes(encoded)) == (value, len(encoded))


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("ubyte", 200, 200),
        ("byte", -3, -3),
        ("ushort", 60_000, 60_000),
        ("short", -300, -300),
        ("uint", 0, 0),
        ("uint", 7, 7),
        ("uint", 4_000_000_000, 4_000_000_000),
        ("int", -5, -5),
        ("int", -70_000, -70_000),
        ("ulong", 0, 0),
        ("ulong", 2**64 - 1, 2**64 - 1),
        ("long", -1, -1),
        ("float", 0.5, 0.5),
        ("char", "ø", "ø"),
        ("symbol", "sym", "sym"),
        ("decimal32", 5, b"\0\0\0\x05"),
        ("timestamp", 1_500, dt.datetime(1970, 1, 1, 0, 0, 1, 500_000, dt.UTC)),
        ("timestamp", 2**62, 2**62),
        ("object", array(proton.UNDESCRIBED, proton.Data.INT, 1, 2), [1, 2]),
        ("object", array("what", proton.Data.STRING, "a"), ["a"]),
        ("object", proton.Described("what", [1]), [1]),
    ],
)
def test_every_type_becomes_a_plain_value(kind: str, given: Any, expected: Any) -> None:
    data = proton.Data()
    getattr(data, f"put_{kind}")(given)
    value, _ = codec.decode(bytes(data.encode()))
    assert value == expected
    assert type(value) is type(expected)


def test_text_that_is_not_utf8_is_given_as_bytes() -> None:
    assert codec.decode(b"\xa1\x01\xff") == (b"\xff", 3)


@given(st.binary(max_size=200))
@example(b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40")  # 4 billion nulls in no bytes
@example(b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff")
@example(b"\xc1\x02\x01\x40")
@example(b"\x00" * 200)
@example(b"\xc0\x03\x01\xc0" * 40)
@example(b"\xe0\x02\x01\x00")
@example(b"\xe0\x01\x00")
@example(b"\xf3")
@example(b"\xd5\0\0\0\0")
def test_garbage_raises_nothing_but_codec_errors(data: bytes) -> None:
    with contextlib.suppress(CodecError):
        codec.decode(data)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "a object has no form"),
        (2**64, "not from 0 to"),
        ("\ud800", "UTF-8"),
        (codec.Symbol("ø"), "ASCII"),
    ],
)
def test_a_value_without_a_form_is_refused(value: Any, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        codec.encode(value)


def test_depth_is_bounded_both_ways() -> None:
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(CodecError, match="nested deeper"):
        codec.encode(deep)
    data = b"\x45"
    for _ in range(100):
        data = codec.encode_list([data])
    with pytest.raises(CodecError, match="nested deeper"):
        codec.decode(data)


def test_what_is_like_a_simple_type_is_written_as_that() -> None:
    class Level(int):
        pass

    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 678_000)  # noqa: DTZ001 - a naive one is UTC
    values = [Level(3), bytearray(b"x"), memoryview(b"y"), (1, 2), moment, uuid.UUID(int=5)]
    assert codec.decode(codec.encode(values))[0] == [
        3,
        b"x",
        b"y",
        [1, 2],
        moment.replace(tzinfo=dt.UTC),
        uuid.UUID(int=5),
    ]
