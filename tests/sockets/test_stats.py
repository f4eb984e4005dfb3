"""Counters: of a socket, of its peers, of what is gone."""

from __future__ import annotations

import dataclasses

import pytest
import trio
import trio.lowlevel

import hypersocket as hs

from .worlds import eventually, fill, joined


async def test_a_socket_counts_messages_and_bytes(anywhere: str) -> None:
    async with joined(hs.Pull(), hs.Push(), anywhere) as (pull, push):
        await push.send(b"12345")
        await push.send_multipart([b"", b"123", b"45"])
        await push.send(b"")
        await eventually(lambda: pull.stats().messages_in == 3)
        await eventually(lambda: push.stats().messages_out == 3)
        ours, theirs = push.stats(), pull.stats()
        assert (ours.messages_out, ours.bytes_out, ours.queued_out, ours.dropped) == (3, 10, 0, 0)
        assert (theirs.messages_in, theirs.bytes_in, theirs.queued_in) == (3, 10, 3)
        assert (ours.messages_in, theirs.messages_out) == (0, 0)
        await pull.recv()
        assert pull.stats().queued_in == 2
        (peer,) = push.stats().peers
        assert (peer.socket_type, peer.connected, peer.connects) == ("PULL", True, 1)
        assert peer.endpoint == pull.endpoints[0]
        assert (peer.messages_out, peer.bytes_out, peer.queued_out) == (3, 10, 0)
        (peer,) = pull.stats().peers
        assert (peer.messages_in, peer.bytes_in, peer.queued_in) == (3, 10, 2)


async def test_a_message_that_was_looked_at_still_counts_as_queued() -> None:
    async with joined(hs.Pull(), hs.Push()) as (pull, push):
        await push.send_multipart([b"a", b"b"])
        with pytest.raises(hs.MultipartError):
            await pull.recv()
        assert pull.stats().queued_in == 1
        await pull.recv_multipart()
        assert pull.stats().queued_in == 0


async def test_totals_include_peers_that_are_gone(anywhere: str) -> None:
    async with hs.Pull(bind=anywhere) as pull:
        for _ in range(3):
            async with hs.Push(connect=pull.endpoints[0]) as push:
                await push.send(b"12")
        await eventually(lambda: pull.stats().disconnects == 3)
        stats = pull.stats()
        assert (stats.messages_in, stats.bytes_in, stats.queued_in) == (3, 6, 3)
        assert (stats.connects, stats.disconnects, stats.peers) == (3, 3, ())
        assert len(await pull.recv_many()) == 3
        assert pull.stats().queued_in == 0


async def test_every_accepted_message_is_in_one_place(here: str) -> None:
    async with hs.Pull(bind=here, rcvhwm=2) as pull:
        push = hs.Push(connect=pull.endpoints[0], sndhwm=5, linger=0)
        async with push:
            await push.wait_connected()
            sent = 0
            for _ in range(5):
                sent += fill(push.send_nowait, data=b"%d" + bytes(100_000))
                stats = push.stats()
                assert stats.messages_out + stats.queued_out + stats.dropped == sent
                await trio.lowlevel.checkpoint()
        stats = push.stats()
        assert stats.messages_out + stats.queued_out + stats.dropped == sent
        assert stats.dropped == sum(stats.drops.values())


async def test_subscriptions_are_counted_for_each_peer() -> None:
    async with joined(hs.Pub(), hs.XSub()) as (pub, xsub):
        await xsub.send_many([b"\1a", b"\1b", b"\1b", b"\1"])
        assert pub.stats().peers[0].subscriptions == 3
        await xsub.send_many([b"\0a", b"\0b"])
        assert pub.stats().peers[0].subscriptions == 2


async def test_a_snapshot_stands_still() -> None:
    async with joined(hs.Router(), hs.Dealer(routing_id=b"d")) as (router, dealer):
        before = router.stats()
        await router.send_multipart([b"nobody", b""])
        await router.send_multipart([b"d", b"x"])
        assert (before.messages_out, before.drops) == (0, {})
        assert router.stats().messages_out == 1
        with pytest.raises(dataclasses.FrozenInstanceError):
            before.messages_out = 5  # type: ignore[misc]
        assert router.stats().peers[0].routing_id == b"d"
        assert dealer.stats().peers[0].routing_id == b""


async def test_stats_before_and_after_the_socket_is_open() -> None:
    push = hs.Push()
    assert push.stats().messages_out == 0
    async with hs.Pull(bind="inproc://x") as pull:
        async with push:
            await push.connect("inproc://x")
            await push.send(b"x")
        assert await pull.recv() == b"x"
    stats = push.stats()
    assert (stats.messages_out, stats.connects, stats.disconnects) == (1, 1, 1)


async def test_handshakes_that_fail_are_counted(here: str) -> None:
    async with hs.Pull(bind=here) as pull, hs.Sub(connect=pull.endpoints[0]) as sub:
        await eventually(lambda: pull.stats().handshake_failures)
        await eventually(lambda: sub.stats().handshake_failures)
        assert pull.stats().connects == sub.stats().connects == 0
