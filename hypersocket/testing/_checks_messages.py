"""Checks of a transport: messages."""

from __future__ import annotations

import hashlib

import trio

from .. import sockets as s
from .._reasons import DropReason
from ._asserting import expect, same, until, within
from ._transport_scene import SOON, Checks, MakeEndpoint, free_endpoint, push_pull, receive

MESSAGE_CHECKS = Checks()

PAYLOAD = bytes(range(256)) * 256
"""64 KiB: a few of them fill any buffer of a system's that has a bound."""


async def _pass(make_endpoint: MakeEndpoint, *messages: list[bytes]) -> None:
    async with push_pull(make_endpoint) as (push, pull), trio.open_nursery() as nursery:

        async def send_all() -> None:
            for message in messages:
                await push.send_multipart(message)

        nursery.start_soon(send_all)
        for number, message in enumerate(messages):
            [got] = await receive(pull, 1, f"message {number} of {len(messages)} arrives")
            sizes = [len(frame) for frame in message]
            same([len(frame) for frame in got], sizes, "a message keeps its frames")
            expect(got == message, f"a message of frames of {sizes} bytes arrives as it was sent")


@MESSAGE_CHECKS
async def single_part_messages(make_endpoint: MakeEndpoint) -> None:
    """Single-part messages arrive as they were sent, the empty one too."""
    await _pass(make_endpoint, [b"one"], [b""], [b"\0"], [bytes(range(256))])


@MESSAGE_CHECKS
async def multipart_messages(make_endpoint: MakeEndpoint) -> None:
    """Multipart messages arrive whole, with frames of any size, and many of them."""
    await _pass(
        make_endpoint,
        [b"", b""],
        [b"a", b"", b"b"],
        [b"\0" * 255, b"\1" * 256, b"\2" * 70_000, b""],
        [b"%d" % number for number in range(1000)],
    )


@MESSAGE_CHECKS
async def sizes_around_the_short_frame(make_endpoint: MakeEndpoint) -> None:
    """Where ZMTP's short frame ends, nothing changes."""
    await _pass(make_endpoint, *([b"x" * size] for size in (1, 254, 255, 256, 257, 65535, 65536)))


@MESSAGE_CHECKS
async def large_messages(make_endpoint: MakeEndpoint) -> None:
    """Messages that pass every buffer's size arrive as they were sent."""
    noise = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(1 << 15))
    await _pass(make_endpoint, [noise], [b"before", noise + b"!", b"after"], [noise * 4], [b"end"])


@MESSAGE_CHECKS
async def order_is_kept(make_endpoint: MakeEndpoint) -> None:
    """Messages of one peer arrive in their order, each once, whatever their sizes."""
    await _pass(make_endpoint, *([b"%d" % n, b"x" * (n * 37 % 3000)] for n in range(2000)))


@MESSAGE_CHECKS
async def a_sent_message_is_the_receivers_own(make_endpoint: MakeEndpoint) -> None:
    """What the sender or another receiver does to its frames afterwards changes nothing."""
    async with (
        s.Pub(bind=make_endpoint()) as pub,
        s.Sub(connect=pub.endpoints, subscribe="") as one,
        s.Sub(connect=pub.endpoints, subscribe="") as other,
    ):
        await pub.wait_subscribed("", 2)
        frames = [bytearray(b"topic"), bytearray(b"body")]
        await pub.send_multipart(frames)
        frames[0][:] = b"WRONG"
        [first] = await receive(one, 1, "both subscribers receive")
        first.clear()
        [second] = await receive(other, 1, "both subscribers receive")
        same(second, [b"topic", b"body"], "each receiver has a message of its own")


@MESSAGE_CHECKS
async def both_ways_at_once(make_endpoint: MakeEndpoint) -> None:
    """Both sides may send while neither receives yet; neither stops the other."""
    async with s.Pair(bind=make_endpoint()) as one, s.Pair(connect=one.endpoints) as other:
        await one.wait_connected()
        wanted = [[b"%d" % number, PAYLOAD] for number in range(50)]

        async def send_all(socket: s.Pair) -> None:
            for message in wanted:
                await socket.send_multipart(message)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all, one)
            nursery.start_soon(send_all, other)
            for socket in (one, other):
                got = await receive(socket, 50, "traffic one way does not stop the other")
                expect(got == wanted, "messages keep their order both ways")


