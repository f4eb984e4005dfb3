"""``hypersocket demo``: each pattern and device at work over real tcp sockets, in one process.

What is delivered is printed, and compared with what should be.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from .. import (
    Dealer,
    Pair,
    Pub,
    Pull,
    Push,
    Rep,
    Req,
    Router,
    Sub,
    XPub,
    XSub,
    __version__,
    devices,
    speedups,
)
from ._outcome import Failed

ANY_PORT = "tcp://127.0.0.1:*"

PATIENCE = 10.0
"""Seconds that one pattern may take. It needs some thousandths."""


class DemoFailed(Failed):
    """Something other than what was sent has arrived, or nothing."""


def run() -> None:
    """Show every pattern and every device.

    Raises:
        DemoFailed: one of them did not deliver what it should.
    """
    print(f"hypersocket {__version__} ({speedups} core):", end=" ")
    print("each pattern and device at work, over tcp on 127.0.0.1")
    trio.run(_show_all)
    print("\nEvery message arrived where it should.")


async def _show_all() -> None:
    for number, (title, pattern) in enumerate(PATTERNS, 1):
        print(f"\n{number}. {title}")
        try:
            with trio.fail_after(PATIENCE):
                await pattern()
        except trio.TooSlowError:
            raise DemoFailed(f"{title}: nothing arrived within {PATIENCE:g} seconds") from None


def _delivered(source: str, sink: str, message: bytes, expected: bytes) -> None:
    """Print what went from whom to whom, and check it."""
    print(f"   {source:>11}  ->  {sink:<11} {message.decode(errors='replace')}")
    if message != expected:
        raise DemoFailed(f"{sink} was to receive {expected!r}, and received {message!r}")


async def _request_reply() -> None:
    async with Rep(bind=ANY_PORT) as server, Req(connect=server.endpoints[0]) as client:
        await client.send(b"How many legs has a spider?")
        _delivered("client", "server", await server.recv(), b"How many legs has a spider?")
        await server.send(b"Eight.")
        _delivered("server", "client", await client.recv(), b"Eight.")


async def _request_reply_through_a_queue() -> None:
    async with (
        Router(bind=ANY_PORT) as front,
        Dealer(bind=ANY_PORT) as back,
        Rep() as first,
        Rep() as second,
        Req(connect=front.endpoints) as ann,
        Req(connect=front.endpoints) as bob,
        trio.open_nursery() as nursery,
    ):
        for count, worker in enumerate((first, second), 1):
            await worker.connect(back.endpoints[0])
            await back.wait_connected(count)  # so that the first is first in turn
        device: devices.Device = await nursery.start(devices.queue, front, back)
        heard: list[tuple[str, bytes]] = []
        nursery.start_soon(_square, "worker 1", first, heard)
        nursery.start_soon(_square, "worker 2", second, heard)
        for name, client, number, worker_name, square in (
            ("ann", ann, b"7", "worker 1", b"49"),
            ("bob", bob, b"8", "worker 2", b"64"),
            ("ann", ann, b"9", "worker 1", b"81"),
        ):
            reply = await client.request(number)
            heard_by, question = heard.pop()
            _delivered(name, heard_by, question, number)
            _delivered(heard_by, name, reply, square)
            if heard_by != worker_name:
                raise DemoFailed(f"it was the turn of {worker_name}, not of {heard_by}")
        await _stopped(device)
        nursery.cancel_scope.cancel()


async def _stopped(device: devices.Device) -> None:
    """Stop a device, and check that nothing was left in it."""
    result = await device.stop()
    if not result.complete:
        raise DemoFailed(f"the {device.name} has not delivered all that it had accepted: {result}")


async def _square(name: str, worker: Rep, heard: list[tuple[str, bytes]]) -> None:
    async for number in worker:
        heard.append((name, number))
        await worker.send(str(int(number) ** 2).encode())


async def _publish_subscribe() -> None:
    async with (
        Pub(bind=ANY_PORT) as publisher,
        Sub(connect=publisher.endpoints, subscribe="weather") as farmer,
        Sub(connect=publisher.endpoints, subscribe=["sport", "weather storm"]) as sailor,
    ):
        await publisher.wait_subscribed("weather storm", 2)
        await publisher.wait_subscribed("sport")
        await publisher.send_many([b"weather rain", b"music opera", b"sport regatta at three"])
        await publisher.send(b"weather storm by night")
        for message in (b"weather rain", b"weather storm by night"):
            _delivered("publisher", "farmer", await farmer.recv(), message)
        for message in (b"sport regatta at three", b"weather storm by night"):
            _delivered("publisher", "sailor", await sailor.recv(), message)


async def _publish_subscribe_through_a_forwarder() -> None:
    async with (
        XSub(bind=ANY_PORT) as front,
        XPub(bind=ANY_PORT) as back,
        Pub(connect=front.endpoints) as publisher,
        Sub(connect=back.endpoints, subscribe="price") as trader,
        Sub(connect=back.endpoints, subscribe=["price", "gossip"]) as reporter,
        trio.open_nursery() as nursery,
    ):
        device: devices.Device = await nursery.start(devices.forwarder, front, back)
        # Subscriptions travel upstream, each once, and the publisher sends nothing else.
        await publisher.wait_subscribed("price")
        await publisher.wait_subscribed("gossip")
        await back.wait_subscribed("price", 2)
        await publisher.send_many([b"weather rain", b"gossip she has left", b"price 42"])
        _delivered("publisher", "trader", await trader.recv(), b"price 42")
        for message in (b"gossip she has left", b"price 42"):
            _delivered("publisher", "reporter", await reporter.recv(), message)
        carried = device.stats().frontend.messages_in
        if carried != 2:
            raise DemoFailed(f"2 messages were wanted, and the forwarder was sent {carried}")
        await _stopped(device)


async def _pipeline() -> None:
    async with (
        Push(bind=ANY_PORT) as source,
        Pull() as first,
        Pull() as second,
        Pull() as third,
    ):
        workers = {"worker 1": first, "worker 2": second, "worker 3": third}
        for count, worker in enumerate(workers.values(), 1):
            await worker.connect(source.endpoints[0])
            await source.wait_connected(count)
        for number in range(1, 10):
            await source.send(str(number).encode())
        for first_job, (name, worker) in enumerate(workers.items(), 1):
            jobs = [await worker.recv() for _ in range(3)]
            expected = b", ".join(str(first_job + 3 * turn).encode() for turn in range(3))
            _delivered("source", name, b"jobs " + b", ".join(jobs), b"jobs " + expected)


async def _pipeline_through_a_streamer() -> None:
    async with (
        Pull(bind=ANY_PORT) as front,
        Push(bind=ANY_PORT) as back,
        Push(connect=front.endpoints) as mine,
        Push(connect=front.endpoints) as quarry,
        Pull(connect=back.endpoints) as smelter,
        trio.open_nursery() as nursery,
    ):
        device: devices.Device = await nursery.start(devices.streamer, front, back)
        for name, source, load in (("mine", mine, b"ore"), ("quarry", quarry, b"stone")):
            for number in range(1, 4):
                await source.send(b"%s %d" % (load, number))
            for number in range(1, 4):
                _delivered(name, "smelter", await smelter.recv(), b"%s %d" % (load, number))
        await _stopped(device)


async def _pair() -> None:
    async with Pair(bind=ANY_PORT) as left, Pair(connect=left.endpoints) as right:
        await left.send_multipart([b"a message", b"of two frames"])
        await right.send(b"and one the other way")
        frames = await right.recv_multipart()
        _delivered("left", "right", b" | ".join(frames), b"a message | of two frames")
        _delivered("right", "left", await left.recv(), b"and one the other way")


PATTERNS: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
    ("Request and reply (REQ, REP)", _request_reply),
    (
        "Request and reply through a queue (REQ, ROUTER, DEALER, REP)",
        _request_reply_through_a_queue,
    ),
    ("Publish and subscribe (PUB, SUB)", _publish_subscribe),
    (
        "Publish and subscribe through a forwarder (PUB, XSUB, XPUB, SUB)",
        _publish_subscribe_through_a_forwarder,
    ),
    ("Pipeline (PUSH, PULL)", _pipeline),
    ("Pipeline through a streamer (PUSH, PULL, PUSH, PULL)", _pipeline_through_a_streamer),
    ("Exclusive pair (PAIR)", _pair),
)
