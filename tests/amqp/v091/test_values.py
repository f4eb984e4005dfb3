"""Tables: the bytes of each type, what cannot be carried, and what a peer can do wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypersocket.amqp.v091 import _values as values


def inside(data: bytes) -> bytes:
    """A table without its length, which has to be right."""
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    return data[4:]


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ("é", b"S\x00\x00\x00\x02\xc3\xa9"),
        (b"\xff", b"x\x00\x00\x00\x01\xff"),
        (bytearray(b"a"), b"x\x00\x00\x00\x01a"),
        (True, b"t\x01"),
        (False, b"t\x00"),
        (None, b"V"),
        (-1, b"I\xff\xff\xff\xff"),
        (2**31 - 1, b"I\x7f\xff\xff\xff"),
        (2**31, b"l\x00\x00\x00\x00\x80\x00\x00\x00"),
        (-(2**63), b"l\x80\x00\x00\x00\x00\x00\x00\x00"),
        (1.1, b"d\x3f\xf1\x99\x99\x99\x99\x99\x9a"),
        (datetime(1970, 1, 2, tzinfo=UTC), b"T\x00\x00\x00\x00\x00\x01\x51\x80"),
        (Decimal("-1.25"), b"D\x02\xff\xff\xff\x83"),
        (Decimal("5E+2"), b"D\x00\x00\x00\x01\xf4"),
        ([1, "a"], b"A\x00\x00\x00\x0bI\x00\x00\x00\x01S\x00\x00\x00\x01a"),
        ((), b"A\x00\x00\x00\x00"),
        ({}, b"F\x00\x00\x00\x00"),
        ({"k": None}, b"F\x00\x00\x00\x03\x01kV"),
    ],
)
def test_bytes_of_each_type(value: Any, wire: bytes) -> None:
    data = values.table({"a": value})
    assert inside(data) == b"\x01a" + wire
    back = values.read_table(inside(data))["a"]
    assert back == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (b"b\xff", -1),
        (b"B\xff", 255),
        (b"s\xff\xfe", -2),
        (b"U\xff\xfe", -2),
        (b"u\xff\xfe", 65534),
        (b"i\xff\xff\xff\xff", 2**32 - 1),
        (b"L\xff\xff\xff\xff\xff\xff\xff\xff", -1),
        (b"f\x3f\x80\x00\x00", 1.0),
        (b"T\xff\xff\xff\xff\xff\xff\xff\xff", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b"T\x7f\xff\xff\xff\xff\xff\xff\xff", 2**63 - 1),
        (b"S\x00\x00\x00\x01\xff", b"\xff"),
    ],
)
def test_types_that_only_others_write(wire: bytes, value: Any) -> None:
    assert values.read_table(b"\x01a" + wire) == {"a": value}


def test_times_are_whole_seconds_of_utc() -> None:
    east = datetime(2020, 1, 1, 2, 0, 0, 900_000, timezone(timedelta(hours=2)))
    naive = datetime(2020, 1, 1)  # noqa: DTZ001 - that is the case
    for moment in (east, naive):
        back = values.read_table(inside(values.table({"t": moment})))["t"]
        assert back == datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (2**63, ValueError, r"headers\['a'\] = 9223372036854775808: .* at most 64 bits"),
        ({"b": [0, -(2**63) - 1]}, ValueError, r"headers\['a'\]\['b'\]\[1\] = "),
        (Decimal("1E+12"), ValueError, "decimals"),
        (Decimal("NaN"), ValueError, "decimals"),
        (Decimal(2**31), ValueError, "decimals"),
        ({"k" * 256: 1}, ValueError, "256 bytes"),
        ({1: 1}, TypeError, "keys are str"),
        (object(), TypeError, r"headers\['a'\] is object"),
    ],
)
def test_what_cannot_be_carried(value: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        values.table({"a": value}, "headers")


def test_depth_has_a_bound_both_ways() -> None:
    deep: Any = 1
    wire = b"V"
    for _ in range(values.MAX_DEPTH + 1):
        deep = [deep]
        wire = b"A" + values.long_string(wire)
    with pytest.raises(ValueError, match="deeper"):
        values.table({"a": deep})
    with pytest.raises(ValueError, match="deeper"):
        values.read_table(b"\x01a" + wire)
    tables = b"\x01aV"
    for _ in range(values.MAX_DEPTH + 1):
        tables = b"\x01aF" + values.long_string(tables)
    with pytest.raises(ValueError, match="deeper"):
        values.read_table(tables)


def test_short_strings_end_at_255_bytes() -> None:
    assert values.short_string("é" * 127, "it")[0] == 254
    with pytest.raises(ValueError, match=r"routing key has 256 bytes; .* at most 255"):
        values.short_string("é" * 128, "the routing key")


def test_text_that_is_no_text_goes_out_as_it_came() -> None:
    odd = values.text(b"a\xff\xfe")
    assert values.short_string(odd, "it") == b"\x03a\xff\xfe"
    assert values.long_string(odd) == b"\x00\x00\x00\x03a\xff\xfe"


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
    | st.binary()
    | st.datetimes().map(lambda moment: moment.replace(microsecond=0, tzinfo=UTC))
)
keys = st.text(st.characters(codec="utf-8"), max_size=40)
nested = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=20
)
tables = st.dictionaries(keys, nested, max_size=5)


@given(tables)
def test_round_trip(said: dict[str, Any]) -> None:
    assert values.read_table(inside(values.table(said))) == said


@given(tables, st.data())
def test_a_table_that_is_cut_off_is_an_error_or_a_shorter_table(
    said: dict[str, Any], data: st.DataObject
) -> None:
    wire = inside(values.table(said))
    end = data.draw(st.integers(0, len(wire)))
    try:
        back = values.read_table(wire[:end])
    except ValueError:
        return
    assert list(back.items()) == list(said.items())[: len(back)]


@given(st.binary(max_size=200))
@example(b"\x01aF\xff\xff\xff\xff")
@example(b"\x01aS\x00")
@example(b"\x01a")
@example(b"\x05a")
@example(b"\x01aZ\x00\x00\x00\x00")
def test_whatever_a_peer_writes_is_a_table_or_a_value_error(wire: bytes) -> None:
    try:
        values.read_table(wire)
    except ValueError:
        return
    assert wire == b"" or wire[0] < len(wire)
