"""Serve: AMQP requests to REP workers, with RabbitMQ."""

# ruff: noqa: SIM117 - the gateway outside, and inside of it who talks to it

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import zmq

import hypersocket as hs
from hypersocket.amqp import Properties, Publication, Queue, Subscription, Target
from hypersocket.devices.amqp_gateway._client import Receiver, Sender
from hypersocket.devices.amqp_gateway._errors import GatewayError
from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._spec import DeadLetters, Policy, RouteSpec

from ..brokers.rabbitmq import RabbitMQ
from ..interop.peers import Theirs
from .worlds import amqp, at, depth, gateway, running, unheard, until, where

Q, DEAD = Queue(name="rpc", durable=False), Queue(name="dead", durable=False)


def serve(**changes: Any) -> RouteSpec:
    given: dict[str, Any] = {"queue": "rpc", **changes}
    return RouteSpec(name="serve", kind="serve", socket=at("DEALER"), **given)


class Caller:
    """An AMQP program that asks, and takes answers by direct reply-to."""

    def __init__(self, sender: Sender, receiver: Receiver) -> None:
        self.sender = sender
        self.receiver = receiver
        self.answers: list[tuple[Any, bytes, Properties]] = []

    async def ask(self, correlation: Any, body: bytes = b"", **said: Any) -> None:
        said = {"reply_to": "amq.rabbitmq.reply-to", "correlation_id": correlation, **said}
        await self.sender.send([Publication(Target("", "rpc"), body, Properties(**said))])

    async def answer(self) -> tuple[Any, bytes]:
        while not self.answers:
            for one in await self.receiver.receive():
                said = one.properties
                self.answers.append((said.correlation_id, one.body, said))
        self.last = self.answers[0][2]
        return self.answers.pop(0)[:2]


@asynccontextmanager
async def calling(rabbitmq: RabbitMQ) -> AsyncGenerator[Caller]:
    async with amqp(rabbitmq) as peer:
        sender = await peer.client.open_sender(unheard)
        direct = Subscription(queue="amq.rabbitmq.reply-to", settled=True)
        yield Caller(sender, await peer.client.open_receiver(direct, sender=sender))


@asynccontextmanager
async def world(rabbitmq: RabbitMQ, **changes: Any) -> AsyncGenerator[tuple[AmqpGateway, Caller]]:
    made = gateway(rabbitmq, serve(**changes), declare=[Q, DEAD])
    async with running(made) as gw, calling(rabbitmq) as caller:
        yield gw, caller


def stats(gw: AmqpGateway) -> Any:
    return gw.stats().routes[0]


