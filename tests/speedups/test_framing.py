"""Frames, by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersocket import _errors
from hypersocket._message import Message
from hypersocket._reasons import Reason
from hypersocket._speedups.framing import (
    COMMAND,
    LARGE,
    MORE,
    FrameDecoder,
    encode_command,
    encode_messages,
    frame_header,
)

ALL = 1 << 30


def decoder(
    size: int = ALL, frames: int = 100, command: int = 1000, topic: int = -1, only: bool = False
) -> FrameDecoder:
    return FrameDecoder(size, frames, command, topic, only)


def encode(*messages: Message) -> list[bytes]:
    out: list[bytes] = []
    encode_messages(messages, out)
    return out


def cut(dec: FrameDecoder, *pieces: bytes) -> list[Any]:
    """Messages, and commands as tuples."""
    out: list[Any] = []
    for piece in pieces:
        dec.feed(piece)
        while (command := dec.decode(out, ALL)) is not None:
            out.append((command,))
    return out


def one_by_one(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


frames = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([0, 255, 256, 8191, 8192, 8193]).map(lambda size: b"z" * size),
)
messages = st.one_of(frames, st.lists(frames, min_size=2, max_size=5))


class TestEncoding:
    def test_single_part(self) -> None:
        assert encode(b"hi") == [b"\x00\x02hi"]

    def test_empty_message(self) -> None:
        assert encode(b"") == [b"\x00\x00"]

    def test_multipart(self) -> None:
        assert encode([b"a", b"", b"b"]) == [b"\x01\x01a\x01\x00\x00\x01b"]

    def test_long_size_begins_at_256(self) -> None:
        assert encode(b"x" * 255) == [b"\x00\xff" + b"x" * 255]
        assert encode(b"x" * 256) == [b"\x02" + bytes(6) + b"\x01\x00" + b"x" * 256]
        assert encode([b"x" * 256, b""]) == [
            b"\x03" + bytes(6) + b"\x01\x00" + b"x" * 256 + b"\x00\x00"
        ]

    def test_small_messages_are_joined(self) -> None:
        assert encode(b"a", b"b", [b"c", b"d"]) == [b"\x00\x01a\x00\x01b\x01\x01c\x00\x01d"]

    def test_large_bodies_are_not_copied(self) -> None:
        large = bytes(LARGE)
        head, body, tail = encode(b"before", large, b"after")
        assert head == b"\x00\x06before" + frame_header(0, LARGE)
        assert body is large
        assert tail == b"\x00\x05after"

    def test_large_frame_of_a_multipart_message_is_not_copied(self) -> None:
        large = bytes(LARGE)
        out = encode([b"id", large, b"end"])
        assert out[0] == b"\x01\x02id" + frame_header(MORE, LARGE)
        assert out[1] is large
        assert out[2] == b"\x00\x03end"

    def test_nothing(self) -> None:
        assert encode() == []

    def test_command(self) -> None:
        assert encode_command(b"\x04PING\0\0") == b"\x04\x07\x04PING\0\0"
        assert encode_command(bytes(300))[:9] == b"\x06" + bytes(6) + b"\x01\x2c"


class TestDecoding:
    @given(st.lists(messages, max_size=8), st.data())
    def test_inverse_of_encoding_however_split(
        self, sent: list[Message], data: st.DataObject
    ) -> None:
        wire = b"".join(encode(*sent))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
        pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
        assert cut(decoder(), *pieces) == sent
        assert cut(decoder(), wire) == sent

    def test_byte_by_byte(self) -> None:
        sent: list[Message] = [b"", b"one", [b"two", b"", b"y" * 300], b"x" * 9000, b"last"]
        assert cut(decoder(), *one_by_one(b"".join(encode(*sent)))) == sent

    def test_any_buffer_may_be_fed(self) -> None:
        wire = b"\x00\x01a\x00\x01b"
        dec = decoder()
        dec.feed(bytearray(wire))
        dec.feed(memoryview(wire))
        out: list[Any] = []
        assert dec.decode(out, ALL) is None
        assert out == [b"a", b"b", b"a", b"b"]
        assert all(type(message) is bytes for message in out)

    def test_a_reused_buffer_does_not_change_messages(self) -> None:
        buffer = bytearray(b"\x00\x01a\x00\x05wh")
        dec = decoder()
        dec.feed(buffer)
        buffer[:] = bytes(len(buffer))
        assert cut(dec, b"ole") == [b"a", b"whole"]

    def test_limit_leaves_the_rest(self) -> None:
        dec = decoder()
        dec.feed(b"".join(encode(b"a", [b"b", b"c"], b"d")))
        out: list[Any] = []
        assert dec.decode(out, 2) is None
        assert out == [b"a", [b"b", b"c"]]
        assert dec.has_data()
        assert dec.decode(out, 2) is None
        assert out[2:] == [b"d"]
        assert not dec.has_data()

    def test_command_between_messages(self) -> None:
        wire = b"\x00\x01a" + encode_command(b"\x01X") + b"\x00\x01b"
        assert cut(decoder(), wire) == [b"a", (b"\x01X",), b"b"]

    def test_command_between_frames(self) -> None:
        wire = b"\x01\x01a" + encode_command(b"\x01X") + b"\x00\x01b"
        assert cut(decoder(), wire) == [(b"\x01X",), [b"a", b"b"]]

    def test_long_form_of_a_short_size_is_taken(self) -> None:
        assert cut(decoder(), b"\x02" + bytes(7) + b"\x01a") == [b"a"]

    @pytest.mark.parametrize("size", [8 << 20, 100 << 20])
    def test_large_message_in_pieces(self, size: int) -> None:
        dec = decoder()
        piece = bytes(65536)
        dec.feed(b"\x00\x01a" + frame_header(0, size))
        out: list[Any] = []
        for _ in range(size // len(piece)):
            assert dec.decode(out, ALL) is None
            assert out == [b"a"]
            dec.feed(piece)
        assert dec.has_data()
        dec.feed(b"\x00\x01b")
        assert dec.decode(out, ALL) is None
        assert [len(message) for message in out] == [1, size, 1]

    def test_a_long_body_keeps_one_buffer(self) -> None:
        dec = decoder()
        dec.feed(frame_header(0, 1 << 20) + b"x")
        assert dec.decode([], ALL) is None
        body = dec._body
        for _ in range(100):
            dec.feed(b"xx")
            assert dec.decode([], ALL) is None
        assert dec._body is body
        assert body is not None
        assert len(body) == 201
        assert not dec.has_data()

    def test_end_of_a_long_body_and_more_in_one_piece(self) -> None:
        wire = b"".join(encode([b"x" * 20_000, b"y" * 20_000], b"end"))
        assert cut(decoder(), wire[:15_000], wire[15_000:]) == [
            [b"x" * 20_000, b"y" * 20_000],
            b"end",
        ]


class TestBounds:
    def drain(self, dec: FrameDecoder, pieces: list[bytes], out: list[Any]) -> None:
        for piece in pieces:
            dec.feed(piece)
            dec.decode(out, ALL)

    def fails(self, dec: FrameDecoder, wire: bytes, reason: Reason) -> list[Any]:
        results = []
        for pieces in ([wire], one_by_one(wire)):
            out: list[Any] = []
            fresh = FrameDecoder(
                dec._max_message_size,
                dec._max_frames,
                dec._max_command_size,
                -1 if dec._max_topic_message == 1 << 63 else dec._max_topic_message - 1,
                dec._topics_only,
            )
            with pytest.raises(_errors.ProtocolError) as caught:
                self.drain(fresh, pieces, out)
            assert caught.value.reason is reason
            results.append(out)
        assert results[0] == results[1]
        return results[0]

    @pytest.mark.parametrize("flags", [8, 16, 32, 64, 128, 0xFF])
    def test_reserved_bits(self, flags: int) -> None:
        good = self.fails(decoder(), b"\x00\x01a" + bytes((flags,)), Reason.BAD_FRAME)
        assert good == [b"a"]

    @pytest.mark.parametrize("flags", [COMMAND | MORE, COMMAND | MORE | 2])
    def test_command_with_more(self, flags: int) -> None:
        self.fails(decoder(), bytes((flags,)), Reason.BAD_FRAME)

    def test_topmost_bit_of_a_size(self) -> None:
        self.fails(decoder(), b"\x02\x80" + bytes(7), Reason.BAD_FRAME)

    def test_message_size_is_checked_on_the_header(self) -> None:
        assert cut(decoder(size=10), b"\x00\x0a" + bytes(10)) == [bytes(10)]
        self.fails(decoder(size=10), b"\x00\x0b", Reason.MESSAGE_TOO_LARGE)
        self.fails(
            decoder(size=10), b"\x02" + (1 << 40).to_bytes(8, "big"), Reason.MESSAGE_TOO_LARGE
        )

    def test_message_size_counts_all_frames(self) -> None:
        wire = b"\x01\x05aaaaa" + b"\x00\x05bbbbb"
        assert cut(decoder(size=10), wire) == [[b"aaaaa", b"bbbbb"]]
        self.fails(decoder(size=9), wire[:9], Reason.MESSAGE_TOO_LARGE)

    def test_the_count_starts_anew_with_each_message(self) -> None:
        wire = b"\x01\x05aaaaa" + b"\x00\x05bbbbb"
        assert cut(decoder(size=10, frames=2), wire * 3) == [[b"aaaaa", b"bbbbb"]] * 3

    def test_number_of_frames(self) -> None:
        assert cut(decoder(frames=3), b"\x01\x00" * 2 + b"\x00\x00") == [[b"", b"", b""]]
        self.fails(decoder(frames=3), b"\x01\x00" * 3 + b"\x00\x00", Reason.TOO_MANY_FRAMES)

    def test_command_size(self) -> None:
        assert cut(decoder(command=5), b"\x04\x05abcde") == [(b"abcde",)]
        self.fails(decoder(command=5), b"\x04\x06", Reason.COMMAND_TOO_LARGE)

    @pytest.mark.parametrize("first", [b"\0", b"\1"])
    def test_topics(self, first: bytes) -> None:
        fits = frame_header(0, 21) + first + bytes(20)
        assert cut(decoder(topic=20), fits) == [first + bytes(20)]
        self.fails(decoder(topic=20), frame_header(0, 22) + first, Reason.TOPIC_TOO_LONG)
        self.fails(decoder(topic=20), frame_header(0, 1 << 20) + first, Reason.TOPIC_TOO_LONG)

    def test_other_messages_are_no_topics(self) -> None:
        sent: list[Message] = [b"\2" * 9000, [b"\1" * 100, b"\0" * 100], b"\2" * 30]
        wire = b"".join(encode(*sent))
        assert cut(decoder(topic=20), wire) == sent
        assert cut(decoder(topic=20), *one_by_one(wire)) == sent

    def test_topics_only(self) -> None:
        wire = frame_header(MORE, 22)
        self.fails(decoder(topic=20, only=True), wire, Reason.TOPIC_TOO_LONG)
        self.fails(decoder(topic=20, only=True), b"\0\x16", Reason.TOPIC_TOO_LONG)

    def test_too_large_is_an_error_of_its_own(self) -> None:
        dec = decoder(size=1)
        dec.feed(b"\x00\x02")
        with pytest.raises(_errors.MessageTooLarge, match="2 bytes announced, 1 allowed"):
            dec.decode([], 1)


class TestSingleFrames:
    def test_next_frame(self) -> None:
        dec = decoder()
        dec.feed(b"\x04\x02ab\x00\x01c")
        assert dec.next_frame(2, Reason.COMMAND_TOO_LARGE) == (4, b"ab")
        assert dec.next_frame(2, Reason.COMMAND_TOO_LARGE) == (0, b"c")
        assert dec.next_frame(2, Reason.COMMAND_TOO_LARGE) is None

    def test_bound(self) -> None:
        dec = decoder()
        dec.feed(b"\x04\x03")
        with pytest.raises(_errors.ProtocolError) as caught:
            dec.next_frame(2, Reason.COMMAND_TOO_LARGE)
        assert caught.value.reason is Reason.COMMAND_TOO_LARGE

    def test_peek_and_skip(self) -> None:
        dec = decoder()
        dec.feed(b"abc")
        dec.feed(b"def")
        assert dec.peek(4) == b"abcd"
        dec.skip(4)
        assert dec.peek(4) == b"ef"

    def test_largest_frame(self) -> None:
        dec = decoder(size=5000, command=1000)
        assert dec.largest_frame() == 5000
        dec.feed(frame_header(MORE, 4500) + bytes(4500))
        dec.decode([], 1)
        assert dec.largest_frame() == 1000


@given(st.binary(max_size=60), st.integers(1, 7))
def test_any_bytes(data: bytes, piece: int) -> None:
    ends = []
    for step in (len(data) or 1, piece):
        dec = decoder(size=40, frames=2, command=10, topic=5)
        out: list[Any] = []
        try:
            for at in range(0, len(data), step):
                dec.feed(data[at : at + step])
                while (command := dec.decode(out, ALL)) is not None:
                    out.append((command,))
        except _errors.ProtocolError as error:
            out.append(error.reason)
        ends.append(out)
    assert ends[0] == ends[1]
