"""PUB and SUB (RFC 29)."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket.transports._traffic import SUBSCRIPTIONS_AT_ONCE

from .worlds import drain, eventually, joined, next_event, would_block


async def test_messages_go_to_those_who_hold_a_prefix(anywhere: str) -> None:
    async with hs.Pub(bind=anywhere) as pub:
        where = pub.endpoints[0]
        async with (
            hs.Sub(connect=where, subscribe=b"a") as a,
            hs.Sub(connect=where, subscribe=[b"ab", "ø"]) as ab,
            hs.Sub(connect=where, subscribe="") as everything,
            hs.Sub(connect=where) as nothing,
        ):
            await pub.wait_subscribed(b"ab", 3)
            await pub.wait_subscribed("ø", 2)
            await nothing.wait_connected()
            messages = [b"", b"a", b"ab", b"abc", b"b", "øl".encode(), b"end"]
            for message in messages:
                await pub.send(message)
            await pub.send_multipart([b"ab", b"", b"z"])
            for expected in messages:
                assert await everything.recv() == expected
            assert await everything.recv_multipart() == [b"ab", b"", b"z"]
            assert [await a.recv() for _ in range(3)] == [b"a", b"ab", b"abc"]
            assert await a.recv_multipart() == [b"ab", b"", b"z"]
            assert [await ab.recv() for _ in range(3)] == [b"ab", b"abc", "øl".encode()]
            assert await ab.recv_multipart() == [b"ab", b"", b"z"]
            assert not drain(nothing.recv_nowait)


async def test_pub_connects_too(anywhere: str) -> None:
    async with joined(hs.Sub(subscribe=b"x"), hs.Pub(), anywhere) as (sub, pub):
        await pub.wait_subscribed(b"x")
        await pub.send(b"x1")
        assert await sub.recv() == b"x1"


async def test_only_the_first_frame_is_matched() -> None:
    async with joined(hs.Pub(), hs.Sub(subscribe=b"x")) as (pub, sub):
        await pub.send_multipart([b"y", b"x"])
        await pub.send_multipart([b"x", b"y"])
        assert await sub.recv_multipart() == [b"x", b"y"]


async def test_subscriptions_are_counted(here: str) -> None:
    async with joined(hs.Pub(), hs.Sub(), here) as (pub, sub):
        sub.subscribe(b"t")
        sub.subscribe("t")
        await pub.wait_subscribed(b"t")
        sub.unsubscribe(b"t")
        sub.subscribe(b"marker")
        await pub.wait_subscribed(b"marker")
        await pub.send(b"t1")
        assert await sub.recv() == b"t1"
        sub.unsubscribe("t")
        with pytest.raises(ValueError, match="not subscribed to b't'"):
            sub.unsubscribe(b"t")
        await eventually(lambda: pub.stats().peers[0].subscriptions == 1)
        await pub.send(b"t2")
        await pub.send(b"marker")
        assert await sub.recv() == b"marker"
        assert pub.stats().messages_out == 2


async def test_a_cancelled_subscription_filters_what_is_still_coming() -> None:
    async with joined(hs.Pub(), hs.Sub(subscribe=[b"a", b"b"])) as (pub, sub):
        await pub.send(b"a")
        await pub.send(b"b")
        sub.unsubscribe(b"a")
        assert drain(sub.recv_nowait) == [b"b"]


@pytest.mark.parametrize("topic", [1, None, ["x"]])
async def test_topics_are_bytes_or_text(topic: object) -> None:
    with pytest.raises(TypeError, match="bytes"):
        hs.Sub().subscribe(topic)  # type: ignore[arg-type]


async def test_the_slow_joiner_hears_from_the_moment_on_that_is_waited_for(here: str) -> None:
    async with hs.Pub(bind=here) as pub, hs.Sub(subscribe="t") as sub:
        await pub.send(b"t: nobody is there")
        assert await would_block(lambda: pub.wait_subscribed("t"))
        await sub.connect(pub.endpoints[0])
        with trio.fail_after(20):
            await pub.wait_subscribed("t: and more")
        assert await would_block(lambda: pub.wait_subscribed("other"))
        assert await would_block(lambda: pub.wait_subscribed("t", 2))
        await pub.send(b"t: now")
        assert await sub.recv() == b"t: now"
        assert pub.stats().messages_out == 1


async def test_a_full_subscriber_loses_messages_and_no_other() -> None:
    async with (
        hs.Pub(bind="inproc://p", sndhwm=2) as pub,
        hs.Sub(connect="inproc://p", subscribe="", rcvhwm=3) as slow,
        hs.Sub(connect="inproc://p", subscribe="") as fast,
        pub.monitor() as events,
    ):
        for number in range(9):
            await pub.send(b"%d" % number)
        assert drain(fast.recv_nowait) == [b"%d" % n for n in range(9)]
        assert drain(slow.recv_nowait) == [b"%d" % n for n in range(5)]
        assert pub.stats().drops == {hs.DropReason.HIGH_WATER_MARK: 4}
        event = await next_event(events, hs.events.MessagesDropped)
        assert (event.reason, event.count) == (hs.DropReason.HIGH_WATER_MARK, 1)


@pytest.mark.parametrize("kind", [hs.Pub, hs.XPub])
async def test_nodrop_waits_for_the_full_subscriber(kind: type[hs.Pub | hs.XPub]) -> None:
    async with (
        kind(bind="inproc://p", sndhwm=1, xpub_nodrop=True) as pub,
        hs.Sub(connect="inproc://p", subscribe="s", rcvhwm=1) as slow,
        hs.Sub(connect="inproc://p", subscribe="") as fast,
    ):
        pub.send_nowait(b"s0")
        pub.send_nowait(b"s1")
        with pytest.raises(trio.WouldBlock):
            pub.send_nowait(b"s2")
        assert drain(fast.recv_nowait) == [b"s0", b"s1"]
        pub.send_nowait(b"for the fast alone")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pub.send_many, [b"s2", b"s3", b"s4"])
            await trio.testing.wait_all_tasks_blocked()
            for number in range(5):
                assert await slow.recv() == b"s%d" % number
        assert drain(fast.recv_nowait) == [b"for the fast alone", b"s2", b"s3", b"s4"]
        assert not pub.stats().dropped


async def test_nodrop_goes_on_when_the_full_subscriber_leaves() -> None:
    async with hs.Pub(bind="inproc://p", sndhwm=1, xpub_nodrop=True) as pub:
        slow = hs.Sub(connect="inproc://p", subscribe="", rcvhwm=1)
        async with trio.open_nursery() as nursery, slow:
            for _ in range(2):
                pub.send_nowait(b"")
            nursery.start_soon(pub.send, b"waiting")
            await trio.testing.wait_all_tasks_blocked()
            await slow.aclose()
        assert pub.stats().drops == {hs.DropReason.PEER_GONE: 1}


async def test_what_subscribers_send_is_discarded_and_counted(here: str) -> None:
    async with joined(hs.Pub(), hs.XSub(), here) as (pub, xsub):
        await xsub.send(b"hello")
        await xsub.send(b"\1topic")
        await pub.wait_subscribed(b"topic")
        await eventually(lambda: pub.stats().drops == {hs.DropReason.NOT_EXPECTED: 1})
        assert not hasattr(pub, "recv")


async def test_subscribers_receive_in_turn() -> None:
    async with (
        hs.Pub(bind="inproc://a") as a,
        hs.Pub(bind="inproc://b") as b,
        hs.Sub(connect=["inproc://a", "inproc://b"], subscribe="") as sub,
    ):
        for number in range(3):
            await a.send(b"a%d" % number)
        await b.send(b"b0")
        assert drain(sub.recv_nowait) == [b"a0", b"b0", b"a1", b"a2"]


async def test_subscriptions_are_told_again_after_a_reconnection(anywhere: str) -> None:
    async with hs.Sub(subscribe="t", reconnect_ivl=0.01) as sub:
        async with hs.Pub(bind=anywhere) as pub:
            where = pub.endpoints[0]
            await sub.connect(where)
            await pub.wait_subscribed("t")
        sub.subscribe("meanwhile")
        async with hs.Pub(bind=where) as pub:
            with trio.fail_after(20):
                await pub.wait_subscribed("t")
                await pub.wait_subscribed("meanwhile")
            await pub.send(b"t")
            assert await sub.recv() == b"t"


async def test_a_publisher_that_dials_keeps_nothing_for_the_next_subscriber() -> None:
    async with hs.Pub(connect="inproc://s", sndhwm=10) as pub:
        async with hs.Sub(bind="inproc://s", subscribe="old", rcvhwm=1):
            await pub.wait_subscribed("old")
            for _ in range(4):
                await pub.send(b"old")
        assert pub.stats().drops == {hs.DropReason.PEER_GONE: 3}
        async with hs.Sub(bind="inproc://s", subscribe="new") as sub:
            await pub.wait_subscribed("new")
            await pub.send(b"old")
            await pub.send(b"new")
            assert await sub.recv() == b"new"


async def test_invert_matching() -> None:
    async with (
        hs.Pub(bind="inproc://p", invert_matching=True) as pub,
        hs.Sub(connect="inproc://p", subscribe="a", invert_matching=True) as not_a,
        hs.Sub(connect="inproc://p", invert_matching=True) as everything,
    ):
        for message in (b"a", b"ab", b"b", b""):
            await pub.send(message)
        assert drain(not_a.recv_nowait) == [b"b", b""]
        assert drain(everything.recv_nowait) == [b"a", b"ab", b"b", b""]
        not_a.unsubscribe("a")
        await pub.send(b"a")
        assert drain(not_a.recv_nowait) == [b"a"]


async def test_a_batch_is_of_wanted_messages_alone() -> None:
    async with (
        hs.Pub(bind="inproc://p") as pub,
        hs.Sub(connect="inproc://p", subscribe=["", "a"]) as sub,
    ):
        for message in (b"a1", b"b1", b"a2"):
            await pub.send(message)
        sub.unsubscribe("")  # what came before is looked at when it is taken
        assert await sub.recv_many() == [b"a1", b"a2"]


async def test_lists_are_each_receivers_own() -> None:
    async with (
        hs.Pub(bind="inproc://p") as pub,
        hs.Sub(connect="inproc://p", subscribe="") as one,
        hs.Sub(connect="inproc://p", subscribe="") as two,
    ):
        frames = [b"a", b"b"]
        await pub.send_multipart(frames)
        frames.append(b"late")
        got = await one.recv_multipart()
        got.clear()
        assert await two.recv_multipart() == [b"a", b"b"]


# Bounds on what a subscriber may ask for


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", [hs.Pub, hs.XPub])
@pytest.mark.parametrize(
    ("topics", "reason"),
    [
        ([b"12345"], hs.Reason.TOPIC_TOO_LONG),
        ([b"1", b"2", b"3", b"4", b"5", b"6", b"7"], hs.Reason.TOO_MANY_SUBSCRIPTIONS),
    ],
    ids=["long", "many"],
)
async def test_bounds_end_that_connection_alone(
    kind: type[hs.Pub | hs.XPub],
    topics: list[bytes],
    reason: hs.Reason,
    when: str,
    anywhere: str,
) -> None:
    pub = kind(bind=anywhere, max_topic_size=4, max_subscriptions=3)
    async with pub, pub.monitor() as events:
        where = pub.endpoints[0]
        async with (
            hs.Sub(connect=where, subscribe=[b"good", b"", b"x"]) as good,
            hs.Sub(reconnect_ivl=1000) as bad,
        ):
            await pub.wait_subscribed(b"good")
            if when == "before":
                for topic in topics:
                    bad.subscribe(topic)
                await bad.connect(where)
            else:
                await bad.connect(where)
                await bad.wait_connected()
                for topic in topics:
                    bad.subscribe(topic)
            gone = await next_event(events, hs.events.Disconnected)
            assert gone.reason is reason
            await eventually(lambda: not bad.stats().peers[0].connected)
            await pub.send(b"still here")
            assert await good.recv() == b"still here"
            assert len(pub.stats().peers) == 1


async def test_what_is_told_at_once_takes_no_look_at_the_rest() -> None:
    """There may be a million: a list of all, for each thousand, takes seconds of work in all."""
    topics = 100_000
    async with joined(hs.Pub(), hs.Sub(), "tcp://127.0.0.1:*") as (_, sub):
        for number in range(topics):
            sub.subscribe(b"%d" % number)
        (pipe,) = sub._host.pipes
        traffic: Any = pipe.link._session._traffic
        tracemalloc.start()
        try:
            assert traffic._take_subscriptions().count(b"SUBSCRIBE") == SUBSCRIPTIONS_AT_ONCE
            assert tracemalloc.get_traced_memory()[1] < topics * 8 // 2
        finally:
            tracemalloc.stop()
        assert len(traffic._subscriptions) == topics - SUBSCRIPTIONS_AT_ONCE
