"""Frames to one body and back, and headers that are not what they should be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersocket.devices.amqp_gateway.messages import _multipart
from hypersocket.devices.amqp_gateway.messages._multipart import (
    MAX_HEADER,
    DamagedFrames,
    join,
    split,
    split_or_whole,
)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20))
def test_frames_come_out_as_they_went_in(frames: list[bytes]) -> None:
    body, header = join(frames)
    assert split(body, header) == frames
    assert (header is None) == (len(frames) == 1)


def test_the_header_is_the_lengths() -> None:
    assert join([b"hello", b"", b"abc"]) == (b"helloabc", "5,0,3")


def test_one_frame_is_the_body_itself() -> None:
    frame = b"x" * 100
    body, header = join([frame])
    assert body is frame
    assert header is None
    assert split(frame, None)[0] is frame


def test_no_frames_are_no_message() -> None:
    with pytest.raises(ValueError, match="at least one"):
        join([])


def test_too_many_frames_for_one_header() -> None:
    most = (MAX_HEADER + 1) // 2
    assert split(*join([b""] * most)) == [b""] * most
    with pytest.raises(ValueError, match="frames: the list of their lengths"):
        join([b""] * (most + 1))


DAMAGED = [
    ("", "''"),
    ("1", "counts 1"),
    ("3,4", "counts 7 bytes, and the body has 6"),
    ("3,,3", "''"),
    ("-1,7", "'-1'"),
    ("+1,5", r"'\+1'"),
    ("1_0", "'1_0'"),
    (" 3,3", "' 3'"),
    ("٣,3", "where a length should be"),
    ("²,4", "where a length should be"),
    ("a,b", "'a'"),
    ("9" * 5000, "where a length should be"),
    ("0," * MAX_HEADER + "6", "is over"),
    (6, "type int, not text"),
    ([3, 3], "type list, not text"),
    ({"a": 1}, "type dict"),
    (True, "type bool"),
    (b"\xff\xfe", "where a length should be"),
]


@pytest.mark.parametrize(("header", "said"), DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_header_is_told_and_the_body_is_one_frame(header: object, said: str) -> None:
    with pytest.raises(DamagedFrames, match=said):
        split(b"foobar", header)
    frames, damage = split_or_whole(b"foobar", header)
    assert frames == [b"foobar"]
    assert _multipart.HEADER in damage


def test_a_header_of_bytes_counts_as_text() -> None:
    assert split(b"foobar", b"3,3") == [b"foo", b"bar"]


@given(st.binary(max_size=20), st.one_of(st.text(max_size=20), st.binary(max_size=20)))
def test_any_header_gives_the_same_bytes(body: bytes, header: object) -> None:
    frames, _ = split_or_whole(body, header)
    assert b"".join(frames) == body
