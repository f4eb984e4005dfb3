"""Call: REQ and DEALER clients of an AMQP service, with RabbitMQ."""

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
from hypersocket.amqp import Properties, Publication, Queue, Subscription, Target
from hypersocket.devices.amqp_gateway._client import Delivery
from hypersocket.devices.amqp_gateway._errors import GatewayError
from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._spec import DeadLetters, Policy, RouteSpec

from ..brokers.rabbitmq import RabbitMQ
from ..interop.peers import Theirs
from .worlds import Amqp, amqp, at, gateway, running, unheard, until, where, without_memory


def call(**changes: Any) -> RouteSpec:
    given: dict[str, Any] = {"queue": "rpc", **changes}
    return RouteSpec(name="call", kind="call", socket=at("ROUTER"), **given)


class Service(Amqp):
    """An AMQP service: takes requests, and answers as it is told."""

    async def take_one(self) -> Delivery:
        return (await self.take("rpc", 1))[0]

    async def reply(self, request: Delivery, body: bytes, **said: Any) -> None:
        properties = Properties(correlation_id=request.properties.correlation_id, **said)
        sender = await self.client.open_sender(unheard, mandatory=False)
        target = Target("", request.properties.reply_to or "")
        await sender.send([Publication(target, body, properties)])
        await sender.wait_settled()
        await sender.aclose()

    async def echo(self) -> None:
        """Answer for ever: the request, reversed; its frames are kept."""
        receiver = await self.client.open_receiver(Subscription(queue="rpc", credit=100))
        sender = await self.client.open_sender(unheard, mandatory=False)
        while True:
            requests = await receiver.receive()
            await sender.send(
                [
                    Publication(
                        Target("", one.properties.reply_to or ""),
                        one.body,
                        replace(one.properties, reply_to=None),
                    )
                    for one in requests
                ]
            )
            receiver.accept(requests)


@asynccontextmanager
async def world(rabbitmq: RabbitMQ, **changes: Any) -> AsyncGenerator[tuple[AmqpGateway, Service]]:
    async with amqp(rabbitmq) as peer:
        service = Service(peer.client)
        await service.queue("rpc", durable=False)
        async with running(gateway(rabbitmq, call(**changes))) as gw:
            yield gw, service


def stats(gw: AmqpGateway) -> Any:
    return gw.stats().routes[0]


async def test_a_req_gets_the_reply_to_its_request(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, service), hs.Req(connect=where(gw, "call")) as req:
        await req.send(b"question")
        request = await service.take_one()
        assert request.body == b"question"
        assert request.properties.ttl == 30
        await service.reply(request, b"answer")
        assert await req.recv() == b"answer"
        await until(lambda: stats(gw).confirmed == 1)
        assert (stats(gw).received, stats(gw).forwarded, stats(gw).pending) == (1, 1, 0)


@pytest.mark.parametrize("queue", ["", "replies"])
async def test_many_clients_of_both_kinds(rabbitmq: RabbitMQ, queue: str) -> None:
    async with amqp(rabbitmq) as peer:
        service = Service(peer.client)
        await service.queue("rpc", durable=False)
        await service.queue("replies", durable=False)
        made = gateway(rabbitmq, call(reply_queue=queue))
        async with running(made) as gw, trio.open_nursery() as nursery:
            nursery.start_soon(service.echo)

            async def ours(name: bytes) -> None:
                async with hs.Req(connect=where(gw, "call")) as req:
                    for number in range(20):
                        asked = [name, b"", b"%d" % number]
                        await req.send_multipart(asked)
                        assert await req.recv_multipart() == asked

            async def theirs(name: bytes) -> None:
                async with Theirs("REQ") as req:
                    req.connect(where(gw, "call"))
                    for number in range(5):
                        await req.send(b"%s %d" % (name, number))
                        assert await req.recv() == b"%s %d" % (name, number)

            async with trio.open_nursery() as clients:
                for number in range(6):
                    clients.start_soon(ours, b"o%d" % number)
                    clients.start_soon(theirs, b"t%d" % number)
            assert stats(gw).forwarded == 150
            nursery.cancel_scope.cancel()


