"""The monitor feed: who is told what, and when."""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket import management
from hypersocket.management import Topic, monitor_feed, publish_monitor, topic_prefix

from ..interop.processes import child
from .watching import is_about, ours, read, theirs, until

HERE = "inproc://monitor"


async def start(nursery: trio.Nursery, monitor: Any = HERE, **arguments: Any) -> management.Feed:
    feed: management.Feed = await nursery.start(partial(publish_monitor, monitor, **arguments))
    return feed


# With libzmq's subscribers, by real time


@pytest.mark.interop
async def test_any_subscriber_gets_statistics_and_events() -> None:
    pull = hs.Pull(bind="tcp://127.0.0.1:*")
    async with pull, monitor_feed("tcp://127.0.0.1:*", name="orders", sockets={"in": pull}) as feed:
        with theirs() as sub:
            sub.connect(feed.endpoints[0], topic_prefix("orders"))
            report = await sub.until(is_about("stats", ""))
            assert report.body["kind"] == "program"
            assert report.body["sockets"] == ["in"]
            async with hs.Push(connect=pull.endpoints) as push:
                await push.send(b"12345")
                shaken = await sub.until(is_about("handshake_succeeded"))
                assert (shaken.topic.device, shaken.topic.socket) == ("orders", "in")
                assert shaken.body["socket_type"] == "PUSH"
                assert shaken.topic.peer == shaken.body["address"]
                told = await sub.until(
                    lambda report: (
                        report.topic.socket == "in"
                        and not report.topic.peer
                        and report.counters.get("messages_in") == 1
                    )
                )
                assert told.counters["bytes_in"] == 5
                assert told.gauges["messages_queued_in"] == 1
                peer = await sub.until(lambda report: report.topic.peer != "")
                assert peer.topic.peer == shaken.topic.peer
            gone = await sub.until(is_about("disconnected"))
            assert gone.body["reason"] == hs.Reason.CLOSED_BY_PEER


@pytest.mark.interop
async def test_subscribers_may_choose_by_level() -> None:
    pull, push = hs.Pull(bind="tcp://127.0.0.1:*"), hs.Push(bind="tcp://127.0.0.1:*")
    async with pull, push, hs.Push(connect=pull.endpoints) as source:
        await source.wait_connected()
        sockets = {"in": pull, "in2": push}
        async with (
            monitor_feed("tcp://127.0.0.1:*", name="a", sockets=sockets, interval=0.05) as one,
            hs.XPub(bind="tcp://127.0.0.1:*") as xpub,
            monitor_feed(xpub, name="ab", sockets=sockets, interval=0.05),
        ):
            for prefix, wanted in (
                (topic_prefix("a", "in"), {("in", False), ("in", True)}),
                (topic_prefix("a", "in", ""), {("in", False)}),
                (topic_prefix("a", ""), {("", False)}),
                (topic_prefix("a"), {("", False), ("in", False), ("in", True), ("in2", False)}),
            ):
                with theirs() as sub:
                    sub.connect(xpub.endpoints[0])
                    sub.connect(one.endpoints[0], prefix)
                    got = [(await sub.read()).topic for _ in range(12)]
                assert {topic.device for topic in got} == {"a"}
                assert {(topic.socket, bool(topic.peer)) for topic in got} == wanted


