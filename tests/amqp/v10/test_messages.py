"""The mapping of messages, judged by proton's own Message."""

from __future__ import annotations

import json
import uuid
from typing import Any

import proton
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypersocket.amqp import NO_PROPERTIES, Properties, Target
from hypersocket.amqp.v10 import (
    NO_QUIRKS,
    RABBITMQ,
    RABBITMQ_3,
    CodecError,
    Sections,
    encode_data,
    encode_prefix,
    quirks_of,
)

from .messages import rich_message

RICH = Properties(
    content_type="text/plain",
    content_encoding="gzip",
    headers={"a": 1, "b": "zwei", "c": 2.5, "d": True, "e": None, "f": b"raw", "g": [1, {"h": 2}]},
    annotations={"x-opt-key": "value"},
    durable=True,
    priority=7,
    message_id="m-1",
    correlation_id=uuid.UUID(int=9),
    reply_to="answers",
    ttl=1.5,
    timestamp=1_700_000_000.25,
    type="a.subject",
    user_id="guest",
    app_id="group",
)


def message(properties: Properties, body: bytes = b"body", **more: Any) -> bytes:
    return encode_prefix(properties, **more) + encode_data(body) + body


def by_proton(data: bytes) -> Any:
    found = proton.Message()
    found.decode(data)
    return found


def test_proton_reads_every_property_that_we_write() -> None:
    found = by_proton(message(RICH, to="node"))
    assert bytes(found.body) == b"body"
    assert found.inferred
    assert (found.content_type, found.content_encoding) == ("text/plain", "gzip")
    properties = dict(found.properties)
    assert bytes(properties.pop("f")) == b"raw"
    assert properties == {k: v for k, v in RICH.headers.items() if k != "f"}
    assert found.annotations == {"x-opt-key": "value"}
    assert (found.durable, found.priority, found.ttl) == (True, 7, 1.5)
    assert (found.id, found.correlation_id) == ("m-1", uuid.UUID(int=9))
    assert (found.reply_to, found.subject, found.address) == ("answers", "a.subject", "node")
    assert (found.creation_time, bytes(found.user_id), found.group_id) == (
        1_700_000_000.25,
        b"guest",
        "group",
    )


def test_what_we_write_we_read() -> None:
    sections = Sections(message(RICH, to="node"))
    assert sections.body == b"body"
    assert sections.read_properties() == RICH
    assert sections.read_target() == Target(address="node", routing_key="a.subject")
    assert sections.problem is None


def test_the_routing_key_is_the_subject_before_the_type() -> None:
    assert by_proton(message(RICH, subject="key")).subject == "key"
    assert by_proton(message(NO_PROPERTIES, subject="key")).subject == "key"


def test_we_read_every_property_that_proton_writes() -> None:
    sections = Sections(bytes(rich_message().encode()))
    assert sections.body == b"body"
    assert sections.read_properties() == Properties(
        content_type="a/b",
        content_encoding="br",
        headers={"k": 3},
        annotations={"x-opt-a": "b"},
        durable=True,
        priority=9,
        message_id=2**63,
        correlation_id=b"\xff\x00",
        reply_to="back",
        ttl=2.5,
        timestamp=12.5,
        type="sub",
        user_id="me",
        app_id="g",
    )
    assert sections.read_target() == Target(address="to", routing_key="sub")
    assert (sections.read_delivery_count(), sections.read_first_acquirer()) == (3, True)


def test_a_body_alone_has_nothing_said_of_it() -> None:
    for body in (b"", b"x" * 255, b"x" * 256, b"x" * 100_000):
        sections = Sections(message(NO_PROPERTIES, body))
        assert sections.body == body
        assert sections.read_properties() is NO_PROPERTIES
        assert sections.read_target() == Target()
        assert bytes(by_proton(message(NO_PROPERTIES, body)).body) == body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"raw", b"raw"),
        ("text ø", "text ø".encode()),
        (None, b""),
        (5, b"5"),
        (True, b"true"),
        ([1, "a", None], b'[1, "a", null]'),
        ({"k": b"\xff"}, b'{"k": {"base64": "/w=="}}'),
        ({"u": uuid.UUID(int=1)}, b'{"u": "00000000-0000-0000-0000-000000000001"}'),
        (proton.timestamp(1000), b'"1970-01-01T00:00:01+00:00"'),
        (float("inf"), b'"inf"'),
        (proton.symbol("s"), b"s"),
    ],
)
def test_values_become_bytes(body: Any, expected: bytes) -> None:
    assert Sections(bytes(proton.Message(body=body).encode())).body == expected


def test_sequences_and_several_data_sections_are_joined() -> None:
    sequence = b"\x00\x53\x76\xc0\x03\x01\x54\x01"
    assert json.loads(Sections(sequence * 2).body) == [1, 1]
    data = encode_data(b"ab") + b"ab"
    footer = b"\x00\x53\x78\xc1\x01\x00"
    assert Sections(data * 3 + footer).body == b"ababab"
    wide = b"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x75\xa0\x01x"
    assert Sections(wide).body == b"x"