async def test_the_whole_envelope_comes_back(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, service), hs.Dealer(connect=where(gw, "call")) as dealer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.echo)
            for sent in ([b"hop1", b"hop2", b"", b"body", b"", b"x"], [b"", b"a"], [b"bare", b"b"]):
                await dealer.send_multipart(sent)
                assert await dealer.recv_multipart() == sent
            nursery.cancel_scope.cancel()


async def test_identifiers_cannot_be_guessed_and_strangers_are_dropped(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, service), hs.Req(connect=where(gw, "call")) as req:
        await req.send(b"q")
        request = await service.take_one()
        token = request.properties.correlation_id
        assert isinstance(token, str)
        assert len(token) > 32
        other = "0" if token[-1] == "f" else "f"
        for wrong in ("1", token[:-1] + other, None, b"\xff"):
            said = replace(request.properties, correlation_id=wrong)
            await service.reply(type("R", (), {"properties": said}), b"forged")  # type: ignore[arg-type]
        async with hs.Req(connect=where(gw, "call")) as second:
            await second.send(b"of somebody else")
            found = (await service.take_one()).properties.correlation_id
            assert isinstance(found, str)
            assert found[-32:] != token[-32:]
            assert int(found[-32:], 16) != int(token[-32:], 16) + 1
        await service.reply(request, b"true")
        await service.reply(request, b"twice")
        assert await req.recv() == b"true"
        await until(lambda: stats(gw).dropped == 5)
        assert stats(gw).drops == {"unknown reply": 3, "late reply": 2}


async def test_no_reply_in_time_is_told(rabbitmq: RabbitMQ, jumping_clock: MockClock) -> None:
    async with world(rabbitmq, timeout=20) as (gw, service):
        async with hs.Req(connect=where(gw, "call")) as req:
            await req.send(b"q")
            request = await service.take_one()
            jumping_clock.jump(20)
            assert await req.recv_multipart() == [
                b"hs-error",
                b"timeout",
                b"there was no reply in 20 s",
            ]
            await service.reply(request, b"too late")
            await until(lambda: stats(gw).drops == {"late reply": 1})
            assert (stats(gw).expired, stats(gw).pending) == (1, 0)


async def test_a_reply_beyond_the_policy_is_told(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq, policy=Policy(max_message_size=5)) as (gw, service):
        async with hs.Req(connect=where(gw, "call")) as req:
            await req.send(b"short")
            await service.reply(await service.take_one(), b"longer")
            error, code, words = await req.recv_multipart()
            assert (error, code) == (b"hs-error", b"oversize")
            assert words.startswith(b"the answer: its body of 6 bytes")
            assert (stats(gw).drops, stats(gw).pending) == ({"oversize": 1}, 0)


async def test_a_service_that_is_not_there_is_told_at_once(rabbitmq: RabbitMQ) -> None:
    async with running(gateway(rabbitmq, call(timeout=None))) as gw:
        async with hs.Req(connect=where(gw, "call")) as req:
            await req.send(b"q")
            error, code, words = await req.recv_multipart()
            assert (error, code) == (b"hs-error", b"returned")
            assert b"NO_ROUTE" in words
            assert stats(gw).returned == 1


async def test_a_request_that_cannot_be_published_is_told(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq, metadata="json") as (gw, service):
        async with hs.Req(connect=where(gw, "call")) as req:
            await req.send_multipart([b'{"priority": 999}', b"q"])
            error, code, words = await req.recv_multipart()
            assert (error, code) == (b"hs-error", b"rejected")
            assert b"priority: must be a whole number" in words
            await req.send_multipart([b'{"type": "t"}', b"q"])
            request = await service.take_one()
            assert request.properties.type == "t"
            await service.reply(request, b"a", type="r")
            metadata, body = await req.recv_multipart()
            assert b'"type":"r"' in metadata
            assert body == b"a"