async def echo(rep: Theirs) -> None:
    """Answer until cancelled. Not in a thread, which could not be."""
    while True:
        try:
            rep.socket.send_multipart(rep.socket.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            await trio.sleep(0.001)


async def test_a_rep_answers_and_the_request_is_settled(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, caller), hs.Rep(connect=where(gw, "serve")) as rep:
        await caller.ask("id-1", b"question")
        assert await rep.recv() == b"question"
        await rep.send(b"answer")
        assert await caller.answer() == ("id-1", b"answer")
        await until(lambda: stats(gw).pending == 0)
        assert (stats(gw).received, stats(gw).forwarded, stats(gw).confirmed) == (1, 1, 1)
        assert (await gw.stop()).complete
    assert await depth(rabbitmq, "rpc") == (0, 0)


@pytest.mark.parametrize("correlation", ["text", b"\xff\x00binary", None])
async def test_the_correlation_id_comes_back(rabbitmq: RabbitMQ, correlation: Any) -> None:
    async with world(rabbitmq) as (gw, caller), hs.Rep(connect=where(gw, "serve")) as rep:
        await caller.ask(correlation, b"q")
        await rep.send_multipart([await rep.recv(), b"", b"more"])
        assert await caller.answer() == (correlation, b"qmore")
        assert caller.last.headers["x-hypersocket-frames"] == "1,0,4"


async def test_without_a_correlation_id_it_is_the_message_id(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, caller), hs.Rep(connect=where(gw, "serve")) as rep:
        await caller.ask(None, b"q", message_id="m-1")
        await rep.send(await rep.recv())
        assert await caller.answer() == ("m-1", b"q")


async def test_libzmq_workers_share_the_work(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, caller), trio.open_nursery() as nursery:
        async with Theirs("REP") as one, Theirs("REP") as two:
            for rep in (one, two):
                rep.connect(where(gw, "serve"))
                nursery.start_soon(echo, rep)
            for number in range(50):
                await caller.ask(str(number), b"%d" % number)
            got = {await caller.answer() for _ in range(50)}
            assert got == {(str(number), b"%d" % number) for number in range(50)}
            nursery.cancel_scope.cancel()


async def test_while_no_worker_is_there_the_broker_keeps_requests(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, caller):
        await caller.ask("1", b"q")
        await caller.sender.wait_settled()
        assert await depth(rabbitmq, "rpc") == (1, 0)
        async with hs.Rep(connect=where(gw, "serve")) as rep:
            assert await rep.recv() == b"q"
        await until(lambda: stats(gw).pending == 0)
        assert await depth(rabbitmq, "rpc") == (1, 0)
        assert stats(gw).requeued == 1


WORKER = """
import sys, zmq
rep = zmq.Context().socket(zmq.REP)
rep.connect(sys.argv[1])
print(rep.recv().decode(), flush=True)
rep.recv()
"""


async def test_what_a_killed_worker_had_is_done_by_another(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, caller):
        command = [sys.executable, "-c", WORKER, where(gw, "serve")]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: ASYNC220 - does not wait
        try:
            await caller.ask("1", b"q")
            assert worker.stdout is not None
            assert await trio.to_thread.run_sync(worker.stdout.readline) == b"q\n"
            async with hs.Rep(connect=where(gw, "serve")) as rep:
                os.kill(worker.pid, signal.SIGKILL)
                await rep.send(await rep.recv() + b" by another")
                assert await caller.answer() == ("1", b"q by another")
            assert stats(gw).redelivered == 1
        finally:
            worker.kill()
            worker.communicate()


async def test_a_request_that_takes_too_long_too_often_is_dead(rabbitmq: RabbitMQ) -> None:
    dead = DeadLetters(exchange="", routing_key="dead")
    changes = {"timeout": 0.1, "max_deliveries": 2, "dead_letters": dead}
    async with world(rabbitmq, **changes) as (gw, caller), amqp(rabbitmq) as peer:
        async with hs.Dealer(connect=where(gw, "serve")):  # which answers nothing
            await caller.ask("1", b"poison")
            [letter] = await peer.take("dead", 1)
            assert letter.body == b"poison"
            assert letter.properties.headers["x-hypersocket-reason"] == "poisonous"
            await until(lambda: stats(gw).pending == 0)
            assert (stats(gw).expired, stats(gw).dead_lettered) == (2, 1)


async def test_a_request_without_reply_to_is_dead(rabbitmq: RabbitMQ) -> None:
    dead = DeadLetters(exchange="", routing_key="dead")
    async with world(rabbitmq, dead_letters=dead) as (gw, caller), amqp(rabbitmq) as peer:
        async with hs.Rep(connect=where(gw, "serve")) as rep:
            await caller.ask("1", b"nowhere", reply_to=None)
            await caller.ask("2", b"good")
            await rep.send(await rep.recv())
            assert await caller.answer() == ("2", b"good")
            [letter] = await peer.take("dead", 1)
            assert letter.properties.headers["x-hypersocket-reason"] == "no reply_to"
            await until(lambda: stats(gw).pending == 0)
    assert await depth(rabbitmq, "rpc") == (0, 0)


async def test_without_dead_letters_it_is_counted(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, caller), hs.Rep(connect=where(gw, "serve")):
        await caller.ask("1", b"nowhere", reply_to=None)
        await until(lambda: stats(gw).drops == {"no reply_to": 1})
        await until(lambda: stats(gw).pending == 0)
    assert await depth(rabbitmq, "rpc") == (0, 0)


async def test_a_caller_that_has_gone_is_counted(
    rabbitmq: RabbitMQ,
) -> None:
    async with world(rabbitmq) as (gw, caller), hs.Rep(connect=where(gw, "serve")) as rep:
        await caller.ask("1", b"q", reply_to="nobody-reads-this")
        await rep.send(await rep.recv())
        await until(lambda: stats(gw).returned == 1)
        await until(lambda: stats(gw).pending == 0)
    assert await depth(rabbitmq, "rpc") == (0, 0)


async def test_a_policy_says_where_answers_may_go(rabbitmq: RabbitMQ) -> None:
    policy = Policy(queues=("rpc", "amq.rabbitmq.reply-to.*"))
    async with world(rabbitmq, policy=policy) as (gw, caller):
        async with hs.Rep(connect=where(gw, "serve")) as rep:
            await caller.ask("1", b"bad", reply_to="dead")
            await caller.ask("2", b"good")
            await rep.send(await rep.recv())
            assert await caller.answer() == ("2", b"good")
            await until(lambda: stats(gw).drops == {"policy": 1})
    assert await depth(rabbitmq, "dead") == (0, 0)


async def test_metadata_goes_both_ways(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq, metadata="json") as (gw, caller):
        async with hs.Rep(connect=where(gw, "serve")) as rep:
            await caller.ask("1", b"q", type="asked")
            metadata, body = await rep.recv_multipart()
            assert b'"type":"asked"' in metadata
            await rep.send_multipart([b'{"type": "answered"}', body])
            assert await caller.answer() == ("1", b"q")
            assert caller.last.type == "answered"


async def test_a_lost_connection_brings_the_request_again(rabbitmq: RabbitMQ) -> None:
    made = gateway(rabbitmq, serve(), declare=[Q, Queue(name="answers", durable=False)])
    async with running(made) as gw, hs.Rep(connect=where(gw, "serve")) as rep:
        async with amqp(rabbitmq) as peer:
            said = Properties(reply_to="answers", correlation_id="1")
            await peer.put("rpc", b"q", properties=said)
        assert await rep.recv() == b"q"
        await rabbitmq.ctl("-q", "close_all_connections", "-p", rabbitmq.vhost, "test")
        await until(lambda: gw.stats().reconnects == 1)
        await rep.send(b"to the old connection")
        assert await rep.recv() == b"q"
        await rep.send(b"to the new one")
        async with amqp(rabbitmq) as peer:
            assert await peer.bodies("answers", 1) == [b"to the new one"]
        await until(lambda: stats(gw).pending == 0)
    assert await depth(rabbitmq, "rpc") == (0, 0)


async def test_a_graceful_stop_waits_for_answers(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, caller), hs.Rep(connect=where(gw, "serve")) as rep:
        await caller.ask("1", b"q")
        assert await rep.recv() == b"q"
        gw.stop_soon()
        await rep.send(b"a")
        assert await caller.answer() == ("1", b"a")
        result = await gw.stop()
        assert result.complete
        assert not result.returned
    assert await depth(rabbitmq, "rpc") == (0, 0)


async def test_a_stop_says_what_the_broker_keeps(rabbitmq: RabbitMQ) -> None:
    async with running(gateway(rabbitmq, serve(), declare=[Q], linger=0)) as gw:
        async with hs.Rep(connect=where(gw, "serve")) as rep, calling(rabbitmq) as caller:
            await caller.ask("1", b"q")
            assert await rep.recv() == b"q"
            result = await gw.stop()
            assert result.returned == {"serve": 1}
            assert result.complete
        while await depth(rabbitmq, "rpc") != (1, 0):
            pass


async def test_call_and_serve_meet(rabbitmq: RabbitMQ) -> None:
    call = RouteSpec(name="call", kind="call", socket=at("ROUTER"), queue="rpc")
    one = gateway(rabbitmq, call, declare=[Q], name="one")
    two = gateway(rabbitmq, serve(), declare=[Q], name="two")
    async with running(one), running(two), trio.open_nursery() as nursery:
        async with Theirs("REP") as rep, Theirs("REQ") as req:
            rep.connect(where(two, "serve"))
            req.connect(where(one, "call"))
            nursery.start_soon(echo, rep)
            for number in range(20):
                asked = [b"a", b"", b"%d" % number]
                await req.send_multipart(asked)
                assert await req.recv_multipart() == asked
            nursery.cancel_scope.cancel()


def test_routes_that_cannot_work() -> None:
    broker: Any = type("Nowhere", (), {"port": 1, "vhost": "/"})
    with pytest.raises(GatewayError, match="route serve: give it a queue"):
        gateway(broker, serve(queue=""))
