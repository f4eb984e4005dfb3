"""Serve: an answer for which the broker ends a channel ends nothing but itself."""

# ruff: noqa: SIM117 - the gateway outside, and inside of it who talks to it

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import proton
import pytest
import trio
from proton import Message
from trio.testing import MockClock, wait_all_tasks_blocked

import hypersocket as hs
from hypersocket.amqp import Properties, Queue
from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._spec import DeadLetters, RouteSpec
from hypersocket.devices.amqp_gateway.routes import _replies

from ..amqp.v10.peer import Peer
from ..brokers.rabbitmq import RabbitMQ
from . import worlds10
from .worlds import Amqp, amqp, at, depth, gateway, running, until, where

DEAD = DeadLetters(exchange="", routing_key="dead")
QUEUES = [Queue(name=name, durable=False) for name in ("rpc", "answers", "dead")]
BIG = 10_000


@asynccontextmanager
async def small_messages(rabbitmq: RabbitMQ) -> AsyncGenerator[None]:
    """The broker ends the channel of whoever publishes more than half of what is big here."""
    set_to = "application:set_env(rabbit, max_message_size, {}).".format
    await rabbitmq.ctl("eval", set_to(BIG // 2))
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            await rabbitmq.ctl("eval", set_to(134_217_728))


async def ask(peer: Amqp, *bodies: bytes) -> None:
    for body in bodies:
        said = Properties(reply_to="answers", correlation_id=body.decode())
        await peer.put("rpc", body, properties=said)


async def work(endpoint: str) -> None:
    """Answer as asked; to one question with too much."""
    async with hs.Rep(connect=endpoint) as rep:
        while True:
            asked = await rep.recv()
            await rep.send(bytes(BIG) if asked == b"big" else asked)


def serve(**changes: Any) -> RouteSpec:
    given: dict[str, Any] = {"dead_letters": DEAD, **changes}
    return RouteSpec(name="serve", kind="serve", socket=at("DEALER"), queue="rpc", **given)


async def test_an_answer_for_which_the_channel_is_ended_holds_up_no_other(
    rabbitmq: RabbitMQ,
) -> None:
    async with small_messages(rabbitmq), amqp(rabbitmq) as peer:
        async with running(gateway(rabbitmq, serve(), declare=QUEUES)) as gw:
            async with trio.open_nursery() as nursery:
                await ask(peer, *(b"big" if at == 7 else b"%d" % at for at in range(20)))
                for _ in range(3):
                    nursery.start_soon(work, where(gw, "serve"))
                answers: set[bytes] = set()
                while len(answers) < 19:  # some may come twice
                    answers |= {*await peer.bodies("answers", 1)}
                await until(lambda: gw.stats().routes[0].rejected == 1)
                await until(lambda: gw.stats().routes[0].pending == 0)
                nursery.cancel_scope.cancel()
            [stats] = gw.stats().routes
            assert (stats.error, stats.drops) == ("", {"rejected, and refused as a dead letter": 1})
            assert stats.received == 20  # no request was carried out again
            assert gw.stats().reconnects == 0
    assert answers == {b"%d" % at for at in range(20) if at != 7}
    assert await depth(rabbitmq, "rpc") == (0, 0)


# --- AMQP 1.0, by a link for each address ----------------------------------------------------


class Asking:
    """A peer of AMQP 1.0 without a relay, that asks, and has nodes that take no answers."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._number = 0

    def ask(self, reply_to: str) -> None:
        link = next(one for one in self._peer.links if one.is_sender and one.credit)
        self._number += 1
        asked = Message(body=b"q", inferred=True, reply_to=reply_to)
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
async def asking(**changes: Any) -> AsyncGenerator[tuple[AmqpGateway, Asking, Peer]]:
    route = RouteSpec(name="serve", kind="serve", socket=at("DEALER"), address="service", **changes)
    async with (
        worlds10.peer_on_tcp(miserly) as (address, peers),
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
