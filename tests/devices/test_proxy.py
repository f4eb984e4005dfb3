"""Pairs without a name."""

from __future__ import annotations

import pytest
import trio

import hypersocket as hs

from .worlds import LIMIT, running


async def test_pair_to_pair_goes_both_ways() -> None:
    front, back = hs.Pair(bind="inproc://front"), hs.Pair(bind="inproc://back")
    async with (
        running("proxy", front, back),
        hs.Pair(connect="inproc://front") as left,
        hs.Pair(connect="inproc://back") as right,
    ):
        for number in range(50):
            await left.send_multipart([b"there", b"%d" % number])
            assert await right.recv_multipart() == [b"there", b"%d" % number]
            await right.send(b"back %d" % number)
            assert await left.recv() == b"back %d" % number


async def test_dealer_to_dealer() -> None:
    front, back = hs.Dealer(bind="inproc://front"), hs.Dealer(bind="inproc://back")
    async with (
        running("proxy", front, back),
        hs.Dealer(connect="inproc://front") as left,
        hs.Rep(connect="inproc://back") as right,
    ):
        await left.send_multipart([b"", b"?"])
        assert await right.recv() == b"?"
        await right.send(b"!")
        assert await left.recv_multipart() == [b"", b"!"]


async def test_router_to_router_sends_to_the_peer_of_the_same_name() -> None:
    front, back = hs.Router(bind="inproc://front"), hs.Router(bind="inproc://back")
    async with (
        running("proxy", front, back),
        hs.Dealer(connect="inproc://front", routing_id=b"ann") as left,
        hs.Dealer(connect="inproc://back", routing_id=b"ann") as right,
    ):
        await back.wait_connected()
        await left.send(b"?")
        assert await right.recv() == b"?"
        await right.send(b"!")
        assert await left.recv() == b"!"


@pytest.mark.parametrize("swapped", [False, True])
async def test_the_sides_may_be_swapped(swapped: bool) -> None:
    pull, push = hs.Pull(bind="inproc://in"), hs.Push(bind="inproc://out")
    sides = (push, pull) if swapped else (pull, push)
    async with (
        running("proxy", *sides) as device,
        hs.Push(connect="inproc://in") as source,
        hs.Pull(connect="inproc://out") as sink,
    ):
        await source.send(b"x")
        assert await sink.recv() == b"x"
        stats = device.stats()
        into, out = (stats.backend, stats.frontend) if swapped else (stats.frontend, stats.backend)
        assert (into.messages_in, into.messages_out) == (1, 0)
        assert (out.messages_in, out.messages_out) == (0, 1)


async def test_subscriptions_over_a_pair_join_two_half_forwarders() -> None:
    """XSUB - PAIR ... PAIR - XPUB: a forwarder in two places, over one connection."""
    async with (
        running("proxy", hs.XSub(bind="inproc://pubs"), hs.Pair(bind="inproc://link")),
        running("proxy", hs.Pair(connect="inproc://link"), hs.XPub(bind="inproc://subs")),
        hs.Pub(connect="inproc://pubs") as publisher,
        hs.Sub(connect="inproc://subs", subscribe="a") as subscriber,
    ):
        await publisher.wait_subscribed("a")
        await publisher.send_many([b"b", b"a"])
        assert await subscriber.recv() == b"a"


async def test_a_device_in_a_nursery_needs_no_handle() -> None:
    async with (
        hs.Pull(bind="inproc://in") as pull,
        hs.Push(bind="inproc://out") as push,
        hs.Push(connect="inproc://in") as source,
        hs.Pull(connect="inproc://out") as sink,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(hs.devices.proxy, pull, push)
        await source.send(b"x")
        assert await sink.recv() == b"x"
        nursery.cancel_scope.cancel()


async def test_much_that_nobody_wants_holds_up_nothing() -> None:
    """It had come before the device began, which is told of nothing any more then."""
    async with (
        hs.Pub(bind="inproc://in", sndhwm=0) as source,
        hs.Sub(connect="inproc://in", subscribe=["", "wanted"]) as front,
        hs.Push(bind="inproc://out") as back,
        hs.Pull(connect="inproc://out") as sink,
        trio.open_nursery() as nursery,
    ):
        await source.wait_subscribed("wanted")
        await source.send_many([b"x"] * 5000)
        await source.send(b"wanted")
        front.unsubscribe("")  # and each is looked at when it is taken
        await nursery.start(hs.devices.proxy, front, back)
        with trio.fail_after(LIMIT):
            assert await sink.recv() == b"wanted"
        nursery.cancel_scope.cancel()