@pytest.mark.parametrize(
    "raw",
    [
        b"not amqp",
        b"\x00\x53\x75",
        b"\x00\x53\x75\xa0\x09x",
        b"\x00\x53\x75\xa1\x01x",
        b"\x00\x53\x10\xa0\x00",
        b"\x00\x53\x76\xa0\x00",
        b"\x00\x53\x75\xa0\x00\x00\x53\x77\x40",
    ],
)
def test_a_message_that_cannot_be_decoded_is_given_as_it_is(raw: bytes) -> None:
    sections = Sections(raw)
    assert sections.body == raw
    assert sections.problem
    assert sections.read_properties() is NO_PROPERTIES


def test_a_section_that_cannot_be_decoded_takes_nothing_else_along() -> None:
    raw = b"\x00\x53\x73\xc0\x02\x01\xff" + encode_data(b"body") + b"body"
    sections = Sections(raw)
    assert sections.body == b"body"
    assert sections.read_properties() == Properties()
    assert sections.problem


@given(st.binary(max_size=100))
@example(b"\x00\x53\x73\xc0\x07\x02\xa1\x01\xff\xa1\x01\xff\x00\x53\x75\xa0\x00")
@example(b"\x00\x53\x70\xc0\x04\x03\x40\x41\x41\x00\x53\x75\xa0\x00")
@example(b"\x00\x53\x74\xc1\x04\x02\x45\x45\x40\x00\x53\x75\xa0\x00")
def test_no_bytes_make_reading_raise(data: bytes) -> None:
    for raw in (data, data + encode_data(b"") + b"", b"\x00\x53\x73" + data):
        sections = Sections(raw)
        sections.read_properties(RABBITMQ_3)
        sections.read_target()
        sections.read_delivery_count()
        sections.read_first_acquirer()


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        (Properties(priority=256), "priority: 256"),
        (Properties(ttl=-1), "ttl: -1"),
        (Properties(ttl=float("nan")), "ttl: nan"),
        (Properties(timestamp=float("inf")), "timestamp: inf"),
        (Properties(headers={"k": object()}), "k: a object"),
        (Properties(headers={5: "v"}), "the key 5"),  # type: ignore[dict-item]
        (Properties(annotations={"ø": 1}), "ASCII"),
        (Properties(message_id=-1), "-1 is not from 0"),
        (Properties(content_type="ø"), "ASCII"),
        (Properties(user_id="\ud800"), "UTF-8"),
        (Properties(priority="high"), "wrong type"),  # type: ignore[arg-type]
        (Properties(headers=5), "wrong type"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_said_is_refused(properties: Properties, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        encode_prefix(properties)


def test_a_ttl_beyond_the_field_is_the_most_that_it_holds() -> None:
    assert by_proton(message(Properties(ttl=1e9))).ttl == 4_294_967.295


def test_rabbitmq_3_gets_ids_that_it_can_pass_on() -> None:
    assert quirks_of("RabbitMQ", "3.10.8") is RABBITMQ_3
    assert quirks_of("RabbitMQ", "4.0.1") is RABBITMQ
    assert quirks_of("qpid", "1") is NO_QUIRKS
    ids = Properties(message_id=5, correlation_id=uuid.UUID(int=1))
    found = by_proton(message(ids, quirks=RABBITMQ_3))
    assert (found.id, found.correlation_id) == ("5", "00000000-0000-0000-0000-000000000001")
    found = by_proton(message(Properties(correlation_id=b"text"), quirks=RABBITMQ_3))
    assert found.correlation_id == "text"
    for long in (Properties(correlation_id="x" * 256), Properties(reply_to="x" * 256)):
        with pytest.raises(CodecError, match="256 bytes"):
            encode_prefix(long, quirks=RABBITMQ_3)
        encode_prefix(long)


def test_rabbitmq_3_counts_creation_times_from_0_9_1_in_seconds() -> None:
    made = proton.Message(body=b"", creation_time=1_767_323.045)
    sections = Sections(bytes(made.encode()))
    assert sections.read_properties(RABBITMQ_3).timestamp == 1_767_323_045
    assert sections.read_properties().timestamp == 1_767_323.045
    modern = Sections(message(Properties(timestamp=1_767_323_045)))
    assert modern.read_properties(RABBITMQ_3).timestamp == 1_767_323_045


def test_a_character_that_is_none_is_a_number() -> None:
    """A surrogate has no form in UTF-8: of a body that is one, the reader must not end."""
    found = Sections(b"\x00\x53\x77\x73\x00\x00\xd8\x00")
    assert (found.problem, found.body) == (None, b"55296")
    assert Sections(b"\x00\x53\x77\x73\x00\x00\x26\x3a").body == "☺".encode()


def test_a_time_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(CodecError, match="no time that 64 bits can tell"):
        encode_prefix(Properties(timestamp=1e308))
