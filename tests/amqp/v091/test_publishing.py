"""What a publication looks like on the wire; pamqp reads it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import body, commands, header

from hypersocket.amqp import NO_PROPERTIES, Properties, Publication, Target
from hypersocket.amqp.v091._publishing import Publisher

from .peers import publication, read


def packed(
    publications: list[Publication], frame_max: int = 4096, **options: Any
) -> tuple[list[Any], list[tuple[Publication, str]]]:
    publisher = Publisher(7, frame_max, **({"mandatory": True, "user_id": None} | options))
    parts: list[bytes | memoryview] = []
    size, refused = publisher.pack(publications, parts)
    data = b"".join(parts)
    assert size == len(data)
    at = 0
    while at < len(data):  # no frame is larger than was agreed on, and all are of this channel
        assert int.from_bytes(data[at + 1 : at + 3], "big") == 7
        length = 8 + int.from_bytes(data[at + 3 : at + 7], "big")
        assert length <= frame_max
        at += length
    return read(data), refused


def test_one_message() -> None:
    (method, head, data), _ = packed(
        [Publication(Target("ex", "k"), b"hello", Properties(content_type="text/plain"))]
    )
    assert isinstance(method, commands.Basic.Publish)
    assert (method.exchange, method.routing_key) == ("ex", "k")
    assert method.mandatory
    assert not method.immediate
    assert isinstance(head, header.ContentHeader)
    assert head.body_size == 5
    assert head.properties.content_type == "text/plain"
    assert isinstance(data, body.ContentBody)
    assert data.value == b"hello"


def test_without_mandatory() -> None:
    (method, *_), _ = packed([publication()], mandatory=False)
    assert not method.mandatory


def test_an_empty_body_has_no_frame() -> None:
    frames, _ = packed([publication(b""), publication(b"")])
    assert [type(one) for one in frames] == [commands.Basic.Publish, header.ContentHeader] * 2


@pytest.mark.parametrize("size", [4087, 4088, 4089, 8176, 8177, 100_000])
def test_a_large_body_is_divided(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    (_, head, *pieces), _ = packed([publication(data)])
    assert head.body_size == size
    assert b"".join(piece.value for piece in pieces) == data
    assert len(pieces) == -(-size // 4088)


def test_what_cannot_be_carried_harms_nothing_else() -> None:
    long_key = publication(key="k" * 256)
    big = publication(properties=Properties(headers={"n": 2**70}))
    odd = publication(properties=Properties(headers={"n": object()}))
    address = Publication(Target(address="/queue/q"), b"")
    good = [publication(b"1"), publication(b"2"), publication(b"3")]
    frames, refused = packed([good[0], long_key, big, good[1], odd, address, good[2]])
    assert [one.value for one in frames if isinstance(one, body.ContentBody)] == [b"1", b"2", b"3"]
    assert [one for one, _ in refused] == [long_key, big, odd, address]
    assert "routing key has 256 bytes" in refused[0][1]
    assert "headers['n']" in refused[1][1]
    assert "object" in refused[2][1]
    assert "1.0" in refused[3][1]


def test_user_id_must_be_ours_if_we_know_it() -> None:
    mine = publication(properties=Properties(user_id="me"))
    other = publication(properties=Properties(user_id="you"))
    frames, refused = packed([mine, other, mine], user_id="me")
    assert refused == [(other, "user_id = 'you': 'me' is logged in")]
    assert len(frames) == 6
    assert packed([other], user_id=None)[1] == []


def test_a_message_like_a_refused_one_is_refused_too() -> None:
    said = Properties(priority=300)
    target = Target(routing_key="k")
    two = [Publication(target, b"", said), Publication(target, b"", said)]
    frames, refused = packed(two)
    assert frames == []
    assert [one for one, _ in refused] == two


targets = st.builds(Target, st.sampled_from(["", "ex"]), st.sampled_from(["a", "b", "c" * 255]))
sayings = st.sampled_from(
    [NO_PROPERTIES, Properties(message_id="m"), Properties(durable=True), Properties(priority=999)]
)


@given(st.lists(st.builds(Publication, targets, st.binary(max_size=9000), sayings), max_size=12))
def test_whatever_follows_whatever(publications: list[Publication]) -> None:
    frames, refused = packed(publications)
    good = [one for one in publications if one.properties.priority is None]
    assert [one for one, _ in refused] == [
        one for one in publications if one.properties.priority is not None
    ]
    seen: list[tuple[str, str, bytes, Any]] = []
    for frame in frames:
        if isinstance(frame, commands.Basic.Publish):
            seen.append((frame.exchange, frame.routing_key, b"", None))
        elif isinstance(frame, header.ContentHeader):
            seen[-1] = (*seen[-1][:3], frame.properties)
        else:
            seen[-1] = (*seen[-1][:2], seen[-1][2] + frame.value, seen[-1][3])
    assert len(seen) == len(good)
    for (exchange, key, data, said), one in zip(seen, good, strict=True):
        assert (exchange, key, data) == (one.target.exchange, one.target.routing_key, one.body)
        assert (said.message_id or None) == one.properties.message_id
        assert (said.delivery_mode == 2) == (one.properties.durable is True)


def test_many_routing_keys_are_not_all_remembered() -> None:
    publisher = Publisher(1, 4096, mandatory=True, user_id=None)
    for n in range(5000):
        publisher.pack([publication(key=f"key.{n}")], [])
    assert len(publisher._methods) <= 1024
