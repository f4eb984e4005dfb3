"""A busy socket starves nobody: others run after so many calls and bytes, whatever comes.

Time is not measured. A task that does nothing but let others run counts its turns, and what the
busy one has done between two of them has to stay within bounds.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

import hypersocket as hs
from hypersocket._speedups import PIECE
from hypersocket.sockets._socket import BUDGET
from hypersocket.zmtp import Connection
from hypersocket.zmtp import HandshakeSucceeded as ShookHands

from .worlds import joined

MOST_CALLS = 2 * (BUDGET + 1)
"""Between two turns of another: tasks run in any order, so that two turns of one may adjoin."""

MOST_BYTES = 3 * (BUDGET << PIECE)
"""Of messages; and the two last calls, which may be as large as they like."""


class Ticks:
    """Counts what a busy task does between two turns of another."""

    def __init__(self) -> None:
        self.calls = self.bytes = 0
        self.most_calls = self.most_bytes = 0
        self.largest = 0

    def did(self, size: int) -> None:
        """One call, of so many bytes."""
        self.calls += 1
        self.bytes += size
        self.largest = max(self.largest, size)
        self.most_calls = max(self.most_calls, self.calls)
        self.most_bytes = max(self.most_bytes, self.bytes)

    async def run(self) -> None:
        while True:
            self.calls = self.bytes = 0
            await trio.lowlevel.checkpoint()


KINDS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "push and pull": (hs.Push, hs.Pull),
    "pub and sub": (hs.Pub, lambda: hs.Sub(subscribe="")),
    "dealer and router": (hs.Dealer, hs.Router),
    "router and dealer": (hs.Router, lambda: hs.Dealer(routing_id=b"d")),
    "pair": (hs.Pair, hs.Pair),
    "dealer and dealer": (hs.Dealer, hs.Dealer),
}


def one(sender: Any, body: bytes) -> tuple[Callable[[], Awaitable[Any]], int]:
    if isinstance(sender, hs.Router):
        return (lambda: sender.send_multipart([b"d", body])), len(body)
    return (lambda: sender.send(body)), len(body)


def many(sender: Any, body: bytes) -> tuple[Callable[[], Awaitable[Any]], int]:
    batch = [b"", *[body] * 15]
    return (lambda: sender.send_many(batch)), 15 * len(body)


async def receive_one(receiver: Any) -> int:
    if isinstance(receiver, hs.Router):
        return len((await receiver.recv_multipart())[1])
    if isinstance(receiver, hs.Dealer):
        return sum(map(len, await receiver.recv_multipart()))
    return len(await receiver.recv())


async def receive_many(receiver: Any) -> int:
    return sum(map(len, await receiver.recv_many()))


@pytest.mark.parametrize("size", [1, 100, 70_000])
@pytest.mark.parametrize("batches", [False, True], ids=["one by one", "batches"])
@pytest.mark.parametrize("kind", KINDS)
async def test_busy_sockets(kind: str, batches: bool, size: int, here: str) -> None:
    """Both sides in this loop, each as busy as it can be."""
    if batches and "router" in kind:
        return
    make_sender, make_receiver = KINDS[kind]
    sending, receiving = Ticks(), Ticks()
    async with joined(make_receiver(), make_sender(), here) as (receiver, sender):
        if isinstance(sender, hs.Pub):
            await sender.wait_subscribed("")
        call, sent = (many if batches else one)(sender, bytes([7]) * size)
        receive = receive_many if batches else receive_one
        enough = 100 if batches else 3000 if size < 1000 else 200

        async def send() -> None:
            while True:
                await call()
                sending.did(sent)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sending.run)
            nursery.start_soon(receiving.run)
            nursery.start_soon(send)
            for _ in range(enough):
                receiving.did(await receive(receiver))
            nursery.cancel_scope.cancel()
    for ticks in (sending, receiving):
        assert ticks.most_calls <= MOST_CALLS
        assert ticks.most_bytes <= MOST_BYTES + 2 * ticks.largest


class Flood:
    """A peer in a thread of its own, which writes the same all the time until it is stopped."""

    def __init__(self, port: int, kind: str, data: bytes, most: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        conn = Connection(kind, as_server=False, now=0.0)
        self.sock.sendall(conn.data_to_send())
        done = False
        while not done:
            conn.receive(self.sock.recv(1000), 0.0)
            done = any(isinstance(event, ShookHands) for event in conn.next_events())
            self.sock.sendall(conn.data_to_send())
        self.data = data * max(1, 100_000 // len(data))
        self.most = most
        self.wrote = 0
        self.thread = threading.Thread(target=self.write)

    def write(self) -> None:
        try:
            while self.wrote < self.most:
                self.wrote += self.sock.send(self.data)
        except OSError:
            pass

    def stop(self) -> None:
        self.most = 0
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join()


FLOODS: dict[str, tuple[Callable[[], Any], str, bytes]] = {
    "messages": (hs.Pull, "PUSH", b"\0\1x"),
    "messages of many frames": (hs.Pull, "PUSH", b"\1\0\1\0\0\0"),
    "large messages": (hs.Pull, "PUSH", b"\2" + (70_000).to_bytes(8) + bytes(70_000)),
    "commands": (hs.Pull, "PUSH", b"\4\7\4PING\0\0"),
    "what nobody subscribed to": (lambda: hs.Sub(subscribe="y"), "PUB", b"\0\1x"),
    "what nobody subscribed to, in frames": (
        lambda: hs.Sub(subscribe="y"),
        "PUB",
        b"\1\1x\0\1x",
    ),
    "subscriptions": (hs.XPub, "SUB", b"\0\2\1a\0\2\0a"),
}


@pytest.mark.parametrize("call", ["recv", "recv_multipart", "recv_many"])
@pytest.mark.parametrize("what", FLOODS)
async def test_a_peer_that_floods(what: str, call: str) -> None:
    """However fast it writes, and whether or not anything comes of it."""
    make, kind, data = FLOODS[what]
    total = 600_000
    async with make() as receiver:
        address = await receiver.bind("tcp://127.0.0.1:*")
        flood = await trio.to_thread.run_sync(
            Flood, int(address.rpartition(":")[2]), kind, data, 100 * total
        )
        await receiver.wait_connected()
        most = before = 0

        async def tick() -> None:
            nonlocal most, before
            while True:
                wrote = flood.wrote
                most = max(most, wrote - before)
                before = wrote
                if wrote > total:
                    nursery.cancel_scope.cancel()
                await trio.lowlevel.checkpoint()

        flood.thread.start()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tick)
                while not nursery.cancel_scope.cancel_called:
                    try:
                        await getattr(receiver, call)()
                    except hs.MultipartError:
                        await receiver.recv_multipart()
        finally:
            flood.stop()
        # What fits into the system's buffers may have been written besides.
        assert most < 30_000_000


async def take_one_by_one(receiver: Any, enough: int) -> int:
    for _ in range(enough):
        await receiver.recv()
    return enough


async def take_lists(receiver: Any, enough: int) -> int:
    for _ in range(enough):
        await receiver.recv_multipart()
    return enough


async def take_batches(receiver: Any, enough: int) -> int:
    taken = 0
    while taken < enough:
        taken += len(await receiver.recv_many())
    return taken


async def take_batches_of_one(receiver: Any, enough: int) -> int:
    for _ in range(enough):
        await receiver.recv_many(1)
    return enough


async def pass_on(receiver: Any, enough: int) -> int:
    """As a device takes what comes."""
    taken = 0

    def take(messages: list[Any]) -> bool:
        nonlocal taken
        taken += len(messages)
        return taken < enough

    await receiver._pass_on(take, 256)
    return taken


async def most_between_turns(receiving: Awaitable[object], came: Callable[[], int]) -> int:
    """How far ``came`` counts between two turns of another task."""
    most = before = came()

    async def tick() -> None:
        nonlocal most, before
        while True:
            most, before = max(most, came() - before), came()
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        await trio.lowlevel.checkpoint()
        await receiving
        nursery.cancel_scope.cancel()
    return max(most, came() - before)


WAYS = [take_one_by_one, take_lists, take_batches, take_batches_of_one, pass_on]


@pytest.mark.parametrize("between", [249, 31, 7])
@pytest.mark.parametrize("unwanted", [[b"x"], [b"x", b"frame"]], ids=["single", "multipart"])
@pytest.mark.parametrize("receive", WAYS)
async def test_a_few_that_are_wanted_among_many(
    receive: Callable[[Any, int], Awaitable[int]], unwanted: list[bytes], between: int
) -> None:
    wanted = 25_000 // between
    total = (between + 1) * wanted
    async with (
        hs.Pub(bind="inproc://p", sndhwm=0) as pub,
        hs.Sub(connect="inproc://p", subscribe=["", "y"]) as sub,
    ):
        await pub.wait_subscribed("y")
        for _ in range(wanted):
            for _ in range(between):
                pub.send_multipart_nowait(unwanted)
            pub.send_nowait(b"y")
        sub.unsubscribe("")  # and each is looked at when it is taken

        async def take_all() -> None:
            assert await receive(sub, wanted) == wanted

        most = await most_between_turns(take_all(), lambda: sub.stats().messages_in)
        assert sub.stats().messages_in == total
    # Tasks run in any order, so that two turns of one may adjoin; and the last call may pass
    # over as many as one does, which makes room for others to come.
    assert most <= 3 * (8 * BUDGET + 2 * sub.rcvhwm) // 2


async def test_subscriptions_in_batches() -> None:
    topics = 30_000
    taken = 0
    async with (
        hs.XPub(bind="inproc://p", rcvhwm=0) as xpub,
        hs.XSub(connect="inproc://p") as xsub,
    ):
        await xpub.wait_connected()
        await xsub.send_many([b"\1%d" % number for number in range(topics)])

        async def take_all() -> None:
            nonlocal taken
            while taken < topics:
                taken += len(await xpub.recv_many())

        assert await most_between_turns(take_all(), lambda: taken) <= 3 * 8 * BUDGET
