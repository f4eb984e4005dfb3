"""The fuzzer's target: its seeds, and all that a metadata frame may say, right or wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.fuzz_metadata import come_in, lengths, out
from fuzz.fuzz_metadata import test_one_input as one_input
from hypersocket.devices.amqp_gateway._client import ProtocolName
from hypersocket.devices.amqp_gateway.routes._letters import Letter
from tests.fuzzing import mutants_of, seeds_of

SEEDS = seeds_of("metadata")


def test_there_are_seeds() -> None:
    assert len(SEEDS) >= 16


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.stem)
def test_seed(seed: Path) -> None:
    data = seed.read_bytes()
    for how in range(0, 256, 16):
        one_input(bytes((data[0] & 0xF | how,)) + data[1:])


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.stem)
def test_mutations_of_a_seed(seed: Path) -> None:
    for mutant in mutants_of(seed, 100, first=1):
        one_input(mutant)


any_text = st.text(st.characters(), max_size=8)  # half characters, too
tagged = st.one_of(
    st.binary(max_size=6).map(lambda data: {"base64": data.hex()}),
    st.uuids().map(lambda one: {"uuid": str(one)}),
    st.datetimes().map(lambda one: {"datetime": f"{one.isoformat()}+00:00"}),
    st.decimals().map(lambda one: {"decimal": str(one)}),
    st.sampled_from(["inf", "-inf", "nan", "1"]).map(lambda one: {"float": one}),
    st.builds(lambda tag, text: {tag: text}, st.sampled_from(["base64", "map", "table"]), any_text),
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | any_text | tagged
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)
tables = st.dictionaries(any_text, values, max_size=4)
said = st.fixed_dictionaries(
    {},
    optional={
        "headers": tables,
        "annotations": tables,
        "content_type": any_text,
        "durable": st.booleans(),
        "priority": st.integers(-1, 256),
        "message_id": scalars,
        "correlation_id": scalars,
        "reply_to": any_text,
        "ttl": st.floats() | st.integers(),
        "timestamp": st.floats() | st.integers(0, 1 << 40) | tagged,
        "type": any_text,
        "user_id": any_text,
    },
)
protocols: st.SearchStrategy[ProtocolName] = st.sampled_from(["0-9-1", "1.0"])


@given(said, protocols, st.integers(0, 3))
@example({"headers": {"a": {"decimal": "1" * 5000}}}, "0-9-1", 1)
@example({"headers": {"a": {"datetime": "0001-01-01T00:00:00+00:00"}}}, "0-9-1", 1)
@example({"headers": {"a\ud800": {"decimal": "x"}}}, "0-9-1", 1)
@example({"annotations": {"å": 1}}, "1.0", 1)
def test_whatever_is_said_goes_through_or_is_refused(
    table: dict[str, Any], protocol: ProtocolName, count: int
) -> None:
    out(json.dumps(table).encode(), count, "json", protocol, "fixed")
    out(
        json.dumps(table, ensure_ascii=False).encode("utf-8", "replace"),
        2,
        "json",
        protocol,
        "template",
    )
    packed: bytes
    try:
        packed = msgpack.packb(table, unicode_errors="surrogatepass")
    except OverflowError:
        return  # msgpack has integers of 64 bits
    out(packed, count, "msgpack", protocol, "fixed")


@given(st.binary(max_size=80), protocols)
def test_whatever_comes_is_passed_on_or_refused(data: bytes, protocol: ProtocolName) -> None:
    come_in(data, "json", protocol)
    come_in(data, "msgpack", protocol)
    lengths(data)


def test_a_dead_letter_can_be_sent_whatever_its_reason_quotes() -> None:
    headers = Letter("malformed", "headers.a\ud800: no", b"").headers("gw", "r")
    assert headers["x-hypersocket-reason-text"] == "headers.a\\ud800: no"
