"""Properties as bytes; the other side is pamqp, or a peer that does it wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from hypersocket.amqp import NO_PROPERTIES, Properties
from hypersocket.amqp.v091._properties import decode, encode

FULL = Properties(
    content_type="text/plain",
    content_encoding="gzip",
    headers={"a": 1, "b": ["x", {"c": True}]},
    durable=True,
    priority=255,
    message_id="m",
    correlation_id="c",
    reply_to="q",
    ttl=1.5,
    timestamp=1_700_000_000.0,
    type="t",
    user_id="u",
    app_id="app",
)


def by_pamqp(data: bytes) -> commands.Basic.Properties:
    said = commands.Basic.Properties()
    said.unmarshal(int.from_bytes(data[:2], "big"), data[2:])
    return said


def test_pamqp_reads_what_we_write() -> None:
    said = by_pamqp(encode(FULL))
    assert said.content_type == "text/plain"
    assert said.content_encoding == "gzip"
    assert said.headers == {"a": 1, "b": ["x", {"c": True}]}
    assert said.delivery_mode == 2
    assert said.priority == 255
    assert said.message_id == "m"
    assert said.correlation_id == "c"
    assert said.reply_to == "q"
    assert said.expiration == "1500"
    assert said.timestamp == datetime.fromtimestamp(1_700_000_000, UTC)
    assert said.message_type == "t"
    assert said.user_id == "u"
    assert said.app_id == "app"


def test_we_read_what_pamqp_writes() -> None:
    said = commands.Basic.Properties(
        content_type="text/plain",
        headers={"a": 1},
        delivery_mode=1,
        priority=0,
        correlation_id="c",
        expiration="20",
        timestamp=datetime.fromtimestamp(5, UTC),
        message_type="t",
        app_id="app",
    )
    assert decode(said.marshal()) == Properties(
        content_type="text/plain",
        headers={"a": 1},
        durable=False,
        priority=0,
        correlation_id="c",
        ttl=0.02,
        timestamp=5.0,
        type="t",
        app_id="app",
    )


def test_round_trip_of_everything() -> None:
    assert decode(encode(FULL)) == FULL


def test_nothing_said() -> None:
    assert encode(NO_PROPERTIES) == encode(Properties()) == b"\x00\x00"
    assert decode(b"\x00\x00") is NO_PROPERTIES
    assert encode(Properties(content_type="", reply_to="")) == b"\x00\x00"
    assert encode(Properties(annotations={"x": 1})) == b"\x00\x00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\xff\x00", b"\xff\x00"),
        (17, b"17"),
        (UUID(int=1), b"00000000-0000-0000-0000-000000000001"),
        ("text", b"text"),
    ],
)
def test_identifiers_of_every_kind(value: Any, text: bytes) -> None:
    wire = encode(Properties(correlation_id=value, message_id=value))
    assert wire[2:] == (bytes((len(text),)) + text) * 2
    back = decode(wire)
    expected = text if isinstance(value, bytes) else text.decode()
    assert back.correlation_id == back.message_id == expected


@pytest.mark.parametrize(
    ("ttl", "text"),
    [
        (0, b"0"),
        (0.0004, b"0"),
        (0.0015, b"2"),
        (1e9, b"4294967295"),
        (float("inf"), b"4294967295"),
    ],
)
def test_ttl_is_milliseconds_that_rabbitmq_takes(ttl: float, text: bytes) -> None:
    assert encode(Properties(ttl=ttl))[3:] == text


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"priority": 256}, "priority = 256"),
        ({"priority": -1}, "priority = -1"),
        ({"ttl": -0.1}, "ttl = -0.1"),
        ({"ttl": float("nan")}, "ttl = nan"),
        ({"timestamp": -1}, "timestamp = -1"),
        ({"timestamp": float("nan")}, "timestamp = nan"),
        ({"correlation_id": "x" * 256}, "correlation_id has 256 bytes"),
        ({"headers": {"big": 2**64}}, r"headers\['big'\]"),
    ],
)
def test_what_cannot_be_carried(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        encode(Properties(**wrong))


def test_binary_text_goes_out_as_it_came() -> None:
    wire = b"\x02\x08\x02\xff\xfe\x01\x80"  # reply-to and app-id
    back = decode(wire)
    assert back.reply_to == "\udcff\udcfe"
    assert encode(back) == wire


def test_an_expiration_that_is_no_number_is_left_out() -> None:
    assert decode(b"\x01\x00\x03abc") == Properties()
    assert decode(b"\x01\x80\x02-1\x01m") == Properties(message_id="m")


def test_a_headers_table_that_cannot_be_read_is_given_as_it_is() -> None:
    wire = b"\x20\x80\x00\x00\x00\x04\x01aZZ\x01m"
    assert decode(wire) == Properties(headers={"x-undecodable-headers": b"\x01aZZ"}, message_id="m")


def test_more_words_of_flags_are_passed_over() -> None:
    assert decode(b"\x00\x81\x00\x02\x01m").message_id == "m"


def test_what_is_cut_off_keeps_what_came_before() -> None:
    wire = encode(FULL)
    whole = 0
    for end in range(len(wire) + 1):
        back = decode(wire[:end])
        same = sum(getattr(back, name) == getattr(FULL, name) for name in FULL.__slots__)
        assert same >= whole
        whole = same
    assert whole == len(FULL.__slots__)


@given(st.binary(max_size=100))
def test_whatever_a_peer_writes_can_be_read_and_written(wire: bytes) -> None:
    back = decode(wire)
    try:
        again = encode(back)
    except ValueError:
        return  # a number that a peer may write, and we would not
    assert encode(decode(again)) == again


short = st.text(st.characters(codec="utf-8"), max_size=60).map(lambda text: text or None)


@given(
    st.builds(
        Properties,
        content_type=short,
        content_encoding=short,
        headers=st.dictionaries(st.text(max_size=5), st.integers(0, 9) | st.binary(max_size=3)),
        durable=st.none() | st.booleans(),
        priority=st.none() | st.integers(0, 255),
        message_id=short,
        correlation_id=short,
        reply_to=short,
        ttl=st.none() | st.integers(0, 2**32 - 1).map(lambda ms: ms / 1000),
        timestamp=st.none() | st.integers(0, 2**40).map(float),
        type=short,
        user_id=short,
        app_id=short,
    )
)
def test_round_trip(said: Properties) -> None:
    assert decode(encode(said)) == said
