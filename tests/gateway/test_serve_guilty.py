"""Serve: an answer for which the broker ends a channel or connection ends nothing but itself."""

# ruff: noqa: SIM117 - the gateway outside, and inside of it who talks to it

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import hypersocket as hs
from hypersocket.amqp import (
    CONFIRMED,
    NO_PROPERTIES,
    AmqpError,
    ChannelLost,
    ConnectionLost,
    Outcome,
    Properties,
    Publication,
    Queue,
)
from hypersocket.devices.amqp_gateway._client import Delivery
from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._spec import (
    DeadLetters,
    RouteSocket,
    RouteSpec,
)
from hypersocket.devices.amqp_gateway.routes import _recurring
from hypersocket.devices.amqp_gateway.routes._recurring import Recurring, Request
from hypersocket.devices.amqp_gateway.routes._serve import Serve
from hypersocket.devices.amqp_gateway.routes._suspects import STRIKES

from ..brokers.rabbitmq import RabbitMQ
from . import memory_client
from .memory_client import Broker, MemoryDelivery
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


async def test_an_answer_for_which_the_connection_is_ended_is_found_by_its_request(
    rabbitmq: RabbitMQ,
) -> None:
    """RabbitMQ cannot go on when it reads a direct reply-to that it has not made: 541."""
    async with amqp(rabbitmq) as peer:
        async with running(gateway(rabbitmq, serve(), declare=QUEUES)) as gw:
            async with trio.open_nursery() as nursery:
                await ask(peer, *(b"%d" % at for at in range(10)))
                said = Properties(reply_to="amq.rabbitmq.reply-to.made.up", correlation_id="bad")
                await peer.put("rpc", b"bad", properties=said)
                await ask(peer, *(b"%d" % at for at in range(10, 20)))
                for _ in range(3):
                    nursery.start_soon(work, where(gw, "serve"))
                [dead] = await peer.take("dead", 1)
                answers: set[bytes] = set()
                while len(answers) < 20:  # some may come twice
                    answers |= {*await peer.bodies("answers", 1)}
                await until(lambda: gw.stats().routes[0].pending == 0)
                reconnects = gw.stats().reconnects
                await ask(peer, b"after")
                while b"after" not in answers:
                    answers |= {*await peer.bodies("answers", 1)}
                nursery.cancel_scope.cancel()
            [stats] = gw.stats().routes
            assert (stats.rejected, stats.dead_lettered, stats.dropped) == (1, 1, 0)
            assert gw.stats().reconnects == reconnects
    assert (dead.body, dead.properties.headers["x-hypersocket-reason"]) == (b"bad", "rejected")
    assert "541 INTERNAL_ERROR" in dead.properties.headers["x-hypersocket-reason-text"]
    assert await depth(rabbitmq, "rpc") == (0, 0)


# --- a broker in memory ----------------------------------------------------------------------

WORK = "inproc://work"
CRASH = ConnectionLost("a crash", condition="541", temporary=True)
REFUSED = ChannelLost("too large", condition="406")


def crashing(*bad: bytes) -> Broker:
    """A broker that ends the connection of whoever publishes such a body."""
    broker = Broker()
    broker.properties = lambda body: Properties(reply_to="answers", correlation_id=body.decode())
    broker.verdict = lambda one: CRASH if one.body in bad else CONFIRMED
    return broker


async def test_a_guilty_answer_is_found_however_many_others_there_are(
    autojump_clock: MockClock,
) -> None:
    """Others come before it at each connection, and go on their way."""
    broker = crashing(b"bad", b"worse")

    async def others() -> None:
        for number in range(2000):
            broker.put(b"%d" % number)
            await trio.sleep(0.05)

    broker.put(b"bad", b"x", b"worse")
    async with serving(broker, prefetch=20) as gw, trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await trio.sleep(200)
        [stats] = gw.stats().routes
        assert stats.drops == {"rejected": 2}
        assert (stats.rejected, stats.pending, stats.error) == (2, 0, "")
        nursery.cancel_scope.cancel()
    assert not broker.queue
    assert {*broker.stored} == {b"x", *(b"%d" % number for number in range(2000))}


async def test_a_guilty_answer_is_found_when_the_connection_ends_after_it_was_sent(
    autojump_clock: MockClock,
) -> None:
    """Nobody is sending then; whoever is woken is not to forget what was under way."""
    broker = crashing()

    async def crash() -> None:
        await trio.sleep(0.01)
        assert broker.client is not None
        broker.client.lose(CRASH)

    async with serving(broker) as gw, trio.open_nursery() as nursery:

        def judge(one: Publication) -> Outcome | None:
            if one.body != b"bad":
                return CONFIRMED
            nursery.start_soon(crash)
            return None

        broker.verdict = judge
        broker.put(b"bad", b"x")
        await trio.sleep(200)
        assert gw.stats().routes[0].drops == {"rejected": 1}
        assert gw.stats().routes[0].pending == 0
        # One to learn that somebody is to blame, and the strikes.
        assert gw.stats().reconnects == 1 + STRIKES
    assert {*broker.stored} == {b"x"}


async def test_an_answer_without_an_outcome_does_not_hold_the_others_up(
    autojump_clock: MockClock,
) -> None:
    """All that was under way when the connection ended is suspect, and goes alone."""
    broker, ends = crashing(), [CRASH]

    def judge(one: Publication) -> Outcome | AmqpError | None:
        if one.body == b"stuck":
            return None
        return ends.pop() if one.body == b"0" and ends else CONFIRMED

    broker.verdict = judge
    bodies = {b"%d" % number for number in range(20)}
    async with serving(broker, prefetch=50) as gw:
        broker.put(b"stuck", *bodies)
        await trio.sleep(30)  # for the next connection, and once for the one that is stuck
        assert gw.stats().reconnects == 1
        assert {*broker.stored} == bodies
        assert gw.stats().routes[0].pending == 1
        assert not gw._routes[0].shared.alone.locked()


