"""PUSH and PULL (RFC 30), high-water marks, conflation and batches."""

from __future__ import annotations

import sys

import pytest
import trio
import trio.testing

import hypersocket as hs

from .worlds import drain, eventually, fill, joined, would_block


async def test_messages_arrive_in_order(anywhere: str) -> None:
    async with (
        joined(hs.Pull(), hs.Push(), anywhere) as (pull, push),
        trio.open_nursery() as nursery,
    ):
        messages = [b"%d" % n for n in range(5000)]

        async def send() -> None:
            for message in messages:
                await push.send(message)

        nursery.start_soon(send)
        assert [await pull.recv() for _ in messages] == messages


async def test_push_spreads_and_skips_the_full() -> None:
    async with (
        hs.Pull(bind="inproc://narrow", rcvhwm=1) as narrow,
        hs.Pull(bind="inproc://wide", rcvhwm=4) as wide,
        hs.Push(connect=["inproc://narrow", "inproc://wide"], sndhwm=1, linger=0) as push,
    ):
        assert fill(push.send_nowait) == 7
        assert drain(wide.recv_nowait) == [b"1", b"3", b"4", b"5", b"6"]
        assert fill(push.send_nowait) == 5  # the narrow one is still full
        assert drain(narrow.recv_nowait) == [b"0", b"2"]
        assert not push.stats().dropped


async def test_pull_collects_in_turn() -> None:
    async with (
        hs.Pull(bind="inproc://p") as pull,
        hs.Push(connect="inproc://p") as a,
        hs.Push(connect="inproc://p") as b,
    ):
        await a.send_many([b"a0", b"a1", b"a2"])
        await b.send_many([b"b0", b"b1"])
        assert await pull.recv_many() == [b"a0", b"b0", b"a1", b"b1", b"a2"]


@pytest.mark.parametrize(("sndhwm", "rcvhwm"), [(1, 1), (3, 2), (10, 1), (1, 10)])
async def test_high_water_marks_add_up(sndhwm: int, rcvhwm: int) -> None:
    async with joined(hs.Pull(rcvhwm=rcvhwm), hs.Push(sndhwm=sndhwm, linger=0)) as (pull, push):
        assert fill(push.send_nowait) == sndhwm + rcvhwm
        assert (push.stats().queued_out, pull.stats().queued_in) == (sndhwm, rcvhwm)
        assert await would_block(lambda: push.send(b""))
        assert await pull.recv() == b"0"
        while not (more := fill(push.send_nowait)):
            await pull.recv()
        assert more <= (rcvhwm + 1) // 2
        assert push.stats().queued_out == sndhwm


async def test_high_water_marks_bound_what_tcp_takes() -> None:
    async with joined(hs.Pull(rcvhwm=3), hs.Push(sndhwm=5), "tcp://127.0.0.1:*") as (pull, push):
        sent = 0
        while not await would_block(lambda: push.send(bytes(1 << 20))):
            sent += 1
            assert sent < 200
        assert push.stats().queued_out <= 5
        assert pull.stats().queued_in <= 3
        for _ in range(sent):
            await pull.recv()
        assert not push.stats().dropped
        assert push.stats().messages_out == pull.stats().messages_in == sent


async def test_zero_is_no_mark() -> None:
    async with joined(hs.Pull(rcvhwm=0), hs.Push(sndhwm=0)) as (pull, push):
        for _ in range(5000):
            push.send_nowait(b"")
        assert pull.stats().queued_in == 5000


async def test_push_waits_without_peers_and_keeps_what_it_took() -> None:
    async with hs.Push(sndhwm=2) as push:
        assert await would_block(lambda: push.send(b""))
        await push.connect("inproc://later")
        assert fill(push.send_nowait) == 2
        assert await would_block(lambda: push.send(b""))
        async with hs.Pull(bind="inproc://later") as pull:
            assert drain(pull.recv_nowait) == [b"0", b"1"]