async def test_a_lost_connection_is_told_and_later_requests_go_on(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, _), hs.Req(connect=where(gw, "call")) as req:
        await req.send(b"q")
        await until(lambda: stats(gw).confirmed == 1)
        await rabbitmq.ctl("-q", "close_all_connections", "-p", rabbitmq.vhost, "test")
        error, code, words = await req.recv_multipart()
        assert (error, code) == (b"hs-error", b"unavailable")
        assert b"may have been carried out" in words
        await until(lambda: gw.stats().reconnects == 1)
        async with amqp(rabbitmq) as peer, trio.open_nursery() as nursery:
            await Service(peer.client).take("rpc", 1)  # what was asked before
            nursery.start_soon(Service(peer.client).echo)
            assert await req.request(b"again") == b"again"
            nursery.cancel_scope.cancel()


async def test_a_named_reply_queue_outlives_the_connection(rabbitmq: RabbitMQ) -> None:
    declare = [Queue(name="rpc", durable=False), Queue(name="replies", durable=False)]
    made = gateway(rabbitmq, call(reply_queue="replies", timeout=120), declare=declare)
    async with running(made) as gw, hs.Req(connect=where(gw, "call")) as req:
        await req.send(b"q")
        await until(lambda: stats(gw).confirmed == 1)
        await rabbitmq.ctl("-q", "close_all_connections", "-p", rabbitmq.vhost, "test")
        async with amqp(rabbitmq) as peer:
            service = Service(peer.client)
            await service.reply(await service.take_one(), b"after all")
            assert await req.recv() == b"after all"


async def test_a_reply_that_nothing_bounds_is_not_waited_for_beyond_the_connection(
    rabbitmq: RabbitMQ,
) -> None:
    declare = [Queue(name="rpc", durable=False), Queue(name="replies", durable=False)]
    made = gateway(rabbitmq, call(reply_queue="replies", timeout=None), declare=declare)
    async with running(made) as gw, hs.Req(connect=where(gw, "call")) as req:
        await req.send(b"q")
        await until(lambda: stats(gw).confirmed == 1)
        await rabbitmq.ctl("-q", "close_all_connections", "-p", rabbitmq.vhost, "test")
        error, code, words = await req.recv_multipart()
        assert (error, code) == (b"hs-error", b"unavailable")
        assert b"may have been carried out" in words
        assert stats(gw).pending == 0
        await until(lambda: gw.stats().reconnects == 1)
        await gw.wait_active()
        async with amqp(rabbitmq) as peer:
            service = Service(peer.client)
            await service.reply(await service.take_one(), b"too late")
            await until(lambda: stats(gw).drops == {"late reply": 1})
            await req.send(b"q")
            await service.reply(await service.take_one(), b"a")
            assert await req.recv() == b"a"


async def test_requests_without_an_answer_have_a_bound(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq, prefetch=3) as (gw, service):
        async with hs.Dealer(connect=where(gw, "call")) as dealer:
            for number in range(10):
                await dealer.send_multipart([b"", b"%d" % number])
            await until(lambda: stats(gw).confirmed == 3)
            assert (stats(gw).received, stats(gw).pending) == (3, 3)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.echo)
                replies = [await dealer.recv_multipart() for _ in range(10)]
                nursery.cancel_scope.cancel()
            assert replies == [[b"", b"%d" % number] for number in range(10)]


async def test_a_client_that_has_gone_holds_up_nobody(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, service), hs.Req(connect=where(gw, "call")) as req:
        async with hs.Req(connect=where(gw, "call"), linger=0) as doomed:
            await doomed.send(b"doomed")
            first = await service.take_one()
        await until(lambda: sum(p.connected for p in gw.sockets["call"].stats().peers) == 1)
        await service.reply(first, b"to nobody")
        await until(lambda: stats(gw).drops == {"client gone": 1})
        await req.send(b"q")
        await service.reply(await service.take_one(), b"a")
        assert await req.recv() == b"a"