@pytest.mark.interop
async def test_a_subscriber_that_stops_reading_holds_nobody_back() -> None:
    pull, push = hs.Pull(bind="inproc://work"), hs.Push(connect="inproc://work")
    xpub = hs.XPub(bind="tcp://127.0.0.1:*", sndhwm=10, sndbuf=4096, linger=0, xpub_verbose=True)
    async with pull, push, xpub:
        sockets = {f"a socket with a long name, {n}": pull for n in range(20)}
        feed = monitor_feed(xpub, name="busy", sockets=sockets, interval=0.001)
        with theirs() as slow, theirs() as quick:
            slow.socket.rcvhwm, slow.socket.rcvbuf = 1, 4096
            slow.connect(xpub.endpoints[0], b"")
            await xpub.wait_subscribed(b"hs1/", 1)
            async with feed:
                quick.connect(xpub.endpoints[0], topic_prefix("busy", ""))
                report = await quick.until(is_about("stats", ""))
                while not report.counters["feed_messages_dropped"]:
                    await push.send(b"x")  # what the device does goes on
                    await pull.recv()
                    report = await quick.until(is_about("stats", ""))
                assert report.gauges["feed_subscribers"] == 2
                assert report.counters["feed_messages_dropped"] <= xpub.stats().dropped


@pytest.mark.interop
@pytest.mark.skipif(os.name != "posix", reason="stops a process")
async def test_a_subscriber_whose_process_is_stopped_costs_no_more_than_its_queue() -> None:
    xpub = hs.XPub(bind="tcp://127.0.0.1:*", sndhwm=50, sndbuf=4096, linger=0, xpub_verbose=True)
    async with hs.Pull() as pull, xpub, child("theirs", "SUB") as stopped:
        await stopped.call("subscribe", b"")
        await stopped.call("connect", xpub.endpoints[0])
        await xpub.wait_subscribed(b"hs1/")
        stopped.stop()
        sockets = {f"a socket with a long name, {n}": pull for n in range(20)}
        with theirs() as quick:
            quick.connect(xpub.endpoints[0], topic_prefix("busy", ""))
            async with monitor_feed(xpub, name="busy", sockets=sockets, interval=0.01):
                await quick.until(lambda report: report.counters["feed_messages_dropped"] > 200)
                assert max(peer.queued_out for peer in xpub.stats().peers) <= 50
        stopped.go_on()


# By a clock of their own


async def test_a_late_subscriber_is_answered_at_once(autojump_clock: Any) -> None:
    async with hs.Pull() as pull, trio.open_nursery() as nursery:
        await start(nursery, name="d", sockets={"in": pull}, interval=3600)
        for _ in range(3):  # the topic is known already the second time
            before = trio.current_time()
            async with ours(HERE) as sub:
                first, second = await read(sub), await read(sub)
                assert (first.topic.socket, second.topic.socket) == ("", "in")
                assert trio.current_time() == before
            await trio.sleep(1)
        nursery.cancel_scope.cancel()


async def test_answers_are_for_what_was_asked(autojump_clock: Any) -> None:
    async with hs.Pull() as pull, hs.Push() as push, trio.open_nursery() as nursery:
        await start(nursery, name="d", sockets={"in": pull, "out": push}, interval=3600)
        async with ours(HERE, topic_prefix("d", "out")) as out, ours(HERE, b"hs2/") as other:
            assert (await read(out)).topic.socket == "out"
            async with ours(HERE, topic_prefix("d", "in")) as late:
                assert (await read(late)).topic.socket == "in"
            async with ours(HERE, bytes(Topic(device="d", socket="in", event="stats"))) as one:
                assert (await read(one)).topic.socket == "in"
            await trio.sleep(1000)
            for sub in (out, other):
                with pytest.raises(trio.WouldBlock):
                    sub.recv_multipart_nowait()
        nursery.cancel_scope.cancel()


async def test_whoever_subscribes_again_and_again_is_answered_now_and_then(
    autojump_clock: Any,
) -> None:
    async with hs.Pull() as pull, trio.open_nursery() as nursery:
        await start(nursery, name="d", sockets={"in": pull}, interval=3600)
        async with hs.XSub(connect=HERE, rcvhwm=0) as restless:
            await restless.wait_connected()
            for _ in range(10):
                for number in range(100):
                    await restless.send(b"\1hs1/d/%d" % number)
                await restless.send(b"\1")
                await trio.testing.wait_all_tasks_blocked()
            answers = restless.stats().messages_in // 2
            assert answers <= 2
            await trio.sleep(10)
            assert restless.stats().messages_in // 2 <= answers + 1
        nursery.cancel_scope.cancel()


