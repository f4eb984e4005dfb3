"""XSUB to XPUB: messages one way, subscriptions the other."""

# ruff: noqa: SIM117 - the device outside, and inside of it who talks to it

from __future__ import annotations

import pytest
import trio
import trio.testing

import hypersocket as hs

from .worlds import TCP, Theirs, eventually, running

pytestmark = pytest.mark.interop


async def test_subscriptions_travel_upstream_and_nothing_else_comes_down() -> None:
    front, back = hs.XSub(bind=TCP), hs.XPub(bind=TCP)
    async with (
        running("forwarder", front, back) as device,
        hs.Pub(connect=front.endpoints) as publisher,
    ):
        await publisher.wait_connected()
        for _ in range(10):
            await publisher.send_multipart([b"news", bytes(1000)])
        assert publisher.stats().bytes_out == 0  # nobody wants it: nothing is sent
        async with hs.Sub(connect=back.endpoints, subscribe="price") as mine, Theirs("SUB") as his:
            his.connect(back.endpoints[0])
            his.subscribe(b"price")
            his.subscribe(b"rain")
            await publisher.wait_subscribed("price")
            await publisher.wait_subscribed("rain")
            await back.wait_subscribed("price", 2)
            await publisher.send_multipart([b"news", bytes(1000)])
            await publisher.send_multipart([b"price", b"42"])
            assert await mine.recv_multipart() == [b"price", b"42"]
            assert await his.recv_multipart() == [b"price", b"42"]
            assert publisher.stats().bytes_out == len(b"price42")
            stats = device.stats()
            assert (stats.frontend.messages_in, stats.frontend.bytes_in) == (1, 7)
            assert (stats.backend.messages_out, stats.backend.bytes_out) == (1, 7)
            # One subscription for each topic, however many hold it.
            assert stats.backend.messages_in == stats.frontend.messages_out == 2
        # With the last subscriber gone, the topics are cancelled upstream.
        await eventually(lambda: publisher.stats().peers[0].subscriptions == 0)
        await publisher.send_multipart([b"price", b"43"])
        assert publisher.stats().bytes_out == len(b"price42")


async def test_a_publisher_that_comes_later_is_told_of_the_subscriptions() -> None:
    front, back = hs.XSub(bind=TCP), hs.XPub(bind=TCP)
    async with running("forwarder", front, back):
        async with hs.Sub(connect=back.endpoints, subscribe="") as subscriber:
            await back.wait_subscribed("")
            async with Theirs("PUB") as late:
                late.connect(front.endpoints[0])
                got: list[bytes] = []
                async with trio.open_nursery() as nursery:

                    @nursery.start_soon
                    async def publish() -> None:
                        while not got:
                            await late.send(b"hello")
                            await trio.sleep(0.005)

                    got.append(await subscriber.recv())
                assert got == [b"hello"]


async def test_a_stopped_subscriber_does_not_stall_the_others_nor_fill_the_memory() -> None:
    front = hs.XSub(bind="inproc://front")
    back = hs.XPub(bind="inproc://back", sndhwm=10)
    async with (
        running("forwarder", front, back) as device,
        hs.Pub(connect="inproc://front") as publisher,
        hs.Sub(connect="inproc://back", subscribe="", rcvhwm=10) as stopped,
        hs.Sub(connect="inproc://back", subscribe="", rcvhwm=10) as awake,
    ):
        await publisher.wait_subscribed("")
        await back.wait_subscribed("", 2)
        for number in range(500):
            await publisher.send(b"%d" % number)
            assert await awake.recv() == b"%d" % number
        first, second = back.stats().peers
        assert {first.dropped, second.dropped} == {0, back.stats().dropped}
        assert back.stats().dropped > 450
        assert back.stats().queued_out <= 10
        assert stopped.stats().queued_in <= 20
        assert device.stats().held == 0


async def test_sub_to_pub_forwards_what_the_sub_subscribes_to() -> None:
    front, back = hs.Sub(bind="inproc://front", subscribe="a"), hs.Pub(bind="inproc://back")
    async with (
        running("proxy", front, back),
        hs.Pub(connect="inproc://front") as publisher,
        hs.Sub(connect="inproc://back", subscribe="") as subscriber,
    ):
        await publisher.wait_subscribed("a")
        await back.wait_subscribed("")
        await publisher.send_many([b"b1", b"a1"])
        assert await subscriber.recv() == b"a1"