@MESSAGE_CHECKS
async def many_peers(make_endpoint: MakeEndpoint) -> None:
    """Many sockets connect to one endpoint; each keeps its order, and none is left out."""
    peers, each = 30, 20
    async with s.Pull(bind=make_endpoint()) as pull, trio.open_nursery() as nursery:

        async def speak(name: int) -> None:
            async with s.Push(connect=pull.endpoints) as push:
                for number in range(each):
                    await push.send_multipart([b"%d" % name, b"%d" % number])

        for name in range(peers):
            nursery.start_soon(speak, name)
        got = await receive(pull, peers * each, "every peer's messages arrive")
    for name in range(peers):
        numbers = [int(number) for who, number in got if who == b"%d" % name]
        same(numbers, list(range(each)), f"the messages of peer {name} keep their order")


@MESSAGE_CHECKS
async def replies_find_their_way(make_endpoint: MakeEndpoint) -> None:
    """A ROUTER's messages go back by the connection that they belong to."""
    async with (
        s.Router(bind=make_endpoint()) as router,
        s.Dealer(connect=router.endpoints, routing_id=b"first") as first,
        s.Dealer(connect=router.endpoints, routing_id=b"second") as second,
    ):
        for dealer, name in ((first, b"first"), (second, b"second")):
            await dealer.send(b"I am " + name)
        for _ in range(2):
            [[name, text]] = await receive(router, 1, "the routing id is told in the handshake")
            same(text, b"I am " + name, "a peer is known by the routing id that it announced")
            await router.send_multipart([name, b"you are " + name])
        for dealer, name in ((first, b"first"), (second, b"second")):
            got = await receive(dealer, 1, "a ROUTER's message reaches the peer it names")
            same(got, [[b"you are " + name]], "a ROUTER's message reaches the peer it names")


@MESSAGE_CHECKS
async def back_pressure(make_endpoint: MakeEndpoint) -> None:
    """A sender waits when nobody receives; queues keep their bounds, and nothing is lost."""
    hwm, most = 5, 4096
    async with push_pull(make_endpoint, push={"sndhwm": hwm}, pull={"rcvhwm": hwm}) as (push, pull):

        def check_bounds() -> None:
            expect(push.stats().queued_out <= hwm, f"at most sndhwm={hwm} messages wait to be sent")
            expect(pull.stats().queued_in <= hwm, f"at most rcvhwm={hwm} wait to be received")

        sent = 0
        while sent < most:
            with trio.move_on_after(0.2) as scope:
                await push.send_multipart([b"%d" % sent, PAYLOAD])
            if scope.cancelled_caught:
                break
            sent += 1
            check_bounds()
        expect(
            sent < most,
            f"send waits when nobody receives: {sent} messages of 64 KiB were accepted with "
            f"sndhwm={hwm} and rcvhwm={hwm}, so somebody stores what the marks should hold back",
        )
        would_block = False
        while not would_block:
            expect(sent < most, "send_nowait has the same bounds as send, and does not wait")
            try:
                push.send_multipart_nowait([b"%d" % sent, PAYLOAD])
            except trio.WouldBlock:
                would_block = True
            else:
                sent += 1
        async with trio.open_nursery() as nursery:

            async def send_more() -> None:
                for number in range(sent, sent + 50):
                    await push.send_multipart([b"%d" % number, PAYLOAD])

            nursery.start_soon(send_more)
            for number in range(sent + 50):
                [got] = await receive(pull, 1, "sending goes on when the receiver does")
                expect(
                    got == [b"%d" % number, PAYLOAD], f"message {number} is neither lost nor twice"
                )
                check_bounds()
        same(push.stats().dropped, 0, "a PUSH drops nothing")


