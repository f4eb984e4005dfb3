"""What happens within a call: a connection that ends while its message is taken, and the like."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import trio
import trio.testing

import hypersocket
from hypersocket._events import ConnectRetried
from hypersocket._reasons import DropReason
from hypersocket._speedups import PipeQueues

from .worlds import eventually, joined

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


def _ready(socket_type: bytes) -> bytes:
    body = b"\x05READY\x0bSocket-Type" + len(socket_type).to_bytes(4, "big") + socket_type
    return bytes([4, len(body)]) + body


async def _speak(stream: trio.SocketStream, socket_type: bytes, frames: bytes) -> None:
    await stream.send_all(GREETING + _ready(socket_type) + frames)


BROKEN = b"\xff\x00"


async def _dialled(socket: Any) -> trio.SocketListener:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    await socket.connect(f"tcp://127.0.0.1:{listener.socket.getsockname()[1]}")
    return listener


async def test_a_router_names_whose_connection_ends_as_its_message_is_taken() -> None:
    async with hypersocket.Router(rcvhwm=1, linger=0.0, reconnect_ivl=5.0) as router:
        listener = await _dialled(router)
        async with listener, await listener.accept() as peer:
            await _speak(peer, b"DEALER", b"\0\1a" + BROKEN)
            await router.wait_connected()
            await eventually(lambda: router.stats().queued_in == 1)
            routing_id, body = await router.recv_multipart()
            assert routing_id[:1] == b"\0"
            assert body == b"a"
            assert router.stats().disconnects == 1


async def test_a_rep_answers_none_but_the_connection_that_asked() -> None:
    async with hypersocket.Rep(rcvhwm=1, linger=0.0, reconnect_ivl=0.0) as rep:
        listener = await _dialled(rep)
        async with listener, await listener.accept() as peer:
            await _speak(peer, b"REQ", b"\1\0\0\1a" + BROKEN)
            await rep.wait_connected()
            await eventually(lambda: rep.stats().queued_in == 1)
            assert await rep.recv() == b"a"
            assert rep.stats().disconnects == 1
            async with await listener.accept() as other:
                await _speak(other, b"REQ", b"")
                await rep.wait_connected()
                await rep.send(b"for the first")
                assert rep.stats().drops == {DropReason.PEER_GONE: 1}


async def test_a_peer_that_reconnects_has_one_turn() -> None:
    async with hypersocket.Router() as router:
        for i in range(4):
            async with hypersocket.Dealer(bind="inproc://again") as dealer:
                if not i:
                    await router.connect("inproc://again")
                await dealer.wait_connected()
                await dealer.send_many([b"1", b"2"])
                if i == 3:
                    assert len(router._queue) == 1
                    received = [await router.recv_multipart() for _ in range(8)]
                    assert [body for _, body in received] == [b"1", b"2"] * 4


async def test_inproc_pauses_grow_while_the_peer_ends_each_connection_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with (
        hypersocket.Pub(bind="inproc://narrow", max_subscriptions=1),
        hypersocket.Sub(subscribe=[b"a", b"b"], reconnect_ivl=0.1, reconnect_ivl_max=100.0) as sub,
        sub.monitor() as events,
    ):
        await sub.connect("inproc://narrow")
        pauses: list[float] = []
        async for event in events:
            if isinstance(event, ConnectRetried):
                pauses.append(event.retry_in)
                if len(pauses) == 9:
                    break
    assert pauses[-1] > 0.5 * 0.1 * 2**7


def _ignore(*_: object) -> None:
    pass


class _Owner:
    def __getattr__(self, name: str) -> Any:
        return _ignore


class _Queues(PipeQueues):
    def __init__(self, *, conflate: bool) -> None:
        super().__init__(_Owner(), 10, 10, conflate)
        self.dropped: list[tuple[DropReason, int]] = []

    def drop(self, reason: DropReason, count: int = 1) -> None:
        self.dropped.append((reason, count))


def test_what_comes_back_is_older_than_the_newest() -> None:
    queues = _Queues(conflate=True)
    queues.send(b"1")
    taken = queues.take_outgoing(10, 100)
    queues.send(b"2")
    queues.put_back(taken, False)
    assert queues.dropped == [(DropReason.CONFLATED, 1)]
    assert queues.take_outgoing(10, 100) == [b"2"]


def test_the_same_bytes_sent_anew_are_another_message() -> None:
    message = b"the same"
    for conflate in (False, True):
        queues = _Queues(conflate=conflate)
        for _ in range(2):
            if not conflate:
                queues.discard_outgoing()
            queues.send(message)
            queues.put_back(queues.take_outgoing(10, 100), True)
        assert queues.queued_out == 1
        assert all(reason is DropReason.CONFLATED for reason, _ in queues.dropped)


@pytest.mark.parametrize("waits", ["to receive", "to send"])
async def test_waiting_leaves_nothing_to_the_garbage_collector(here: str, waits: str) -> None:
    """What a task was woken with would be kept by it, batch upon batch."""
    rounds = 100
    async with joined(hypersocket.Pull(rcvhwm=1), hypersocket.Push(sndhwm=1), here) as (pull, push):

        async def send() -> None:
            for _ in range(rounds):
                if waits == "to receive":
                    await trio.testing.wait_all_tasks_blocked()
                await push.send(bytes(100_000))

        async def receive() -> None:
            for _ in range(rounds):
                if waits == "to send":
                    await trio.testing.wait_all_tasks_blocked()
                await pull.recv()

        gc.collect()
        gc.disable()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                await receive()
            assert gc.collect() < rounds // 2
        finally:
            gc.enable()