async def test_through_a_pub_a_subscriber_waits_for_the_next_interval(
    autojump_clock: Any,
) -> None:
    async with hs.Pull() as pull, hs.Pub(bind=HERE) as pub, trio.open_nursery() as nursery:
        await start(nursery, pub, name="d", sockets={"in": pull}, interval=10)
        began = trio.current_time()
        await trio.sleep(3)
        async with ours(HERE) as sub:
            times = [(await read(sub)).monotonic - began for _ in range(6)]
        assert times == [10, 10, 20, 20, 30, 30]
        nursery.cancel_scope.cancel()


async def test_the_interval_may_be_changed(autojump_clock: Any) -> None:
    async with hs.Pull() as pull, trio.open_nursery() as nursery:
        feed = await start(nursery, name="d", sockets={"in": pull}, interval=10)
        async with ours(HERE, topic_prefix("d", "")) as sub:
            began = (await read(sub)).monotonic
            assert (await read(sub)).monotonic == began + 10
            feed.interval = 1
            later = [await read(sub) for _ in range(3)]
            assert [report.monotonic - began for report in later] == [20, 21, 22]
            assert [report.interval for report in later] == [1, 1, 1]
        nursery.cancel_scope.cancel()


async def test_nothing_is_gathered_while_nobody_subscribes(autojump_clock: Any) -> None:
    class Counting(hs.Pull):
        asked = 0

        def stats(self) -> hs.SocketStats:
            self.asked += 1
            return super().stats()

    async with Counting() as pull, trio.open_nursery() as nursery:
        await start(nursery, name="d", sockets={"in": pull})
        await trio.sleep(100)
        assert pull.asked == 0
        async with ours(HERE) as sub:
            await read(sub)
            await trio.sleep(100)
            asked = pull.asked
            assert asked >= 100
        await trio.sleep(100)
        assert pull.asked <= asked + 1
        nursery.cancel_scope.cancel()


async def test_every_event_is_told_with_its_times(autojump_clock: Any) -> None:
    async with hs.Pull() as pull, trio.open_nursery() as nursery:
        await start(nursery, name="d", sockets={"in": pull}, interval=3600)
        async with ours(HERE) as sub:
            await until(sub, is_about("stats", "in"))
            await trio.sleep(5)
            before = trio.current_time()
            await pull.bind("inproc://work")
            listening = await until(sub, is_about("listening"))
            assert listening.monotonic == before
            assert listening.body["endpoint"] == "inproc://work"
            assert listening.topic.peer == ""
            with pytest.raises(hs.AddressInUse):
                await pull.bind("inproc://work")
            failed = await read(sub)
            assert (failed.topic.event, bool(failed.body["error"])) == ("bind_failed", True)
            async with hs.Push(connect="inproc://work"):
                assert (await read(sub)).topic.event == "accepted"
                assert (await read(sub)).topic.event == "handshake_succeeded"
            assert (await read(sub)).topic.event == "disconnected"
            await pull.unbind("inproc://work")
            assert (await read(sub)).topic.event == "closed"
        nursery.cancel_scope.cancel()


async def test_events_that_were_missed_are_told_and_counted() -> None:
    pull = hs.Pull()
    async with pull, trio.open_nursery() as nursery:
        await start(nursery, name="d", sockets={"in": pull}, interval=3600)
        async with ours(HERE) as sub:
            await until(sub, is_about("stats", "in"))
            for _ in range(12_000):  # without a chance to tell of them
                pull._host.tell(lambda: hs.events.Closed(time=0.0, endpoint="inproc://x"))
            missed = await until(sub, is_about("events_missed"))
            assert missed.body["events_missed"] == 2000
            async with ours(HERE, topic_prefix("d", "")) as late:
                assert (await read(late)).counters["feed_events_missed"] == 2000
        nursery.cancel_scope.cancel()


