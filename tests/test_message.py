"""What users may send, and what arrives."""

from __future__ import annotations

import array
import mmap
from typing import Any

import pytest

import hypersocket as hs
from hypersocket._message import from_frames, size_of, to_bytes, to_message
from tests.sockets.worlds import joined

BYTES_LIKE = {
    "bytes": (b"data", b"data"),
    "empty": (b"", b""),
    "bytearray": (bytearray(b"data"), b"data"),
    "memoryview": (memoryview(b"data"), b"data"),
    "strided": (memoryview(b"d.a.t.a.")[::2], b"data"),
    "reversed": (memoryview(b"atad")[::-1], b"data"),
    "empty view": (memoryview(b""), b""),
    "wide items": (
        memoryview(array.array("I", [1, 2**31])),
        array.array("I", [1, 2**31]).tobytes(),
    ),
    "array": (array.array("d", [0.5]), array.array("d", [0.5]).tobytes()),
    "two dimensions": (memoryview(bytes(range(6))).cast("B", (2, 3)), bytes(range(6))),
    "large": (bytes(70_000), bytes(70_000)),
}
bytes_like = pytest.mark.parametrize(("data", "arrives"), BYTES_LIKE.values(), ids=BYTES_LIKE)


@bytes_like
async def test_bytes_like_objects_are_sent(data: Any, arrives: bytes, tmp_path: Any) -> None:
    for endpoint in ("inproc://x", "tcp://127.0.0.1:*"):
        async with joined(hs.Pull(), hs.Push(), endpoint) as (pull, push):
            await push.send(data)
            push.send_nowait(data)
            await push.send_many([data, data])
            for _ in range(4):
                got = await pull.recv()
                assert got == arrives
                assert type(got) is bytes
            await push.send_multipart([data, b"", data])
            frames = await pull.recv_multipart()
            assert frames == [arrives, b"", arrives]
            assert {type(frame) for frame in frames} == {bytes}
            await push.send_multipart(iter([data]))
            assert await pull.recv() == arrives


def test_bytes_are_not_copied() -> None:
    data = b"x" * 1000
    assert to_bytes(data) is data
    assert to_message([data]) is data


def test_a_subclass_of_bytes_becomes_bytes() -> None:
    class Mine(bytes):
        pass

    assert type(to_bytes(Mine(b"x"))) is bytes


def test_a_mapped_file_is_bytes_like() -> None:
    with mmap.mmap(-1, 16) as mapped:
        mapped[:4] = b"data"
        assert to_bytes(mapped)[:4] == b"data"


@pytest.mark.parametrize(
    "wrong",
    [1, None, 1.5, [b"x"], (b"x",), {"a": 1}, object()],
    ids=lambda wrong: type(wrong).__name__,
)
def test_other_things_are_named(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"bytes-like object, not {type(wrong).__name__}$"):
        to_bytes(wrong)


async def test_text_is_told_to_be_encoded() -> None:
    async with joined(hs.Pair(), hs.Pair()) as (a, b):
        text: Any = "text"
        with pytest.raises(TypeError, match=r"encode it first, for instance with \.encode\(\)"):
            await a.send(text)
        with pytest.raises(TypeError, match="encode"):
            a.send_nowait(text)
        with pytest.raises(TypeError, match="encode"):
            await a.send_multipart([b"good", text])
        with pytest.raises(TypeError, match="encode"):
            await a.send_many([b"good", text])
        await a.send(b"end")
        assert await b.recv() == b"end"


@pytest.mark.parametrize("wrong", [b"frames", bytearray(b"x"), memoryview(b"x"), "text"], ids=type)
async def test_a_multipart_message_is_a_sequence(wrong: Any) -> None:
    async with joined(hs.Pair(), hs.Pair()) as (a, _):
        with pytest.raises(TypeError, match=r"use send\(\) for a single-part message"):
            await a.send_multipart(wrong)
        with pytest.raises(TypeError, match=r"use send\(\) for a single-part message"):
            a.send_multipart_nowait(wrong)
        with pytest.raises(ValueError, match=r"at least one frame; an empty message is \[b''\]"):
            await a.send_multipart([])


async def test_what_the_caller_changes_after_sending_does_not_change_what_arrives() -> None:
    for endpoint in ("inproc://x", "tcp://127.0.0.1:*"):
        async with joined(hs.Pair(), hs.Pair(), endpoint) as (a, b):
            data, frames = bytearray(b"data"), [bytearray(b"one"), bytearray(b"two")]
            await a.send(data)
            await a.send_many([data, memoryview(data)])
            await a.send_multipart(frames)
            data[:] = b"XXXX"
            frames[0][:] = b"XXX"
            frames.append(bytearray(b"more"))
            assert [await b.recv() for _ in range(3)] == [b"data"] * 3
            assert await b.recv_multipart() == [b"one", b"two"]


async def test_what_the_receiver_changes_stays_with_it() -> None:
    async with joined(hs.Router(), hs.Dealer(routing_id=b"d")) as (router, dealer):
        frames = [b"d", b"a", b"b"]
        await router.send_multipart(frames)
        (await dealer.recv_multipart()).clear()
        assert frames == [b"d", b"a", b"b"]
        await dealer.send_multipart(frames)
        (await router.recv_multipart()).clear()
        assert frames == [b"d", b"a", b"b"]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65535, 65536, 1 << 20])
async def test_sizes(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    async with joined(hs.Pair(), hs.Pair(), "tcp://127.0.0.1:*") as (a, b):
        await a.send(data[:size])
        await a.send_multipart([data[:size], b"", data[:size]])
        assert await b.recv() == data[:size]
        assert await b.recv_multipart() == [data[:size], b"", data[:size]]


def test_one_form_for_each_message() -> None:
    assert to_message([b"x"]) == from_frames([b"x"]) == b"x"
    assert to_message([b"x", b"y"]) == [b"x", b"y"]
    assert size_of(b"123") == size_of([b"1", b"", b"23"]) == 3