async def test_what_a_peer_that_left_had_queued_is_counted() -> None:
    async with hs.Push(bind="inproc://p", sndhwm=4) as push:
        async with hs.Pull(connect="inproc://p", rcvhwm=1):
            assert fill(push.send_nowait) == 5
        assert push.stats().drops == {hs.DropReason.PEER_GONE: 4}
        with pytest.raises(trio.WouldBlock):
            push.send_nowait(b"")


# Conflation


@pytest.mark.parametrize("side", ["sender", "receiver"])
async def test_conflate_keeps_the_newest(side: str) -> None:
    push = hs.Push(connect="inproc://p", conflate=side == "sender")
    async with push:
        pull = hs.Pull(conflate=side == "receiver")
        if side == "receiver":
            await pull.__aenter__()
            await pull.bind("inproc://p")
        for number in range(5):
            push.send_nowait(b"%d" % number)
        for number in range(5):
            push.send_multipart_nowait([b"%d" % number, b"part"])
        if side == "sender":
            await pull.__aenter__()
            await pull.bind("inproc://p")
        assert await pull.recv_multipart() == [b"4", b"part"]
        assert not drain(pull.recv_nowait)
        loser = push if side == "sender" else pull
        assert loser.stats().drops == {hs.DropReason.CONFLATED: 9}
        await pull.__aexit__(None, None, None)


# Batches


async def test_batches_keep_their_order(anywhere: str) -> None:
    async with joined(hs.Pull(), hs.Push(), anywhere) as (pull, push):
        await push.send(b"before")
        await push.send_many([b"1", bytearray(b"2"), memoryview(b"3")])
        await push.send_many(b"%d" % n for n in range(4, 6))
        await push.send_many([])
        await push.send(b"after")
        got: list[bytes] = []
        while len(got) < 7:
            got += await pull.recv_many(max=2)
        assert got == [b"before", b"1", b"2", b"3", b"4", b"5", b"after"]


@pytest.mark.parametrize("bad", [b"x", bytearray(b"x"), memoryview(b"x"), "text"])
async def test_a_batch_is_a_sequence(bad: object) -> None:
    async with joined(hs.Pull(), hs.Push()) as (pull, push):
        with pytest.raises(TypeError, match="a sequence of messages"):
            await push.send_many(bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="encode"):
            await push.send_many([b"good", "bad"])  # type: ignore[list-item]
        assert not drain(pull.recv_nowait)


async def test_a_batch_is_accepted_as_a_whole() -> None:
    async with joined(hs.Pull(rcvhwm=2), hs.Push(sndhwm=3)) as (pull, push):
        await push.send_many([b"0", b"1", b"2", b"3"])  # two of them are with the other side
        async with trio.open_nursery() as nursery:
            nursery.start_soon(push.send_many, [b"4", b"5"])
            await trio.testing.wait_all_tasks_blocked()
            assert push.stats().queued_out == 2  # room for one is not enough
            with pytest.raises(trio.WouldBlock):
                push.send_nowait(b"not before the batch")
            assert [await pull.recv() for _ in range(6)] == [b"%d" % n for n in range(6)]


async def test_a_batch_above_the_mark_waits_for_an_empty_queue() -> None:
    async with joined(hs.Pull(rcvhwm=1), hs.Push(sndhwm=2)) as (pull, push):
        await push.send_many([b"%d" % n for n in range(9)])
        assert push.stats().queued_out == 8
        async with trio.open_nursery() as nursery:
            nursery.start_soon(push.send_many, [b"%d" % n for n in range(9, 18)])
            for number in range(18):
                if number < 8:
                    await trio.testing.wait_all_tasks_blocked()
                    assert push.stats().messages_out + push.stats().queued_out == 9
                assert await pull.recv() == b"%d" % number