async def test_peers_have_names_that_last() -> None:
    async with (
        hs.Pull(bind=["tcp://127.0.0.1:*", "inproc://work"]) as pull,
        hs.Push(connect=pull.endpoints) as push,
        hs.Push(connect="inproc://work"),
        trio.open_nursery() as nursery,
    ):
        await pull.wait_connected(3)
        await push.wait_connected(2)
        await start(nursery, name="d", sockets={"in": pull, "out": push}, interval=3600)
        async with ours(HERE) as sub:
            reports = [await read(sub) for _ in range(3 + 3 + 2)]
        peers = [report.topic.peer for report in reports if report.topic.peer]
        (address,) = [peer.address for peer in pull.stats().peers if peer.address]
        tcp = pull.endpoints[0]
        assert sorted(peers) == sorted(
            [address, "inproc://work", "inproc://work#2", tcp, "inproc://work"]
        )
        nursery.cancel_scope.cancel()


async def test_a_lost_connection_and_its_attempts_have_the_endpoints_name(
    autojump_clock: Any,
) -> None:
    async with hs.Push() as push, trio.open_nursery() as nursery:
        await start(nursery, name="d", sockets={"out": push}, interval=3600)
        async with ours(HERE) as sub:
            await until(sub, is_about("stats", "out"))
            async with hs.Pull(bind="inproc://work") as pull:
                await push.connect(pull.endpoints[0])
                assert (await until(sub, is_about("handshake_succeeded"))).topic.peer == (
                    "inproc://work"
                )
            lost = await until(sub, is_about("disconnected"))
            assert lost.topic.peer == "inproc://work"
        nursery.cancel_scope.cancel()


async def test_of_many_peers_those_in_trouble_are_told() -> None:
    async with hs.Push(sndhwm=5, linger=0) as push, trio.open_nursery() as nursery:
        for number in range(50):
            await push.connect(f"inproc://nobody{number}")
        for _ in range(5):
            await push.send(b"x")
        await start(nursery, name="d", sockets={"out": push}, interval=3600, max_peers=7)
        waiting = {peer.endpoint for peer in push.stats().peers if peer.queued_out}
        assert len(waiting) == 5
        async with ours(HERE, topic_prefix("d", "out")) as sub:
            own = await read(sub)
            peers = [await read(sub) for _ in range(7)]
            assert (own.gauges["peers_known"], own.gauges["peers_told"]) == (50, 7)
            assert {report.topic.peer for report in peers} >= waiting
            with pytest.raises(trio.WouldBlock):
                sub.recv_multipart_nowait()
        nursery.cancel_scope.cancel()


async def test_paths_that_are_no_text_are_told(tmp_path: Any) -> None:
    where = f"ipc://{tmp_path}/\udcff"
    async with hs.Pull() as pull, trio.open_nursery() as nursery:
        await start(nursery, name="d", sockets={"in": pull})
        async with ours(HERE) as sub:
            await pull.bind(where)
            report = await until(sub, is_about("listening"))
            assert report.body["endpoint"] == where
        nursery.cancel_scope.cancel()


# Ends


async def test_the_end_is_told() -> None:
    async with (
        hs.Pull() as pull,
        monitor_feed(HERE, name="d", sockets={"in": pull}, interval=3600) as feed,
        hs.Sub(connect=HERE, subscribe="") as sub,
    ):
        await until(sub, is_about("stats", "in"))
        feed.stop()
        events = [(await read(sub)).topic.event for _ in range(3)]
        assert events == ["stats", "stats", "stopped"]


