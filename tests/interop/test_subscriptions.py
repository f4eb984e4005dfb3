"""Subscriptions, and the options that concern them, with libzmq at the other side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import zmq

import hypersocket as hs

from .peers import (
    PATIENCE,
    Binder,
    Side,
    Theirs,
    eventually,
    join,
    ours,
    until_heard,
    wildcard,
)

TCP = "tcp://127.0.0.1:*"
BINDERS = ["ours binds", "theirs binds"]


@pytest.mark.parametrize("binder", BINDERS)
async def test_topics_of_their_sub(binder: Binder) -> None:
    async with ours("PUB") as mine, Theirs("SUB") as theirs:
        await join(mine, theirs, binder, TCP)
        theirs.subscribe(b"a")
        theirs.subscribe(b"b.")
        async with theirs.attending():
            await mine.wait_subscribed(b"a")
            await mine.wait_subscribed(b"b.")
        for topic in (b"", b"b", b"abc", b"c", b"b.", b"ba"):
            await mine.send_multipart([topic, b"body"])
        assert await theirs.recv_multipart() == [b"abc", b"body"]
        assert await theirs.recv_multipart() == [b"b.", b"body"]
        theirs.unsubscribe(b"a")
        await eventually(lambda: mine.stats().peers[0].subscriptions == 1)
        await mine.send(b"abc")
        await mine.send(b"b.c")
        assert await theirs.recv() == b"b.c"
        stats = mine.stats()
        assert stats.messages_out + stats.queued_out == 3  # a publisher filters


@pytest.mark.parametrize("binder", BINDERS)
async def test_topics_of_our_sub(binder: Binder) -> None:
    async with ours("SUB", subscribe=[b"a", "b."]) as mine, Theirs("XPUB") as theirs:
        await join(mine, theirs, binder, TCP)
        assert {await theirs.recv(), await theirs.recv()} == {b"\1a", b"\1b."}
        for topic in (b"", b"b", b"abc", b"c", b"b.", b"ba"):
            await theirs.send_multipart([topic, b"body"])
        assert await mine.recv_multipart() == [b"abc", b"body"]
        assert await mine.recv_multipart() == [b"b.", b"body"]
        mine.unsubscribe("a")
        assert await theirs.recv() == b"\0a"
        await theirs.send(b"abc")
        await theirs.send(b"b.c")
        assert await mine.recv() == b"b.c"
        assert mine.stats().messages_in == 3


@pytest.mark.parametrize("binder", BINDERS)
async def test_many_topics_both_ways(binder: Binder) -> None:
    topics = [b"topic-%d" % number for number in range(3000)]
    async with ours("XPUB", rcvhwm=0) as mine, Theirs("XSUB", sndhwm=0) as theirs:
        await join(mine, theirs, binder, TCP)
        await theirs.send_many([b"\1" + topic for topic in topics])
        async with theirs.attending():  # it may not have seen the connection yet
            got = [await mine.recv() for _ in topics]
        assert sorted(got) == sorted(b"\1" + topic for topic in topics)
        await theirs.send_many([b"\0" + topic for topic in topics])
        assert [await mine.recv() for _ in topics] == [b"\0" + topic for topic in topics]
    async with ours("SUB", subscribe=topics) as sub, Theirs("XPUB", rcvhwm=0) as theirs:
        await join(sub, theirs, binder, TCP)
        assert set(await theirs.recv_exactly(len(topics))) == {b"\1" + topic for topic in topics}
        for topic in topics:
            sub.unsubscribe(topic)
        assert set(await theirs.recv_exactly(len(topics))) == {b"\0" + topic for topic in topics}


VERBOSITY = {
    "first and last": ({}, [b"\1t", b"\0t"]),
    "verbose": ({"xpub_verbose": True}, [b"\1t", b"\1t", b"\0t"]),
    "verboser": ({"xpub_verboser": True}, [b"\1t", b"\1t", b"\0t", b"\0t"]),
}


@asynccontextmanager
async def our_xpub(options: dict[str, bool]) -> AsyncIterator[tuple[Any, list[Any]]]:
    async with ours("XPUB", **options) as mine, Theirs("SUB") as one, Theirs("SUB") as two:
        endpoint = await mine.bind(TCP)
        for theirs in (one, two):
            theirs.connect(endpoint)
        await mine.wait_connected(2)
        yield mine, [one, two]


@asynccontextmanager
async def their_xpub(options: dict[str, bool]) -> AsyncIterator[tuple[Any, list[Any]]]:
    async with Theirs("XPUB", **options) as theirs, ours("SUB") as one, ours("SUB") as two:
        endpoint = theirs.bind(TCP)
        for mine in (one, two):
            await mine.connect(endpoint)
            await mine.wait_connected()
        yield theirs, [one, two]


@pytest.mark.parametrize("whose", [our_xpub, their_xpub])
@pytest.mark.parametrize(("options", "expected"), list(VERBOSITY.values()), ids=list(VERBOSITY))
async def test_what_an_xpub_tells(
    whose: Any, options: dict[str, bool], expected: list[bytes]
) -> None:
    async with whose(options) as (xpub, subs):
        marker = iter("abcd")
        got: list[bytes] = []

        async def collect() -> None:
            """Receive up to a subscription of a topic that is new."""
            sign = next(marker).encode()
            sub.subscribe(sign)
            while (notice := await xpub.recv()) != b"\1" + sign:
                got.append(notice)

        for sub in subs:
            sub.subscribe(b"t")
            await collect()
        for sub in subs:
            sub.unsubscribe(b"t")
            await collect()
        assert got == expected


async def test_our_xpub_forgets_the_topics_of_those_who_leave() -> None:
    async with ours("XPUB") as mine, Theirs("SUB", subscribe=b"topic") as theirs:
        await join(mine, theirs, "ours binds", TCP)
        assert await mine.recv() == b"\1topic"
        await theirs.close(linger=0)
        assert await mine.recv() == b"\0topic"


async def test_their_xpub_forgets_the_topics_of_ours_that_leave() -> None:
    async with Theirs("XPUB") as theirs:
        async with ours("SUB", subscribe=b"topic") as mine:
            await join(mine, theirs, "theirs binds", TCP)
            assert await theirs.recv() == b"\1topic"
        assert await theirs.recv() == b"\0topic"


async def test_our_manual_xpub() -> None:
    async with ours("XPUB", xpub_manual=True) as mine, Theirs("XSUB") as theirs:
        await join(mine, theirs, "ours binds", TCP)
        await theirs.send(b"\1asked")
        assert await mine.recv() == b"\1asked"
        mine.subscribe(b"given")
        await mine.send(b"asked for")
        await mine.send(b"given instead")
        assert await theirs.recv() == b"given instead"
        await theirs.send(b"\0asked")
        assert await mine.recv() == b"\0asked"
        mine.unsubscribe(b"given")
        mine.subscribe(b"last")
        await mine.send(b"given no more")
        await mine.send(b"last")
        assert await theirs.recv() == b"last"


async def test_their_manual_xpub() -> None:
    async with Theirs("XPUB", xpub_manual=1) as theirs, ours("XSUB") as mine:
        await join(mine, theirs, "theirs binds", TCP)
        await mine.send(b"\1asked")
        assert await theirs.recv() == b"\1asked"
        theirs.subscribe(b"given")
        await theirs.send(b"asked for")
        await theirs.send(b"given instead")
        assert await mine.recv() == b"given instead"
        await mine.send(b"\0asked")
        assert await theirs.recv() == b"\0asked"
        theirs.unsubscribe(b"given")
        theirs.subscribe(b"last")
        await theirs.send(b"given no more")
        await theirs.send(b"last")
        assert await mine.recv() == b"last"


@pytest.mark.parametrize("binder", BINDERS)
async def test_our_welcome_message(binder: Binder) -> None:
    async with (
        ours("XPUB", xpub_welcome_msg=b"welcome") as mine,
        Theirs("SUB", subscribe=b"w") as theirs,
    ):
        await join(mine, theirs, binder, TCP)
        assert await theirs.recv() == b"welcome"
        assert await mine.recv() == b"\1w"


@pytest.mark.parametrize("binder", BINDERS)
async def test_their_welcome_message(binder: Binder) -> None:
    async with (
        ours("SUB", subscribe=b"w") as mine,
        Theirs("XPUB", xpub_welcome_msg=b"welcome") as theirs,
    ):
        await join(mine, theirs, binder, TCP)
        assert await theirs.recv() == b"\1w"
        assert await mine.recv() == b"welcome"


async def test_inverted_matching_of_ours() -> None:
    async with (
        ours("PUB", invert_matching=True) as mine,
        Theirs("SUB", invert_matching=1, subscribe=b"not") as theirs,
    ):
        await join(mine, theirs, "ours binds", TCP)
        await mine.wait_subscribed(b"not")
        await mine.send(b"not this")
        await mine.send(b"but this")
        assert await theirs.recv() == b"but this"


async def test_inverted_matching_of_theirs() -> None:
    async with (
        ours("SUB", invert_matching=True, subscribe=b"not") as mine,
        Theirs("XPUB", invert_matching=1) as theirs,
    ):
        await join(mine, theirs, "theirs binds", TCP)
        assert await theirs.recv() == b"\1not"
        await theirs.send(b"not this")
        await theirs.send(b"but this")
        assert await mine.recv() == b"but this"


async def test_our_conflation() -> None:
    async with ours("PULL", conflate=True) as mine, Theirs("PUSH") as theirs:
        await join(mine, theirs, "ours binds", TCP)
        await theirs.send_many(b"%d" % number for number in range(100))
        await eventually(lambda: mine.stats().messages_in == 100)
        assert await mine.recv() == b"99"
        assert mine.stats().drops == {hs.DropReason.CONFLATED: 99}


async def test_their_conflation() -> None:
    async with ours("PUSH") as mine, Theirs("PULL", conflate=1) as theirs:
        theirs.connect(await mine.bind(TCP))
        for number in range(100):
            await mine.send(b"%d" % number)
        seen = [int(await theirs.recv())]
        while seen[-1] != 99:
            seen.append(int(await theirs.recv()))
        assert seen == sorted(set(seen))


async def test_our_conflating_publisher() -> None:
    async with ours("PUB", conflate=True) as mine, Theirs("SUB", subscribe=b"") as theirs:
        await join(mine, theirs, "ours binds", TCP)
        await mine.wait_subscribed(b"")
        for number in range(100):
            mine.send_nowait(b"%d" % number)
        assert await theirs.recv() == b"99"


# Forwarding


async def exchange(publisher: Any, subscriber: Any) -> None:
    subscriber.subscribe(b"news.")
    await until_heard(publisher.send, subscriber.recv_multipart, b"news.")
    for number in range(100):
        await publisher.send_multipart([b"other", b"%d" % number])
        await publisher.send_multipart([b"news.", b"%d" % number])
    for number in range(100):
        assert await subscriber.recv_multipart() == [b"news.", b"%d" % number]


async def forward(source: Side, sink: Side) -> None:
    while True:
        await sink.send_multipart(await source.recv_multipart())


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_our_proxy_between_theirs(transport: str, tmp_path: Path) -> None:
    async with (
        ours("XSUB") as front,
        ours("XPUB") as back,
        Theirs("PUB") as publisher,
        Theirs("SUB") as subscriber,
        trio.open_nursery() as nursery,
    ):
        publisher.connect(await front.bind(wildcard(transport, tmp_path, "front")))
        subscriber.connect(await back.bind(wildcard(transport, tmp_path, "back")))
        nursery.start_soon(forward, front, back)
        nursery.start_soon(forward, back, front)
        await exchange(publisher, subscriber)
        subscriber.unsubscribe(b"news.")
        with trio.fail_after(PATIENCE):  # until the publisher knows that nobody wants it any more
            while True:
                before = front.stats().messages_in
                await publisher.send(b"news.")
                await trio.sleep(0.01)
                if front.stats().messages_in == before:
                    break
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_their_proxy_between_ours(transport: str, tmp_path: Path) -> None:
    context = zmq.Context()
    front, back = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
    front.linger = back.linger = 0
    front.bind(wildcard(transport, tmp_path, "front"))
    back.bind(wildcard(transport, tmp_path, "back"))

    def run() -> None:
        try:
            zmq.proxy(front, back)
        except zmq.ContextTerminated:
            pass
        finally:
            front.close()
            back.close()

    where = [socket.getsockopt_string(zmq.LAST_ENDPOINT) for socket in (front, back)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, run)
        try:
            async with ours("PUB") as publisher, ours("SUB") as subscriber:
                await publisher.connect(where[0])
                await subscriber.connect(where[1])
                await exchange(publisher, subscriber)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(context.term)