async def test_a_cancelled_batch_sent_none() -> None:
    async with joined(hs.Pull(rcvhwm=1), hs.Push(sndhwm=2)) as (pull, push):
        await push.send_many([b"0", b"1"])
        assert await would_block(lambda: push.send_many([b"x", b"y", b"z"]))
        await push.send(b"2")
        assert [await pull.recv() for _ in range(3)] == [b"0", b"1", b"2"]
        assert not drain(pull.recv_nowait)


async def test_a_batch_is_spread_over_peers() -> None:
    async with (
        hs.Pull(bind="inproc://a", rcvhwm=2) as a,
        hs.Pull(bind="inproc://b", rcvhwm=2) as b,
        hs.Push(connect=["inproc://a", "inproc://b"], sndhwm=2) as push,
    ):
        await push.send_many([b"%d" % n for n in range(6)])
        assert drain(a.recv_nowait) == [b"0", b"2", b"4"]
        assert drain(b.recv_nowait) == [b"1", b"3", b"5"]


@pytest.mark.parametrize("most", [sys.maxsize, 1 << 70])
async def test_recv_many_with_a_bound_beyond_all_bounds(most: int) -> None:
    async with joined(hs.Pull(), hs.Push()) as (pull, push):
        await push.send_many([b"1", b"2", b"3"])
        assert await pull.recv() == b"1"
        assert await pull.recv_many(max=most) == [b"2", b"3"]


async def test_recv_many_takes_what_is_there_up_to_a_multipart_message() -> None:
    async with joined(hs.Pull(), hs.Push()) as (pull, push):
        await push.send_many([b"1", b"2"])
        await push.send_multipart([b"3", b"3"])
        await push.send(b"4")
        assert await pull.recv_many() == [b"1", b"2"]
        for call in (pull.recv_many, pull.recv):
            for _ in range(2):
                with pytest.raises(hs.MultipartError, match="2 parts: take it with recv_multipart"):
                    await call()
        with pytest.raises(hs.MultipartError):
            pull.recv_nowait()
        assert pull.stats().queued_in == 2
        assert await pull.recv_multipart() == [b"3", b"3"]
        assert await pull.recv_multipart() == [b"4"]
        assert await would_block(pull.recv_many)
        for bad in (0, -1):
            with pytest.raises(ValueError, match="expected at least 1"):
                await pull.recv_many(max=bad)


async def test_waiting_for_one_part_when_several_come() -> None:
    async with joined(hs.Pull(), hs.Push()) as (pull, push), trio.open_nursery() as nursery:
        met = []

        async def receive() -> None:
            with pytest.raises(hs.MultipartError):
                await pull.recv()
            met.append(await pull.recv_multipart())

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        await push.send_multipart([b"a", b"b"])
        await trio.testing.wait_all_tasks_blocked()
        assert met == [[b"a", b"b"]]


# Endpoints that end


async def test_received_messages_stay_readable(anywhere: str) -> None:
    async with joined(hs.Pull(), hs.Push(), anywhere) as (pull, push):
        await push.send_many([b"0", b"1"])
        await eventually(lambda: pull.stats().messages_in == 2)
        await pull.unbind(pull.endpoints[0])
        assert (pull.endpoints, pull.stats().peers) == ((), ())
        assert pull.stats().queued_in == 2
        assert await pull.recv_many() == [b"0", b"1"]
        with pytest.raises(ValueError, match="not bound to 'x', but to nothing"):
            await pull.unbind("x")


async def test_disconnect_writes_what_was_sent(anywhere: str) -> None:
    async with joined(hs.Pull(), hs.Push(), anywhere) as (pull, push):
        await push.send_many([b"%d" % n for n in range(100)])
        await push.disconnect(pull.endpoints[0])
        with pytest.raises(trio.WouldBlock):
            push.send_nowait(b"")
        assert [await pull.recv() for _ in range(100)] == [b"%d" % n for n in range(100)]
        assert push.stats().messages_out == 100