async def test_an_answer_beside_one_without_an_outcome_is_not_condemned_for_it(
    autojump_clock: MockClock,
) -> None:
    """For which of the two the channel was ended, nobody says: it is tried alone, and first."""
    broker = crashing()

    def judge(one: Publication) -> Outcome | AmqpError | None:
        assert broker.client is not None
        if one.body == b"stuck":
            return None
        beside = b"stuck" in broker.client.waiting
        return REFUSED if one.body == b"bad" or beside else CONFIRMED

    broker.verdict = judge
    async with serving(broker) as gw:
        broker.put(b"stuck", b"unlucky", b"bad")
        await trio.sleep(60)
        [stats] = gw.stats().routes
        assert (stats.drops, stats.pending, stats.confirmed) == ({"rejected": 1}, 1, 1)
    assert broker.stored == [b"unlucky"]


async def test_who_was_forgotten_before_the_connection_ended_is_not_suspect(
    autojump_clock: MockClock,
) -> None:
    """The broker has its request again, and gives it to whom it likes."""
    broker = crashing()
    broker.verdict = lambda _: None
    async with serving(broker) as gw:
        [route] = gw._routes
        assert isinstance(route, Serve)
        broker.put(b"x")
        await trio.sleep(1)
        assert broker.client is not None
        assert broker.client.waiting == [b"x"]
        broker.cancels.append(ChannelLost("the queue was deleted", temporary=True))
        broker.put(b"y")
        await trio.sleep(0.5)  # its channel goes on until outcomes should have come
        assert broker.consumers == 0
        broker.client.lose(CRASH)
        await trio.sleep(0.1)
        assert not route._replies.recurring.suspected


async def test_a_request_is_looked_into_once(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """However many are suspect at a time: that may be much to read."""
    broker, looked = crashing(), 0
    known_by = _recurring._known_by

    def counted(delivery: Delivery) -> bytes:
        nonlocal looked
        looked += 1
        return known_by(delivery)

    monkeypatch.setattr(_recurring, "_known_by", counted)
    broker.verdict = lambda _: None
    bodies = {b"%d" % number for number in range(100)}
    async with serving(broker, prefetch=100) as gw:
        broker.put(*bodies)
        await trio.sleep(1)
        assert broker.client is not None
        assert {*broker.client.waiting} == bodies
        assert looked == 0
        broker.verdict = lambda _: CONFIRMED
        broker.client.lose(CRASH)
        await trio.sleep(30)
        assert {*broker.stored} == bodies
        assert gw.stats().routes[0].received == 200
        assert looked == 200


def asked(body: bytes, said: Properties, *, redelivered: bool = True) -> Request:
    return Request(MemoryDelivery(body, said, redelivered=redelivered))


def test_a_request_that_looks_like_a_guilty_one_is_innocent() -> None:
    """It may have no names of its own; but the broker has given it to nobody before."""
    recurring, error = Recurring(), CRASH
    said = Properties(reply_to="answers")
    for _ in range(3):
        assert recurring.verdict(asked(b"x", said)) == ""
        recurring.ended(error, asked(b"x", said), [])
    assert recurring.verdict(asked(b"x", said)) == "a crash"
    assert recurring.verdict(asked(b"x", said, redelivered=False)) == ""
    assert recurring.verdict(asked(b"y", said)) == ""
    other = replace(said, message_id="another")
    assert recurring.verdict(asked(b"x", other)) == ""
    recurring.cleared(asked(b"x", said))
    assert recurring.verdict(asked(b"x", said)) == ""


def test_what_is_remembered_of_requests_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may have been given them, and nothing more is heard of them here."""
    monkeypatch.setattr(_recurring, "MOST", 10)
    recurring, error = Recurring(), CRASH
    requests = [asked(b"%d" % at, NO_PROPERTIES) for at in range(20)]
    for one in requests:
        for _ in range(3):
            recurring.ended(error, one, [])
    recurring.ended(error, None, requests)
    assert [bool(recurring.verdict(one)) for one in requests] == [False] * 10 + [True] * 10
    assert [recurring.suspects(one) for one in requests] == [False] * 10 + [True] * 10


async def test_a_connection_that_ends_for_another_reason_condemns_nobody(
    autojump_clock: MockClock,
) -> None:
    broker, ends = crashing(), 0

    def judge(_: Publication) -> Outcome | AmqpError:
        nonlocal ends
        ends += 1
        reason = ConnectionLost("maintenance", condition="320", temporary=True)
        return reason if ends < 20 else CONFIRMED

    broker.verdict = judge
    broker.put(b"x", b"y")
    async with serving(broker) as gw:
        await trio.sleep(300)
        assert gw.stats().routes[0].drops == {}
    assert {*broker.stored} == {b"x", b"y"}


@asynccontextmanager
async def serving(broker: Broker, **changes: Any) -> AsyncGenerator[AmqpGateway]:
    """A gateway that serves, with a worker who answers what he is asked."""
    route = replace(
        serve(dead_letters=None), socket=RouteSocket(type="DEALER", bind=(WORK,)), **changes
    )
    async with (
        memory_client.running(memory_client.gateway(broker, route)) as gw,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(work, WORK)
        yield gw
        nursery.cancel_scope.cancel()