async def test_a_broker_without_memory_has_requests_wait_in_order(rabbitmq: RabbitMQ) -> None:
    """It says so in the middle of requests that are written where they are read."""
    async with (
        world(rabbitmq, timeout=120) as (gw, service),
        hs.Dealer(connect=where(gw, "call")) as dealer,
    ):
        async with without_memory(rabbitmq):
            await dealer.send_multipart([b"", b"0"])
            await until(lambda: gw.stats().blocked != "")
            assert stats(gw).forwarded == 1
            for number in range(1, 20):
                await dealer.send_multipart([b"", b"%d" % number])
            await until(lambda: stats(gw).received > 1)
            await until(lambda: stats(gw).received + gw.sockets["call"].stats().queued_in == 20)
            assert stats(gw).forwarded == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.echo)
            replies = [await dealer.recv_multipart() for _ in range(20)]
            nursery.cancel_scope.cancel()
        assert replies == [[b"", b"%d" % number] for number in range(20)]
        await until(lambda: stats(gw).confirmed == 20)
        assert (stats(gw).forwarded, stats(gw).dropped, stats(gw).expired) == (20, 0, 0)


async def test_a_rate_has_requests_wait_in_the_socket(rabbitmq: RabbitMQ) -> None:
    """Also those that are forwarded where they are read."""
    policy = Policy(rate=1e-6)
    async with world(rabbitmq, policy=policy) as (gw, service):
        async with hs.Dealer(connect=where(gw, "call")) as dealer:
            for number in range(10):
                await dealer.send_multipart([b"", b"%d" % number])
            await until(lambda: gw.sockets["call"].stats().queued_in == 9)
            assert (await service.take_one()).body == b"0"
            await until(lambda: stats(gw).confirmed == 1)
            assert (stats(gw).received, stats(gw).forwarded) == (1, 1)


async def test_requests_that_fail_have_a_bound_as_well(rabbitmq: RabbitMQ) -> None:
    """Where their dead letters do not go, clients are held back."""
    letters = DeadLetters(socket=at("PUSH"))
    changes = {"policy": Policy(max_message_size=1), "dead_letters": letters, "prefetch": 3}
    async with world(rabbitmq, **changes) as (gw, _):
        async with hs.Dealer(connect=where(gw, "call")) as dealer:
            for number in range(10):
                await dealer.send_multipart([b"", b"too big %d" % number])
            await until(lambda: gw.sockets["call"].stats().queued_in == 7)
            assert (stats(gw).received, stats(gw).pending) == (3, 3)
            async with hs.Pull(connect=where(gw, "call.dead-letters")) as pull:
                bodies = [(await pull.recv_multipart())[1] for _ in range(10)]
            assert bodies == [b"too big %d" % number for number in range(10)]
            for _ in range(10):
                assert (await dealer.recv_multipart())[1:3] == [b"hs-error", b"rejected"]


async def test_a_graceful_stop_waits_for_replies(rabbitmq: RabbitMQ) -> None:
    async with world(rabbitmq) as (gw, service), hs.Req(connect=where(gw, "call")) as req:
        await req.send(b"q")
        request = await service.take_one()
        gw.stop_soon()
        await service.reply(request, b"a")
        assert await req.recv() == b"a"
        assert (await gw.stop()).complete


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"queue": ""}, "needs the queue"), ({"address": "/q"}, "and no address")],
)
def test_routes_that_cannot_work(changes: dict[str, Any], said: str) -> None:
    broker: Any = type("Nowhere", (), {"port": 1, "vhost": "/"})
    with pytest.raises(GatewayError, match=f"route call: .*{said}"):
        gateway(broker, call(**changes))
