"""What a route takes where it is read, before any task is woken."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket.devices.amqp_gateway.routes._intake import Intake

LIMIT = 30.0


class Taker:
    """Takes what comes to a ROUTER, and remembers what came together.

    Attributes:
        came: the bodies, those of one round of reading in one list.
        room: what is answered to how many more may come.
    """

    def __init__(self, router: hs.Router) -> None:
        self.came: list[list[bytes]] = []
        self.room = 100
        self._scope = trio.CancelScope()
        self._intake = Intake(router, self._forward, self._stop)

    def _forward(self, messages: list[list[bytes]]) -> int:
        self.came.append([frames[-1] for frames in messages])
        if b"bad" in self.came[-1]:
            raise KeyError("bad")
        return self.room

    def _stop(self) -> None:
        self._scope.cancel()

    @property
    def all(self) -> list[bytes]:
        """All bodies, in order."""
        return [body for bodies in self.came for body in bodies]

    async def take(self, room: int) -> None:
        with trio.CancelScope() as self._scope:
            await self._intake.take(room)


@asynccontextmanager
async def pair(endpoint: str) -> AsyncGenerator[tuple[Taker, hs.Dealer]]:
    with trio.fail_after(LIMIT):
        async with (
            hs.Router(bind=endpoint) as router,
            hs.Dealer(connect=router.endpoints[0]) as dealer,
        ):
            await dealer.wait_connected()
            yield Taker(router), dealer


async def send(dealer: hs.Dealer, *bodies: bytes) -> None:
    """All in one packet, where there are packets."""
    for body in bodies:
        dealer.send_nowait(body)
    await dealer.flush()


async def test_what_is_read_together_is_forwarded_together() -> None:
    async with pair("tcp://127.0.0.1:*") as (taker, dealer), trio.open_nursery() as nursery:
        nursery.start_soon(taker.take, 100)
        await trio.testing.wait_all_tasks_blocked()
        await send(dealer, b"1", b"2", b"3")
        while not taker.came:
            await trio.lowlevel.checkpoint()
        taker.room = 0
        await send(dealer, b"4", b"5")
    assert taker.came == [[b"1", b"2", b"3"], [b"4", b"5"]]


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:*", "inproc://intake"])
async def test_no_more_is_taken_than_there_is_room_for(endpoint: str) -> None:
    async with pair(endpoint) as (taker, dealer):
        taker.room = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taker.take, 2)
            await trio.testing.wait_all_tasks_blocked()
            await send(dealer, *(b"%d" % number for number in range(5)))
        assert len(taker.all) <= 2
        while len(taker.all) < 5:
            await taker.take(2)
        assert max(map(len, taker.came)) <= 2
        assert taker.all == [b"%d" % number for number in range(5)]


async def test_what_forwarding_raises_leaves_the_socket_alone() -> None:
    async with pair("tcp://127.0.0.1:*") as (taker, dealer):
        with pytest.RaisesGroup(KeyError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(taker.take, 100)
                await trio.testing.wait_all_tasks_blocked()
                await send(dealer, b"bad")
        taker.room = 0
        await send(dealer, b"good")
        await taker.take(100)
        assert taker.came == [[b"bad"], [b"good"]]


async def test_cancelled_it_has_lost_nothing() -> None:
    async with pair("tcp://127.0.0.1:*") as (taker, dealer):
        taker.room = 0
        with trio.CancelScope() as scope:
            scope.cancel()
            await taker.take(100)
        assert not taker.came
        await send(dealer, b"1")
        await taker.take(100)
        assert taker.came == [[b"1"]]