@pytest.mark.parametrize("scheme", ["inproc", "tcp"])
async def test_a_cancelled_feed_tells_the_end_if_it_can(scheme: str) -> None:
    where = {"inproc": HERE, "tcp": "tcp://127.0.0.1:*"}[scheme]
    async with hs.Pull() as pull, trio.open_nursery() as nursery:
        feed = await start(nursery, where, name="d", sockets={"in": pull}, interval=3600)
        async with ours(feed.endpoints[0]) as sub:
            await until(sub, is_about("stats", "in"))
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True), trio.fail_after(30):
                await until(sub, is_about("stopped"))


async def test_a_feed_ends_with_the_sockets_that_it_watches() -> None:
    one, two = hs.Pull(), hs.Pull()
    with trio.fail_after(30):
        async with one, two, hs.Pub(bind=HERE) as pub, trio.open_nursery() as nursery:
            await start(nursery, pub, name="d", sockets={"1": one, "2": two})
            await two.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert nursery.child_tasks
            await one.aclose()


@pytest.mark.parametrize("kind", [hs.Pub, hs.XPub])
async def test_a_feed_ends_with_the_socket_that_it_publishes_by(
    kind: type[hs.Pub | hs.XPub], autojump_clock: Any
) -> None:
    async with hs.Pull() as pull, trio.open_nursery() as nursery:
        async with kind(bind=HERE) as pub, ours(HERE):
            await pub.wait_subscribed(b"")
            await start(nursery, pub, name="d", sockets={"in": pull})
        with trio.fail_after(5):
            while nursery.child_tasks:
                await pull.bind("inproc://work")  # which there is nobody to tell of
                await pull.unbind("inproc://work")
                await trio.sleep(1)


async def test_what_a_block_raises_leaves_as_itself() -> None:
    async with hs.Pull() as pull, hs.Pub() as pub:
        for monitor in (HERE, pub):
            with pytest.raises(ZeroDivisionError) as caught:
                async with monitor_feed(monitor, name="d", sockets={"in": pull}):
                    raise ZeroDivisionError
            assert caught.value.__context__ is None
            with pytest.raises(KeyboardInterrupt):
                async with monitor_feed(monitor, name="d", sockets={"in": pull}):
                    raise KeyboardInterrupt
            with trio.CancelScope() as scope:
                async with monitor_feed(monitor, name="d", sockets={"in": pull}):
                    scope.cancel()
                    await trio.sleep_forever()
            assert scope.cancelled_caught


async def test_a_mistake_in_the_feed_does_not_end_the_block(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(hs.Pull):
        def stats(self) -> hs.SocketStats:
            raise ZeroDivisionError

    async with (
        Broken() as pull,
        monitor_feed(HERE, name="d", sockets={"in": pull}),
        ours(HERE) as sub,
    ):
        await read(sub)  # what was told before the mistake
        await trio.testing.wait_all_tasks_blocked()
    (record,) = caplog.records
    assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)
    assert "the monitor feed of 'd' failed" in record.getMessage()


# Together


async def test_feeds_that_share_a_socket_each_answer(autojump_clock: Any) -> None:
    xpub = hs.XPub(bind=HERE, xpub_verbose=True)
    async with hs.Pull() as pull, xpub, trio.open_nursery() as nursery:
        feeds = [
            await start(nursery, xpub, name=f"d{n}", sockets={"in": pull}, interval=3600)
            for n in range(3)
        ]
        for _ in range(5):
            async with ours(HERE) as sub:
                got = {(await read(sub)).topic.device for _ in range(6)}
                assert got == {"d0", "d1", "d2"}
            await trio.sleep(1)
        feeds[0].stop()
        await trio.sleep(1)
        async with ours(HERE) as sub:
            assert {(await read(sub)).topic.device for _ in range(4)} == {"d1", "d2"}
        nursery.cancel_scope.cancel()


