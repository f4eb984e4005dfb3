"""XPUB and XSUB (RFC 29)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket.sockets import _publisher

from .worlds import drain, eventually, joined


async def test_xpub_receives_the_first_and_the_last_of_a_topic(anywhere: str) -> None:
    async with hs.XPub(bind=anywhere) as xpub:
        where = xpub.endpoints[0]
        async with hs.Sub(connect=where, subscribe=b"t") as one:
            assert await xpub.recv() == b"\1t"
            async with hs.Sub(connect=where, subscribe=[b"t", b""]) as two:
                assert await xpub.recv() == b"\1"
                await xpub.wait_subscribed(b"t", 2)
                one.unsubscribe("t")
                two.subscribe("other")
                assert await xpub.recv() == b"\1other"
                one.subscribe("t")
                one.subscribe("marker")
                assert await xpub.recv() == b"\1marker"
            assert {await xpub.recv(), await xpub.recv()} == {b"\0", b"\0other"}
        assert {await xpub.recv(), await xpub.recv()} == {b"\0t", b"\0marker"}


@pytest.mark.parametrize("verbose", ["xpub_verbose", "xpub_verboser"])
async def test_verbose_receives_every_subscription(verbose: str) -> None:
    options: dict[str, Any] = {verbose: True}
    async with (
        hs.XPub(bind="inproc://p", **options) as xpub,
        hs.Sub(connect="inproc://p", subscribe="t") as one,
        hs.Sub(connect="inproc://p", subscribe="t") as two,
    ):
        assert drain(xpub.recv_nowait) == [b"\1t", b"\1t"]
        one.unsubscribe("t")
        every = verbose == "xpub_verboser"
        assert drain(xpub.recv_nowait) == ([b"\0t"] if every else [])
        two.unsubscribe("t")
        assert drain(xpub.recv_nowait) == [b"\0t"]


async def test_verboser_receives_every_cancellation_of_a_peer_that_leaves() -> None:
    async with (
        hs.XPub(bind="inproc://p", xpub_verboser=True) as xpub,
        hs.Sub(connect="inproc://p", subscribe="t"),
    ):
        async with hs.Sub(connect="inproc://p", subscribe="t"):
            assert drain(xpub.recv_nowait) == [b"\1t", b"\1t"]
        assert drain(xpub.recv_nowait) == [b"\0t"]


async def test_welcome_goes_to_each_new_peer(here: str) -> None:
    async with hs.XPub(bind=here, xpub_welcome_msg=b"welcome") as xpub:
        for _ in range(2):
            async with hs.Sub(connect=xpub.endpoints[0], subscribe="welcome") as sub:
                assert await sub.recv() == b"welcome"


async def test_manual_subscriptions(anywhere: str) -> None:
    async with hs.XPub(bind=anywhere, xpub_manual=True) as xpub:
        where = xpub.endpoints[0]
        with pytest.raises(hs.StateError, match="no subscription was received yet"):
            xpub.subscribe(b"x")
        async with hs.Sub(connect=where, subscribe=["a", "b"]) as sub:
            assert {await xpub.recv(), await xpub.recv()} == {b"\1a", b"\1b"}
            xpub.subscribe("b")
            await xpub.wait_subscribed("b")
            await xpub.send(b"a")
            await xpub.send(b"b")
            assert await sub.recv() == b"b"
            sub.unsubscribe("a")
            assert await xpub.recv() == b"\0a"
            xpub.unsubscribe("b")
            xpub.subscribe("")
            await xpub.send(b"a")
            await xpub.send(b"b again")
            assert await sub.recv() == b"b again"


async def test_manual_calls_need_manual() -> None:
    async with joined(hs.XPub(), hs.Sub(subscribe="x")) as (xpub, _):
        for call in (xpub.subscribe, xpub.unsubscribe):
            with pytest.raises(hs.StateError, match="turn on xpub_manual"):
                call("x")


async def test_manual_cancellations_are_taken_at_the_bound() -> None:
    async with joined(hs.XPub(xpub_manual=True, max_subscriptions=1), hs.Sub(subscribe="x")) as (
        xpub,
        sub,
    ):
        assert await xpub.recv() == b"\1x"
        xpub.subscribe("x")
        sub.unsubscribe("x")
        assert await xpub.recv() == b"\0x"
        assert xpub.stats().disconnects == 0


async def test_manual_counts_the_bytes_that_are_asked_for() -> None:
    """Granted or not, they are kept; the same topic is kept once."""
    xpub = hs.XPub(bind="inproc://p", xpub_manual=True, max_subscription_bytes=8)
    async with xpub, hs.Sub(connect="inproc://p", reconnect_ivl=1000) as sub:
        for topic in ("four", "more"):
            sub.subscribe(topic)
        sub.unsubscribe("four")
        sub.subscribe("less")
        assert [await xpub.recv() for _ in range(4)] == [b"\1four", b"\1more", b"\0four", b"\1less"]
        assert xpub.stats().disconnects == 0
        sub.subscribe("x")
        assert xpub.stats().disconnects == 1
        assert drain(xpub.recv_nowait) == [b"\0more", b"\0less"]


async def test_manual_grants_nothing_to_who_came_after_the_one_that_asked() -> None:
    """By the same pipe, which was dialled: whoever is there now has not asked for it."""
    async with hs.XPub(connect="inproc://p", xpub_manual=True) as xpub:
        async with hs.Sub(bind="inproc://p", subscribe="x"):
            assert await xpub.recv() == b"\1x"
        async with hs.Sub(bind="inproc://p", subscribe="y"):
            await xpub.wait_connected()
            xpub.subscribe("x")
            assert list(xpub._tree) == []
            assert await xpub.recv() == b"\0x"
            xpub.subscribe("x")
            assert list(xpub._tree) == []
            assert await xpub.recv() == b"\1y"
            xpub.subscribe("y")
            assert list(xpub._tree) == [b"y"]


async def test_manual_tells_of_the_subscriptions_of_a_peer_that_leaves() -> None:
    async with hs.XPub(bind="inproc://p", xpub_manual=True) as xpub:
        async with hs.Sub(connect="inproc://p", subscribe="x"):
            assert await xpub.recv() == b"\1x"
            xpub.subscribe("x")
            xpub.subscribe("something else")
        assert drain(xpub.recv_nowait) == [b"\0x"]
        async with hs.Sub(connect="inproc://p", subscribe="not granted"):
            assert await xpub.recv() == b"\1not granted"
        assert drain(xpub.recv_nowait) == [b"\0not granted"]


async def test_xsub_subscribes_by_messages(anywhere: str) -> None:
    async with joined(hs.XPub(), hs.XSub(), anywhere) as (xpub, xsub):
        await xsub.send(b"\1a")
        await xsub.send(b"\1a")
        await xsub.send(b"\1")
        assert await xpub.recv() == b"\1a"
        assert await xpub.recv() == b"\1"
        await xpub.send(b"abc")
        assert await xsub.recv() == b"abc"
        await xsub.send_many([b"\0a", b"\0a", b"\0", b"\0never"])
        assert await xpub.recv() == b"\0a"
        assert await xpub.recv() == b"\0"
        await xsub.send(b"\1late")
        assert await xpub.recv() == b"\1late"


async def test_other_messages_go_upstream_to_all(anywhere: str) -> None:
    async with hs.XPub(bind=anywhere) as one, hs.XPub(bind="inproc://two") as two:
        where = [one.endpoints[0], "inproc://two"]
        async with hs.XSub(connect=where) as xsub:
            await xsub.wait_connected(2)
            for message in ([b""], [b"hello"], [b"\1a", b"several parts"], [b"\0", b""]):
                await xsub.send_multipart(message)
                assert await one.recv_multipart() == message
                assert await two.recv_multipart() == message


async def test_upstream_messages_to_a_full_publisher_are_dropped_and_counted() -> None:
    async with joined(hs.XPub(rcvhwm=2), hs.XSub(sndhwm=1)) as (xpub, xsub):
        for number in range(5):
            await xsub.send(b"%d" % number)
        assert xsub.stats().drops == {hs.DropReason.HIGH_WATER_MARK: 2}
        assert drain(xpub.recv_nowait) == [b"0", b"1", b"2"]


async def test_xpub_takes_messages_in_turn() -> None:
    async with (
        hs.XPub(bind="inproc://p") as xpub,
        hs.XSub(connect="inproc://p") as a,
        hs.XSub(connect="inproc://p") as b,
    ):
        for number in range(3):
            await a.send(b"a%d" % number)
        await b.send(b"b0")
        assert drain(xpub.recv_nowait) == [b"a0", b"b0", b"a1", b"a2"]


async def test_a_topic_that_many_hold_is_told_of_once_when_the_last_leaves() -> None:
    async with hs.XPub(bind="inproc://p") as xpub:
        async with hs.XSub(connect="inproc://p") as one:
            await one.send(b"\1t")
            async with hs.XSub(connect="inproc://p") as two:
                await two.send(b"\1t")
                await two.send(b"\1only two's")
            assert drain(xpub.recv_nowait) == [b"\1t", b"\1only two's", b"\0only two's"]
        assert drain(xpub.recv_nowait) == [b"\0t"]
        assert xpub.stats().queued_in == 0


async def test_an_xpub_that_is_not_read_reads_no_further() -> None:
    async with joined(hs.XPub(rcvhwm=4), hs.XSub(), "tcp://127.0.0.1:*") as (xpub, xsub):
        for number in range(10_000):
            xsub.send_nowait(b"\1%d" % number)
            if number % 100 == 0:
                await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        assert xpub.stats().queued_in < 10_000
        got = 0
        with trio.fail_after(20):
            while got < 10_000:
                got += len(await xpub.recv_many())
        await eventually(lambda: xpub.stats().peers[0].subscriptions == 10_000)


async def test_a_subscriber_that_changes_its_mind_is_held_back(anywhere: str) -> None:
    async with joined(hs.XPub(rcvhwm=4), hs.Sub(), anywhere) as (xpub, sub):
        for number in range(100):
            sub.subscribe(b"%d" % number)
        await eventually(lambda: xpub.stats().queued_in >= 4)
        assert xpub.stats().queued_in <= 4
        for number in range(100):
            assert await xpub.recv() == b"\1%d" % number


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_publisher, "FORGOTTEN_AT_ONCE", 10)


TOPICS = [b"%03d" % number for number in range(100)]


@pytest.mark.usefixtures("few_at_once")
async def test_a_peer_that_leaves_is_forgotten_bit_by_bit(anywhere: str) -> None:
    """Other tasks run meanwhile, and what they publish is not for it."""
    async with hs.Pub(bind=anywhere) as pub, trio.open_nursery() as nursery:
        where = pub.endpoints[0]
        sizes: set[int] = set()

        async def watch() -> None:
            while len(pub._tree) > 1:
                if len(pub._tree) < 101:
                    sizes.add(len(pub._tree))
                    assert pub._matching(TOPICS[-1]) == []
                    before = pub.stats().drops
                    await pub.send(TOPICS[-1])
                    await pub.send_many([TOPICS[-1], b"stays"])
                    assert pub.stats().drops == before
                await trio.lowlevel.checkpoint()

        async with hs.Sub(connect=where, subscribe="stays") as stays:
            async with hs.Sub(connect=where, subscribe=TOPICS):
                await eventually(lambda: len(pub._tree) == 101)
                nursery.start_soon(watch)
            await eventually(lambda: len(pub._tree) == 1)
            assert len(sizes) >= 4  # of nine; tasks take turns in any order
            assert [await stays.recv() for _ in sizes] == [b"stays"] * len(sizes)
            assert pub._publish_paths[0].is_plain


@pytest.mark.parametrize("verboser", [False, True])
@pytest.mark.usefixtures("few_at_once")
async def test_all_topics_of_a_peer_that_leaves_are_told(anywhere: str, verboser: bool) -> None:
    async with hs.XPub(bind=anywhere, xpub_verboser=verboser) as xpub:
        where = xpub.endpoints[0]
        async with hs.Sub(connect=where, subscribe=TOPICS[50]) as stays:
            assert await xpub.recv() == b"\1" + TOPICS[50]
            async with hs.Sub(connect=where, subscribe=TOPICS):
                count = 100 if verboser else 99
                told = {await xpub.recv() for _ in range(count)}
                assert len(told) == count
            told = {await xpub.recv() for _ in range(count)}
            own = set() if verboser else {TOPICS[50]}
            assert told == {b"\0" + topic for topic in TOPICS if topic not in own}
            await eventually(lambda: not xpub._leaving)
            assert list(xpub._tree) == [TOPICS[50]]
            await xpub.send(TOPICS[50])
            assert await stays.recv() == TOPICS[50]


@pytest.mark.usefixtures("few_at_once")
async def test_who_has_left_is_granted_and_refused_nothing() -> None:
    """A peer that was dialled may be back; what it had is being forgotten meanwhile."""
    async with hs.XPub(connect="inproc://p", xpub_manual=True) as xpub:
        async with hs.Sub(bind="inproc://p", subscribe=TOPICS):
            for _ in TOPICS:
                xpub.subscribe((await xpub.recv())[1:])
            await eventually(lambda: len(xpub._tree) == 100)
        assert xpub._leaving
        for _ in TOPICS:
            ended = await xpub.recv()
            assert ended[:1] == b"\0"
            xpub.unsubscribe(ended[1:])
            xpub.subscribe(ended[1:])
        await eventually(lambda: not xpub._leaving)
        assert list(xpub._tree) == []