@MESSAGE_CHECKS
async def a_slow_peer_stops_no_other(make_endpoint: MakeEndpoint) -> None:
    """While one peer does not receive, messages to the others go on."""
    async with (
        s.Pull(bind=make_endpoint(), rcvhwm=1) as slow,
        s.Pull(bind=make_endpoint()) as fast,
        s.Push(connect=[*slow.endpoints, *fast.endpoints], sndhwm=1, linger=0.0) as push,
    ):
        await push.wait_connected(2)
        async with trio.open_nursery() as nursery:

            async def send_many() -> None:
                for _ in range(1000):
                    await push.send(PAYLOAD)
                nursery.cancel_scope.cancel()

            async def receive_fast() -> None:
                async for _ in fast:
                    pass

            nursery.start_soon(receive_fast)
            with within("a peer that does not receive is passed over when it is full"):
                await send_many()


@MESSAGE_CHECKS
async def leaving_flushes(make_endpoint: MakeEndpoint) -> None:
    """Leaving the block waits, up to ``linger``, until what was sent has been written."""
    wanted = [[b"%d" % number, PAYLOAD] for number in range(60)]
    async with s.Pull(bind=make_endpoint(), rcvhwm=2) as pull, trio.open_nursery() as nursery:

        async def send_and_leave() -> None:
            async with s.Push(connect=pull.endpoints, linger=60.0) as push:
                for message in wanted:
                    await push.send_multipart(message)

        nursery.start_soon(send_and_leave)
        got = await receive(pull, len(wanted), "what was sent before leaving arrives")
        expect(got == wanted, "what was sent before leaving arrives in order, each once")


@MESSAGE_CHECKS
async def aclose_drops_and_counts(make_endpoint: MakeEndpoint) -> None:
    """``aclose`` waits for nothing; what was not written is counted as dropped."""
    endpoint = await free_endpoint(make_endpoint)
    async with s.Push(connect=endpoint, **SOON) as push:
        for _ in range(3):
            await push.send(b"to nobody")
        await push.aclose()
        stats = push.stats()
        same(stats.drops, {DropReason.LINGER: 3}, "aclose counts what it drops, under `linger`")
        same(stats.queued_out, 0, "nothing is queued after aclose")


@MESSAGE_CHECKS
async def linger_ends(make_endpoint: MakeEndpoint) -> None:
    """When ``linger`` is over, what is left is dropped, and counted."""
    endpoint = await free_endpoint(make_endpoint)
    with within("leaving waits for no more than `linger`"):
        async with s.Push(connect=endpoint, linger=0.05, **SOON) as push:
            await push.send(b"to nobody")
    same(push.stats().drops, {DropReason.LINGER: 1}, "what linger drops is counted")


@MESSAGE_CHECKS
async def every_message_is_accounted_for(make_endpoint: MakeEndpoint) -> None:
    """What ``send`` accepted is in messages_out, queued_out or dropped, before and after."""
    async with s.Pull(rcvhwm=3) as pull, s.Push(sndhwm=3, linger=0.0) as push:
        await push.connect(await pull.bind(make_endpoint()))
        await push.wait_connected()
        sent = 0
        for _ in range(4096):
            with trio.move_on_after(0.05) as scope:
                await push.send(PAYLOAD)
            if scope.cancelled_caught:
                break
            sent += 1
            _check_account(push, sent)
        await receive(pull, 3, "messages arrive")
        await until(lambda: pull.stats().messages_in >= 3, "what is received is counted")
        stats = pull.stats()
        same(stats.bytes_in, stats.messages_in * len(PAYLOAD), "bytes are those of the frames")
        same(stats.messages_in - stats.queued_in, 3, "what was taken is no longer queued")
        await pull.aclose()
        _check_account(push, sent)
        await push.aclose()
        _check_account(push, sent)


def _check_account(push: s.Push, sent: int) -> None:
    stats = push.stats()
    same(
        stats.messages_out + stats.queued_out + stats.dropped,
        sent,
        "messages_out + queued_out + dropped is what send accepted; there are "
        f"{stats.messages_out} + {stats.queued_out} + {stats.dropped}",
    )
    same(sum(stats.drops.values()), stats.dropped, "`drops` adds up to `dropped`")
