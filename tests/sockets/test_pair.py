"""PAIR (RFC 31)."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import hypersocket as hs

from .worlds import drain, eventually, fill, joined, next_event, would_block


async def test_both_ways(anywhere: str) -> None:
    async with joined(hs.Pair(), hs.Pair(), anywhere) as (a, b):
        for number in range(3):
            await a.send(b"a%d" % number)
            await b.send_multipart([b"b", b"%d" % number])
        await a.send_many([b"a3", b"a4"])
        assert [await b.recv() for _ in range(5)] == [b"a%d" % n for n in range(5)]
        assert [await a.recv_multipart() for _ in range(3)] == [[b"b", b"%d" % n] for n in range(3)]


async def test_a_second_peer_is_refused_and_taken_when_the_first_leaves(anywhere: str) -> None:
    async with hs.Pair(bind=anywhere) as pair, pair.monitor() as events:
        where = pair.endpoints[0]
        async with hs.Pair(reconnect_ivl=0.01, reconnect_ivl_max=0) as second:
            async with hs.Pair(connect=where) as first:
                await pair.wait_connected()
                await second.connect(where)
                failed = await next_event(events, hs.events.HandshakeFailed)
                assert failed.reason is hs.Reason.BUSY
                await pair.send(b"for the first")
                assert await first.recv() == b"for the first"
                assert len(pair.stats().peers) == 1
                assert not second.stats().peers[0].connected
            with trio.fail_after(20):
                await second.wait_connected()
                await pair.wait_connected()
            await second.send(b"from the second")
            assert await pair.recv() == b"from the second"
            await pair.send(b"for the second")
            assert await second.recv() == b"for the second"


async def test_the_marks_hold_both_ways() -> None:
    async with joined(hs.Pair(sndhwm=1, rcvhwm=2), hs.Pair(sndhwm=3, rcvhwm=4)) as (a, b):
        assert fill(a.send_nowait) == 1 + 4
        assert fill(b.send_nowait) == 3 + 2
        assert await would_block(lambda: a.send(b""))
        assert await would_block(lambda: b.send_many([b"", b""]))
        assert drain(b.recv_nowait) == [b"%d" % n for n in range(5)]
        assert drain(a.recv_nowait) == [b"%d" % n for n in range(5)]


async def test_pair_without_a_peer_waits() -> None:
    async with hs.Pair() as pair:
        assert await would_block(lambda: pair.send(b""))
        assert await would_block(pair.recv)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pair.send_many, [b"1", b"2"])
            await trio.testing.wait_all_tasks_blocked()
            await pair.connect("inproc://other")
            await trio.testing.wait_all_tasks_blocked()
        async with hs.Pair(bind="inproc://other") as other:
            assert await other.recv_many() == [b"1", b"2"]


async def test_immediate() -> None:
    async with hs.Pair(connect="inproc://other", immediate=True) as pair:
        with pytest.raises(trio.WouldBlock):
            pair.send_nowait(b"")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pair.send, b"waited")
            await trio.testing.wait_all_tasks_blocked()
            async with hs.Pair(bind="inproc://other") as other:
                assert await other.recv() == b"waited"


async def test_the_same_peer_may_come_back(anywhere: str) -> None:
    async with hs.Pair(bind=anywhere) as pair:
        for number in range(3):
            async with hs.Pair(connect=pair.endpoints[0]) as peer:
                await peer.send(b"%d" % number)
                assert await pair.recv() == b"%d" % number
            await eventually(lambda: not pair.stats().peers)