async def test_a_publisher_that_may_not_drop_does_not_wait_either(autojump_clock: Any) -> None:
    xpub = hs.XPub(bind=HERE, xpub_nodrop=True, sndhwm=1, linger=0)
    async with hs.Pull() as pull, xpub, trio.open_nursery() as nursery:
        feed = await start(nursery, xpub, name="d", sockets={"in": pull}, interval=1)
        async with ours(HERE, rcvhwm=1):
            await trio.sleep(100)
            assert feed._numbers()["counters"]["feed_messages_dropped"] > 100
            assert xpub.stats().dropped == 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["queue", "streamer", "forwarder"])
async def test_a_device_tells_its_own_counters(kind: str) -> None:
    front_type, back_type = {
        "queue": (hs.Router, hs.Dealer),
        "streamer": (hs.Pull, hs.Push),
        "forwarder": (hs.XSub, hs.XPub),
    }[kind]
    async with (
        front_type(bind="inproc://front") as front,
        back_type(bind="inproc://back") as back,
        trio.open_nursery() as nursery,
    ):
        device = await nursery.start(getattr(hs.devices, kind), front, back)
        sockets = {"frontend": front, "backend": back}
        await start(nursery, name="d", sockets=sockets, device=device, interval=3600)
        if kind == "streamer":
            async with hs.Push(connect="inproc://front") as push, hs.Pull() as pull:
                await pull.connect("inproc://back")
                await push.send(b"12345")
                assert await pull.recv() == b"12345"
        device.pause()
        async with ours(HERE, topic_prefix("d", "")) as sub:
            report = await read(sub)
            assert (report.body["kind"], report.body["state"]) == (kind, "paused")
            assert report.body["sockets"] == ["frontend", "backend"]
            if kind == "streamer":
                assert report.counters["frontend_messages_in"] == 1
                assert report.counters["backend_bytes_out"] == 5
            assert report.gauges["messages_held"] == 0
        nursery.cancel_scope.cancel()


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"name": ""}, ValueError, "name=''"),
        ({"name": "x" * 256}, ValueError, "1 to 255 bytes"),
        ({"name": "\udcff"}, ValueError, "UTF-8"),
        ({"name": 5}, TypeError, "name=5"),
        ({"sockets": {"": None}}, ValueError, "a socket's name=''"),
        ({"sockets": {"in": None}}, TypeError, r"sockets\['in'\]=None"),
        ({"sockets": {}}, ValueError, "neither sockets nor a device"),
        ({"interval": 0}, ValueError, "interval=0"),
        ({"interval": float("nan")}, ValueError, "interval=nan"),
        ({"interval": float("inf")}, ValueError, "interval=inf"),
        ({"max_peers": -1}, ValueError, "max_peers=-1"),
        ({"monitor": hs.Push()}, TypeError, "expected an open Pub or XPub, or an endpoint"),
        ({"monitor": hs.XPub(xpub_manual=True)}, ValueError, "xpub_manual"),
        ({"monitor": hs.Pub(conflate=True)}, ValueError, "conflate"),
        ({"monitor": hs.Pub()}, RuntimeError, "not open"),
        ({"monitor": "nowhere"}, hs.EndpointError, "nowhere"),
        ({"monitor": "inproc://taken"}, hs.AddressInUse, "taken"),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["start", "with"])
async def test_mistakes_are_told_at_once(
    form: str, arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    async with hs.Pull(bind="inproc://taken") as pull:
        given = {"monitor": HERE, "name": "d", "sockets": {"in": pull}} | arguments
        monitor = given.pop("monitor")
        with pytest.raises(error, match=said):  # noqa: PT012 - either form, in its own shape
            if form == "start":
                await publish_monitor(monitor, **given)
            else:
                async with monitor_feed(monitor, **given):
                    raise AssertionError("it should not have begun")


async def test_a_socket_that_is_closed_is_told() -> None:
    async with hs.Pull() as pull:
        async with hs.Pub() as pub:
            pass
        with pytest.raises(trio.ClosedResourceError):
            await publish_monitor(pub, name="d", sockets={"in": pull})
