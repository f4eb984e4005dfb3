"""Serve over AMQP 1.0 without a relay: answers go by a link for each address."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import proton
import pytest
import trio
from proton import Message
from trio.testing import MockClock, wait_all_tasks_blocked

from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._spec import RouteSpec
from hypersocket.devices.amqp_gateway.routes import _replies
from hypersocket.devices.amqp_gateway.routes._serve import Serve

from ..amqp.v10.peer import Peer
from . import worlds10
from .test_serve_guilty import work
from .worlds import at, running, until, where


class Asking:
    """A peer of AMQP 1.0 without a relay, that asks, and has nodes that take no answers."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._number = 0

    def ask(self, reply_to: str, given_out: int = 0) -> None:
        link = next(one for one in self._peer.links if one.is_sender and one.credit)
        self._number += 1
        asked = Message(body=b"q", inferred=True, reply_to=reply_to, delivery_count=given_out)
        link.delivery(f"t{self._number}")
        link.stream(asked.encode())
        link.advance()
        self._peer.kick()

    def links_to(self, address: str) -> list[Any]:
        return [one for one in self._peer.links if one.remote_target.address == address]


def miserly() -> Peer:
    """A peer whose node "full" gives no credit."""
    peer = Peer()

    def attach(link: Any) -> None:
        peer.credit = 0 if link.remote_target.address == "full" else 100
        peer.attach(link)

    peer.on_attach = attach
    return peer


@asynccontextmanager
async def asking(
    make_peer: Callable[[], Peer] = miserly,
) -> AsyncGenerator[tuple[AmqpGateway, Asking, Peer]]:
    route = RouteSpec(name="serve", kind="serve", socket=at("DEALER"), address="service")
    async with (
        worlds10.peer_on_tcp(make_peer) as (address, peers),
        running(worlds10.gateway(address, route)) as gw,
        trio.open_nursery() as nursery,
    ):
        [peer] = peers
        nursery.start_soon(work, where(gw, "serve"))
        await until(lambda: any(one.is_sender and one.credit for one in peer.links))
        yield gw, Asking(peer), peer
        nursery.cancel_scope.cancel()


async def test_a_link_that_the_peer_has_ended_is_opened_again() -> None:
    async with asking() as (gw, asks, peer):
        asks.ask("caller")
        await until(lambda: gw.stats().routes[0].confirmed == 1)
        [link] = asks.links_to("caller")
        link.condition = proton.Condition("amqp:resource-deleted", "made again at once")
        link.close()
        peer.kick()
        await until(lambda: link in peer.detached)
        asks.ask("caller")
        await until(lambda: gw.stats().routes[0].confirmed == 2)
        assert len(asks.links_to("caller")) == 2
        assert gw.stats().routes[0].drops == {}


def crashing_peer() -> Peer:
    """A peer that ends the connection when it is sent anything for its node "bad"."""
    peer = Peer()

    def take(delivery: Any) -> None:
        if delivery.link.remote_target.address == "bad":
            peer.connection.condition = proton.Condition("amqp:internal-error", "a crash")
            peer.connection.close()
            peer.kick()
        else:
            peer.accept(delivery)

    peer.on_delivery = take
    return peer


async def test_an_answer_by_a_link_for_which_the_connection_is_ended_is_found() -> None:
    route = RouteSpec(name="serve", kind="serve", socket=at("DEALER"), address="service")
    async with (
        worlds10.peer_on_tcp(crashing_peer) as (address, peers),
        running(worlds10.gateway(address, route)) as gw,
        trio.open_nursery() as nursery,
    ):

        async def ask(given_out: int) -> Asking:
            await until(lambda: any(one.is_sender and one.credit for one in peers[-1].links))
            asking = Asking(peers[-1])
            asking.ask("caller")
            asking.ask("bad", given_out)
            return asking

        nursery.start_soon(work, where(gw, "serve"))
        for number in range(1, 5):
            await ask(number - 1)
            await until(lambda number=number: len(peers) > number)  # type: ignore[misc]
        asked = await ask(4)
        await until(lambda: gw.stats().routes[0].drops == {"rejected": 1})
        await until(lambda: gw.stats().routes[0].pending == 0)
        assert len(peers) == 5
        assert len(asked.links_to("caller")) == 1
        assert not asked.links_to("bad")
        assert gw.stats().routes[0].confirmed > 0
        nursery.cancel_scope.cancel()


def narrow() -> Peer:
    """A peer that allows few sessions, and so few links."""
    peer = Peer()
    peer.transport.channel_max = 7
    return peer


async def test_a_peer_that_allows_few_sessions_gets_all_answers() -> None:
    async with asking(narrow) as (gw, asks, _):
        for number in range(20):
            asks.ask(f"caller{number}")
            await until(lambda number=number: gw.stats().routes[0].received == number + 1)  # type: ignore[misc]
            await until(lambda: gw.stats().routes[0].pending == 0)
        [stats] = gw.stats().routes
        assert (stats.confirmed, stats.drops) == (20, {})
        assert gw.stats().reconnects == 0


async def test_an_answer_waits_while_the_peer_allows_no_more_sessions() -> None:
    async with asking(narrow) as (gw, asks, peer):
        [route] = gw._routes
        assert isinstance(route, Serve)
        backoff = route._replies._backoff
        first, held = backoff.current, list[Any]()
        peer.on_delivery = held.append
        for number in range(8):
            asks.ask(f"caller{number}")
        await until(lambda: backoff.current > first or bool(route.stats().drops))
        await until(lambda: len(held) == 7)
        assert (gw.stats().routes[0].pending, gw.stats().routes[0].drops) == (8, {})
        peer.on_delivery = peer.accept
        for one in held:
            peer.accept(one)
        peer.kick()
        await until(lambda: gw.stats().routes[0].confirmed == 8)


async def test_an_address_that_takes_nothing_does_not_hold_the_others_up_for_ever(
    monkeypatch: pytest.MonkeyPatch, jumping_clock: MockClock
) -> None:
    monkeypatch.setattr(_replies, "NO_CREDIT", 20.0)
    async with asking() as (gw, asks, _):
        asks.ask("full")
        asks.ask("caller")
        await until(lambda: bool(asks.links_to("full")))
        await wait_all_tasks_blocked()  # it waits for credit now
        jumping_clock.jump(20)
        await until(lambda: gw.stats().routes[0].confirmed == 1)
        await until(lambda: gw.stats().routes[0].pending == 0)
        assert gw.stats().routes[0].drops == {"returned": 1}
