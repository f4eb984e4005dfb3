"""Metadata frames to properties and back: complete on the way in, strict on the way out."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersocket.amqp import NO_PROPERTIES, Properties, Target
from hypersocket.devices.amqp_gateway._client import ProtocolName
from hypersocket.devices.amqp_gateway._errors import GatewayError
from hypersocket.devices.amqp_gateway._spec import Metadata, RouteSocket, RouteSpec
from hypersocket.devices.amqp_gateway.messages._metadata import (
    MAX_FRAME,
    MetadataError,
    PropertyMap,
    Said,
)
from hypersocket.devices.amqp_gateway.messages._values import Tagger, untag

FORMATS: tuple[Metadata, ...] = ("json", "msgpack")
VIA = {"x-hypersocket-via": "gw"}
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


@dataclass
class Came:
    """A delivery, so far as the mapping looks at it."""

    properties: Properties = NO_PROPERTIES
    target: Target = field(default_factory=lambda: Target("ex", "key"))
    redelivered: bool = False
    delivery_count: int | None = None
    counted: bool = True
    body: bytes = b""


def mapping(
    metadata: Metadata = "json", protocol: ProtocolName = "0-9-1", **more: Any
) -> PropertyMap:
    socket = RouteSocket(type="PULL", bind=("inproc://x",))
    spec = RouteSpec(name="r", kind="out", socket=socket, metadata=metadata, **more)
    return PropertyMap(spec, "gw", protocol)


def read(text: object, protocol: ProtocolName = "0-9-1", **more: Any) -> Said:
    frame = text if isinstance(text, bytes) else json.dumps(text).encode()
    return mapping("json", protocol, **more).read(frame)


# --- round trips --------------------------------------------------------------------------

text = st.text(max_size=20)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    text,
    st.binary(max_size=20),
    st.uuids(),
    st.datetimes(timezones=st.just(UTC)),
    st.decimals(allow_nan=False, allow_infinity=False),
)
keys = st.one_of(text, st.sampled_from(["base64", "uuid", "table", "map", "float", "datetime"]))
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)


@given(values)
def test_json_says_any_value(value: Any) -> None:
    assert untag(json.loads(json.dumps(Tagger(json=True).tag(value), allow_nan=False))) == value


@given(values)
def test_msgpack_says_any_value(value: Any) -> None:
    msgpack = pytest.importorskip("msgpack")
    packed = msgpack.packb(Tagger(json=False).tag(value), use_bin_type=True)
    assert untag(msgpack.unpackb(packed, raw=False, strict_map_key=False)) == value


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_floats_that_json_has_not(value: float) -> None:
    tagged = json.loads(json.dumps(Tagger(json=True).tag(value), allow_nan=False))
    assert str(untag(tagged)) == str(value)


ascii_text = st.text(st.characters(max_codepoint=126, min_codepoint=32), min_size=1, max_size=20)
short = st.text(min_size=1, max_size=60)
identifiers = st.one_of(short, st.binary(min_size=1, max_size=255))
new_identifiers = st.one_of(identifiers, st.uuids(), st.integers(0, 2**64 - 1))
common: dict[str, Any] = {
    "content_type": ascii_text,
    "content_encoding": ascii_text,
    "durable": st.booleans(),
    "priority": st.integers(0, 255),
    "reply_to": short,
    "ttl": st.floats(0, 4_000_000),
    "timestamp": st.floats(0, 253_402_300_799),
    "type": short,
    "user_id": short,
    "app_id": short,
}
old = st.fixed_dictionaries(
    {},
    optional={
        **common,
        "headers": st.dictionaries(
            text, values.filter(lambda v: _has_no(v, (UUID, Decimal))), max_size=4
        ),
        "message_id": identifiers,
        "correlation_id": identifiers,
    },
)
symbols = st.text(st.characters(codec="ascii"), max_size=20)
new = st.fixed_dictionaries(
    {},
    optional={
        **common,
        "headers": st.dictionaries(text, leaves.filter(lambda v: _has_no(v, (Decimal,)))),
        "annotations": st.dictionaries(symbols, leaves.filter(lambda v: _has_no(v, (Decimal,)))),
        "message_id": new_identifiers,
        "correlation_id": new_identifiers,
    },
)


def _has_no(value: Any, types: tuple[type, ...]) -> bool:
    if isinstance(value, dict):
        return all(_has_no(one, types) for one in value.values())
    if isinstance(value, list):
        return all(_has_no(one, types) for one in value)
    return not isinstance(value, types)


@pytest.mark.parametrize("metadata", FORMATS)
@given(said=old)
def test_what_came_over_0_9_1_goes_out_as_it_was(metadata: Metadata, said: dict[str, Any]) -> None:
    came = Properties(**said)
    one = mapping(metadata)
    assert one.read(one.frame(Came(came))).properties == came


@pytest.mark.parametrize("metadata", FORMATS)
@given(said=new)
def test_what_came_over_1_0_goes_out_as_it_was(metadata: Metadata, said: dict[str, Any]) -> None:
    came = Properties(**said)
    one = mapping(metadata, "1.0")
    assert one.read(one.frame(Came(came))).properties == came


# --- in -----------------------------------------------------------------------------------


def test_a_frame_has_what_is_said_and_nothing_else() -> None:
    assert json.loads(mapping().frame(Came())) == {
        "exchange": "ex",
        "routing_key": "key",
        "redelivered": False,
    }


def test_a_whole_frame() -> None:
    came = Came(
        Properties(
            content_type="text/plain",
            headers={"n": 1, "b": b"\0\1", "id": ID, "at": WHEN, "deep": {"l": [1, None, True]}},
            durable=False,
            correlation_id=b"\xff",
            ttl=1.5,
        ),
        Target(address="/queue/q", routing_key="subject"),
        redelivered=True,
        delivery_count=3,
    )
    assert json.loads(mapping(protocol="1.0").frame(came)) == {
        "content_type": "text/plain",
        "headers": {
            "n": 1,
            "b": {"base64": "AAE="},
            "id": {"uuid": str(ID)},
            "at": {"datetime": "2026-01-02T03:04:05+00:00"},
            "deep": {"l": [1, None, True]},
        },
        "durable": False,
        "correlation_id": {"base64": "/w=="},
        "ttl": 1.5,
        "address": "/queue/q",
        "routing_key": "subject",
        "redelivered": True,
        "delivery_count": 3,
    }


def test_the_lengths_of_frames_are_not_told() -> None:
    came = Came(Properties(headers={"x-hypersocket-frames": "1,2", **VIA}))
    assert json.loads(mapping().frame(came))["headers"] == VIA
    came = Came(Properties(headers={"x-hypersocket-frames": "1,2"}))
    assert "headers" not in json.loads(mapping().frame(came))


ODD: list[Any] = [
    "\udcff",
    {"\udcff": 1},
    {1: "a", b"b": 2},
    {(1, 2): 3},
    bytearray(b"x"),
    memoryview(b"x"),
    2**64 - 1,
    object(),
    datetime(2026, 1, 2),  # noqa: DTZ001 - such came from a broker
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    Decimal("NaN"),
    float("nan"),
]


@pytest.mark.parametrize("metadata", FORMATS)
@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_nothing_that_comes_makes_an_error(metadata: Metadata, odd: Any) -> None:
    properties = Properties(headers={"odd": odd, "l": [odd]}, content_type=odd, message_id=odd)
    assert mapping(metadata).frame(Came(properties))


@pytest.mark.parametrize("metadata", FORMATS)
def test_tables_in_tables_without_end_are_cut(metadata: Metadata) -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"d": deep}
    assert b"nested too deeply" in mapping(metadata).frame(Came(Properties(headers=deep)))


def test_text_that_is_none_comes_as_bytes() -> None:
    came = Came(Properties(headers={"a": "\udcff"}))
    assert json.loads(mapping().frame(came))["headers"] == {"a": {"base64": "/w=="}}


# --- out ----------------------------------------------------------------------------------

WRONG: list[tuple[Any, str]] = [
    (b"{", "this is no Json"),
    (b"\xff", "this is no Json"),
    (b"[" * 60_000, "this is no Json"),
    (b" " * (MAX_FRAME + 1), "65537 bytes"),
    (b'{"headers": {"a": NaN}}', "NaN is no number of JSON"),
    ([], "must be a table"),
    ({"colour": "red"}, "'colour' is no property; there are content_type"),
    ({"content_type": 1}, "content_type: must be text, not a number"),
    ({"content_type": "x" * 256}, "content_type: 256 bytes; AMQP 0-9-1 has 255 at most"),
    ({"type": "å" * 128}, "type: 256 bytes"),
    ({"type": "\ud800"}, "type: .* has half a character"),
    ({"headers": []}, "headers: must be a table, not a list"),
    ({"headers": {"a": 2**63}}, "headers.a: 9223372036854775808 needs more than 64 bits"),
    ({"headers": {"a": [1, {"b": -(2**64)}]}}, r"headers.a\[1\].b: -18446744073709551616 needs"),
    ({"headers": {"a": {"base64": "§"}}}, "headers.a: .*cannot be read as such"),
    ({"headers": {"a": {"uuid": 5}}}, 'headers.a: {"uuid": ...} has text in it, not a number'),
    ({"headers": {"a": {"datetime": "2026-01-02"}}}, "headers.a: .*cannot be read"),
    (
        {"headers": {"a": {"datetime": "0001-01-01T00:00:00+01:00"}}},
        "headers.a: .*cannot be read",
    ),
    ({"headers": {"a": {"table": 1}}}, "headers.a: .* has a table in it"),
    ({"headers": {"a": {"map": [[1, 2]]}}}, "headers.a: the keys of a table must be text"),
    ({"headers": {"a": {"decimal": "1e400"}}}, "headers.a: the decimal"),
    ({"headers": {"a": {"decimal": "9999999999"}}}, "headers.a: .*more than 32 bits"),
    ({"headers": {"a": {"decimal": "x"}}}, "headers.a: .*cannot be read"),
    ({"headers": {"a": {"decimal": "1" * 5000}}}, r"headers.a: the decimal 1{40}\.\.\. needs"),
    ({"headers": {"a" * 129: 1}}, "headers: the key 'aaa.* is over 128 bytes"),
    ({"headers": {"a": "x" * 60_000}}, "headers.a: the headers are over"),
    ({"headers": {"a": [1] * 10_000}}, "over 60000 bytes here"),
    ({"durable": 1}, "durable: must be true or false, not a number"),
    ({"priority": 256}, "priority: must be a whole number of 0 to 255, not 256"),
    ({"priority": True}, "priority: .* not True"),
    ({"priority": 1.0}, "priority: .* not 1.0"),
    ({"message_id": True}, "message_id: must be text, bytes, a whole number or a UUID, not true"),
    ({"message_id": -1}, "message_id: -1 is not a number"),
    ({"message_id": "x" * 256}, "message_id: 256 bytes"),
    ({"correlation_id": {"base64": "AAAA" * 100}}, "correlation_id: 300 bytes"),
    ({"correlation_id": 1.5}, "correlation_id: must be"),
    ({"reply_to": {"base64": "AA=="}}, "reply_to: must be text, not bytes"),
    ({"ttl": "5"}, "ttl: must be seconds, a number of 0 to 4294967, not text"),
    ({"ttl": -1}, "ttl: .* not -1"),
    ({"ttl": {"float": "inf"}}, "ttl: .* not inf"),
    ({"timestamp": {"float": "nan"}}, "timestamp: .* not nan"),
    ({"timestamp": -1}, "timestamp: .* not -1"),
    ({"timestamp": 10**18}, "timestamp: .* not 10000"),
]


@pytest.mark.parametrize(("frame", "said"), WRONG, ids=range(len(WRONG)))
def test_what_cannot_be_sent_is_told_by_its_name(frame: Any, said: str) -> None:
    with pytest.raises(MetadataError, match=f"^metadata: .*{said}"):
        read(frame)


@pytest.mark.parametrize(
    "frame", [b"", b"\xc1", b"\x81\xa1", b"\x81\x90\x01", b"\x81\x01\x01", b"\x91" * 3000, b"\xc7"]
)
def test_msgpack_that_is_none(frame: bytes) -> None:
    one = mapping("msgpack")
    if not frame:
        assert one.read(frame) == Said(Properties())
        return
    with pytest.raises(MetadataError, match=r"^metadata: "):
        one.read(frame)


@given(st.binary(max_size=60))
def test_any_bytes_are_metadata_or_told(frame: bytes) -> None:
    for metadata in FORMATS:
        with contextlib.suppress(MetadataError):
            mapping(metadata).read(frame)


def test_msgpack_times_are_times() -> None:
    msgpack = pytest.importorskip("msgpack")
    frame = msgpack.packb({"headers": {"at": WHEN}}, datetime=True)
    assert mapping("msgpack").read(frame).properties.headers == {"at": WHEN}


def test_where_it_came_from_is_not_sent() -> None:
    said = read({"exchange": "a", "redelivered": True, "delivery_count": 2, "type": "t"})
    assert said.properties == Properties(type="t")
    assert said.origin == {"exchange": "a", "redelivered": True, "delivery_count": 2}


def test_null_is_not_said() -> None:
    assert read({"type": None, "headers": None}).properties == Properties()


def test_0_9_1_has_text_for_identifiers_and_one_table() -> None:
    said = read(
        {
            "message_id": {"uuid": str(ID)},
            "correlation_id": 7,
            "headers": {"a": 1, "id": {"uuid": str(ID)}},
            "annotations": {"a": 2, "x-opt": 3},
        }
    )
    assert said.properties == Properties(
        message_id=str(ID), correlation_id="7", headers={"a": 1, "x-opt": 3, "id": str(ID)}
    )


def test_1_0_has_identifiers_of_four_types_and_flat_headers() -> None:
    one = read({"message_id": {"uuid": str(ID)}, "correlation_id": 2**64 - 1}, "1.0").properties
    assert (one.message_id, one.correlation_id) == (ID, 2**64 - 1)
    assert read({"reply_to": "x" * 300}, "1.0").properties.reply_to == "x" * 300
    assert read({"headers": {"d": {"decimal": "1.10"}}}, "1.0").properties.headers == {"d": "1.10"}
    with pytest.raises(MetadataError, match=r"headers\.a: AMQP 1\.0 has no lists"):
        read({"headers": {"a": [1]}}, "1.0")
    with pytest.raises(MetadataError, match="content_type: 'å' must be ASCII"):
        read({"content_type": "å"}, "1.0")
    with pytest.raises(MetadataError, match="annotations: the key 'å' must be ASCII"):
        read({"annotations": {"å": 1}}, "1.0")


# --- what a route adds --------------------------------------------------------------------


def test_every_message_says_whom_it_came_through() -> None:
    one = mapping("none")
    assert one.plain == Properties(headers=VIA, durable=True)
    assert one.properties(None, None) is one.plain
    two = one.properties(None, "1,2")
    assert two.headers == {**VIA, "x-hypersocket-frames": "1,2"}
    assert one.properties(None, "1,2") is two


def test_remembered_properties_have_a_bound() -> None:
    one = mapping("none")
    for n in range(10_000):
        one.properties(None, f"{n},1")
    assert len(one._by_lengths) <= 256


def test_fixed_properties_go_before_what_a_message_says() -> None:
    one = mapping(properties={"type": "fixed", "headers": {"a": 1, "b": 2}}, durable=False)
    said = one.read(b'{"type": "mine", "app_id": "me", "headers": {"a": 9, "c": 3}}')
    assert one.properties(said, None) == Properties(
        type="fixed", app_id="me", durable=False, headers={"a": 1, "b": 2, "c": 3, **VIA}
    )


@pytest.mark.parametrize(
    ("route", "fixed", "said", "is_durable"),
    [
        (True, {}, b"", True),
        (False, {}, b"", False),
        (True, {}, b'{"durable": false}', False),
        (True, {"durable": False}, b'{"durable": true}', False),
        (False, {"durable": True}, b"", True),
    ],
)
def test_who_says_whether_it_is_durable(
    route: bool, fixed: dict[str, Any], said: bytes, is_durable: bool
) -> None:
    one = mapping(durable=route, properties=fixed)
    assert one.properties(one.read(said), None).durable is is_durable
    assert one.properties(None, None).durable is fixed.get("durable", route)


def test_hops_and_lengths_are_ours_to_say() -> None:
    one = mapping()
    said = one.read(b'{"headers": {"x-hypersocket-via": "a,b", "x-hypersocket-frames": "9"}}')
    assert one.properties(said, None).headers == {"x-hypersocket-via": "a,b,gw"}
    assert one.properties(said, "1,2").headers == {
        "x-hypersocket-via": "a,b,gw",
        "x-hypersocket-frames": "1,2",
    }


def test_a_route_that_adds_no_hop() -> None:
    one = mapping(hop_header=False, properties={"headers": {"x-hypersocket-via": "forged"}})
    assert one.plain.headers == {}
    assert one.properties(None, "1,2").headers == {"x-hypersocket-frames": "1,2"}
    said = one.read(b'{"headers": {"x-hypersocket-via": "a,b"}}')
    assert one.properties(said, None).headers == {"x-hypersocket-via": "a,b"}


def test_fixed_properties_that_cannot_be_sent() -> None:
    with pytest.raises(GatewayError, match="route r: properties: priority: must be"):
        mapping(properties={"priority": 300})


def test_a_time_of_a_configuration_file() -> None:
    assert mapping(properties={"timestamp": WHEN}).plain.timestamp == WHEN.timestamp()


def test_without_msgpack_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(ImportError, match=r"pip install 'hypersocket\[amqp\]'"):
        mapping("msgpack")
