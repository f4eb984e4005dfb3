"""Every kind of route over AMQP 1.0, with RabbitMQ's plugin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
import zmq

import hypersocket as hs
from hypersocket.amqp import ChannelLost, Properties, Publication, Subscription, Target
from hypersocket.devices.amqp_gateway import AmqpGateway, loads
from hypersocket.devices.amqp_gateway._spec import DeadLetters, RouteSpec

from ..brokers.rabbitmq import RabbitMQ, missing
from ..interop.peers import Theirs
from .worlds import PATIENCE, amqp, at, depth, running, unheard, until, where
from .worlds10 import connect, gateway, stats

pytestmark = pytest.mark.interop

TO_DEAD = DeadLetters(address="/amq/queue/dead")


def out(**changes: Any) -> RouteSpec:
    given: dict[str, Any] = {"address": "/amq/queue/q", **changes}
    return RouteSpec(name="out", kind="out", socket=at("PULL"), **given)


def into(socket: str = "PUSH", **changes: Any) -> RouteSpec:
    given: dict[str, Any] = {"address": "/amq/queue/q", **changes}
    return RouteSpec(name="in", kind="in", socket=at(socket), **given)


async def queues(rabbitmq: RabbitMQ, *names: str, **options: Any) -> None:
    async with amqp(rabbitmq) as peer:
        for name in names:
            await peer.queue(name, durable=False, **options)


async def receive(pull: hs.Pull, count: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < count:
        found += await pull.recv_many()
    return found


# --- out -------------------------------------------------------------------------------


async def test_out_of_a_push_of_libzmq_into_a_queue(rabbitmq: RabbitMQ) -> None:
    bodies = [b"%d" % n for n in range(1000)]
    await queues(rabbitmq, "q")
    async with running(gateway(rabbitmq, out())) as gw, amqp(rabbitmq) as peer:
        with zmq.Context() as context, context.socket(zmq.PUSH) as push:
            push.connect(where(gw, "out"))
            for body in bodies:
                push.send(body)
            await until(lambda: stats(gw).confirmed == 1000)
        assert await peer.bodies("q", 1000) == bodies
        assert (await gw.stop()).complete


@pytest.mark.parametrize(
    ("address", "key"),
    [("/exchange/amq.direct/k", ""), ("/exchange/amq.direct", "k"), ("/topic/k", "")],
)
async def test_out_by_an_exchange(rabbitmq: RabbitMQ, address: str, key: str) -> None:
    await queues(rabbitmq, "q")
    await rabbitmq.ctl("eval", _binding(rabbitmq.vhost, "amq.direct", "k", "q"))
    await rabbitmq.ctl("eval", _binding(rabbitmq.vhost, "amq.topic", "k", "q"))
    async with (
        running(gateway(rabbitmq, out(address=address, routing_key=key))) as gw,
        hs.Push(connect=where(gw, "out")) as push,
        amqp(rabbitmq) as peer,
    ):
        await push.send(b"by its key")
        assert await peer.bodies("q", 1) == [b"by its key"]


def _binding(vhost: str, exchange: str, key: str, queue: str) -> str:
    def named(kind: str, name: str) -> str:
        return f'rabbit_misc:r(<<"{vhost}">>, {kind}, <<"{name}">>)'

    source, target = named("exchange", exchange), named("queue", queue)
    return f'rabbit_binding:add({{binding, {source}, <<"{key}">>, {target}, []}}, <<"test">>).'


async def test_a_missing_queue_is_one_clear_error(rabbitmq: RabbitMQ) -> None:
    for route in (out(), into()):
        words = "NOT_FOUND - no queue 'q'"
        with trio.fail_after(PATIENCE), pytest.raises(ChannelLost, match=words):
            await gateway(rabbitmq, route).run()


# --- in --------------------------------------------------------------------------------


async def test_a_queue_comes_in_and_is_settled(rabbitmq: RabbitMQ) -> None:
    bodies = [b"%d" % n for n in range(3000)]
    await queues(rabbitmq, "q")
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, into(prefetch=100))) as gw:
        await peer.put("q", *bodies)
        async with hs.Pull(connect=where(gw, "in")) as pull:
            assert await receive(pull, 3000) == bodies
            result = await gw.stop()
        assert result.complete
        assert await depth(rabbitmq, "q") == (0, 0)
    [told] = result.stats.routes
    assert (told.received, told.forwarded, told.confirmed) == (3000, 3000, 3000)
    assert (told.pending, told.requeued, told.redelivered, told.dropped) == (0, 0, 0, 0)


async def test_multipart_messages_come_out_as_they_went_in(rabbitmq: RabbitMQ) -> None:
    await queues(rabbitmq, "q")
    async with (
        running(gateway(rabbitmq, out(), name="one")) as one,
        running(gateway(rabbitmq, into(), name="two")) as two,
        hs.Push(connect=where(one, "out")) as push,
        hs.Pull(connect=where(two, "in")) as pull,
    ):
        await push.send_multipart([b"hello", b"", b"you"])
        assert await pull.recv_multipart() == [b"hello", b"", b"you"]


async def test_looking_for_the_queue_at_the_start_touches_no_message(rabbitmq: RabbitMQ) -> None:
    await queues(rabbitmq, "q")
    async with amqp(rabbitmq) as peer:
        await peer.put("q", b"1", b"2")
    async with running(gateway(rabbitmq, into(metadata="json"))) as gw:
        async with hs.Pull(connect=where(gw, "in")) as pull:
            for body in (b"1", b"2"):
                metadata, found = await pull.recv_multipart()
                assert found == body
                assert json.loads(metadata)["redelivered"] is False
        assert stats(gw).redelivered == 0


async def test_with_nobody_there_the_broker_keeps_the_messages(rabbitmq: RabbitMQ) -> None:
    await queues(rabbitmq, "q")
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, into())) as gw:
        await peer.put("q", b"1", b"2")
        assert await depth(rabbitmq, "q") == (2, 0)
        async with hs.Pull(connect=where(gw, "in")) as pull:
            assert await receive(pull, 2) == [b"1", b"2"]
            await until(lambda: stats(gw).confirmed == 2)
        await until(lambda: gw.sockets["in"].stats().disconnects == 1)
        await peer.put("q", b"3")
        while await depth(rabbitmq, "q") != (1, 0):
            pass
        async with hs.Pull(connect=where(gw, "in")) as pull:
            assert await pull.recv() == b"3"


async def test_workers_accept_reject_and_requeue(rabbitmq: RabbitMQ) -> None:
    await queues(rabbitmq, "q", "dead")
    route = into("DEALER", ack="reply", dead_letters=TO_DEAD)
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, route)) as gw,
        hs.Rep(connect=where(gw, "in")) as rep,
    ):
        await peer.put("q", b"job")
        assert await rep.recv() == b"job"
        await rep.send(b"requeue")
        assert await rep.recv() == b"job"
        await rep.send_multipart([b"reject", b"it is no good"])
        [letter] = await peer.take("dead", 1)
        assert letter.body == b"job"
        await peer.put("q", b"other")
        assert await rep.recv() == b"other"
        await rep.send(b"")
        await until(lambda: stats(gw).pending == 0)
        assert (stats(gw).requeued, stats(gw).rejected, stats(gw).confirmed) == (1, 1, 1)
        assert stats(gw).redelivered == 1
        assert (await gw.stop()).complete
    assert await depth(rabbitmq, "q") == (0, 0)


async def test_max_deliveries_is_counted_where_the_broker_does_not(rabbitmq: RabbitMQ) -> None:
    await queues(rabbitmq, "q", "dead")
    route = into("DEALER", ack="reply", max_deliveries=2, dead_letters=TO_DEAD)
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, route)) as gw,
        hs.Rep(connect=where(gw, "in")) as rep,
    ):
        await peer.put("q", b"poison")
        for _ in range(2):
            assert await rep.recv() == b"poison"
            await rep.send(b"requeue")
        [letter] = await peer.take("dead", 1)
        assert letter.body == b"poison"
        await until(lambda: stats(gw).pending == 0)
    assert await depth(rabbitmq, "q") == (0, 0)


# --- topics ----------------------------------------------------------------------------


async def test_topics_have_a_link_for_each_pattern(rabbitmq: RabbitMQ) -> None:
    address = "/exchange/amq.topic"
    sub = RouteSpec(name="xpub", kind="topics", socket=at("XPUB"), address=address)
    pub = RouteSpec(name="xsub", kind="topics", socket=at("XSUB"), address=address)
    async with (
        running(gateway(rabbitmq, sub, name="one")) as one,
        running(gateway(rabbitmq, pub, name="two")) as two,
        hs.Pub(connect=where(two, "xsub")) as publisher,
        Theirs("SUB") as subscriber,
    ):
        subscriber.socket.subscribe(b"no.")
        subscriber.socket.subscribe(b"se.stockholm.")
        subscriber.connect(where(one, "xpub"))
        await until(lambda: stats(one).bindings == 2)
        await publisher.wait_subscribed("")
        for topic in (b"se.lund.", b"no.oslo", b"se.stockholm.wind", b"dk.a", b"no.bergen"):
            await publisher.send_multipart([topic, b"of " + topic])
        got = [await _theirs(subscriber) for _ in range(3)]
        # Each pattern has a queue of its own at the broker, and no order with the others.
        assert sorted(got) == [
            [t, b"of " + t] for t in (b"no.bergen", b"no.oslo", b"se.stockholm.wind")
        ]
        subscriber.socket.unsubscribe(b"no.")
        await until(lambda: stats(one).bindings == 1)
        await publisher.send_multipart([b"no.oslo", b"not wanted"])
        await publisher.send_multipart([b"se.stockholm.sun", b"wanted"])
        assert await _theirs(subscriber) == [b"se.stockholm.sun", b"wanted"]


async def _theirs(peer: Theirs) -> list[bytes]:
    while True:
        try:
            return peer.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            await trio.sleep(0.002)


# --- call and serve ----------------------------------------------------------------------


async def test_call_and_serve_meet(rabbitmq: RabbitMQ) -> None:
    await queues(rabbitmq, "rpc", "answers")
    call = RouteSpec(
        name="call",
        kind="call",
        socket=at("ROUTER"),
        address="/amq/queue/rpc",
        reply_queue="/amq/queue/answers",
    )
    serve = RouteSpec(name="serve", kind="serve", socket=at("DEALER"), address="/amq/queue/rpc")
    async with (
        running(gateway(rabbitmq, call, name="near")) as near,
        running(gateway(rabbitmq, serve, name="far")) as far,
        hs.Rep(connect=where(far, "serve")) as rep,
        hs.Req(connect=where(near, "call")) as req,
    ):
        for number in range(20):
            await req.send_multipart([b"%d" % number, b"", b"x"])
            question = await rep.recv_multipart()
            assert question == [b"%d" % number, b"", b"x"]
            await rep.send_multipart([b"answer", *question])
            assert await req.recv_multipart() == [b"answer", *question]
        await until(lambda: stats(far).pending == 0)
        assert (stats(near).forwarded, stats(near).pending) == (20, 0)
        assert (stats(far).received, stats(far).confirmed) == (20, 20)
        assert (await near.stop()).complete
        assert (await far.stop()).complete
    assert await depth(rabbitmq, "rpc") == (0, 0)
    assert await depth(rabbitmq, "answers") == (0, 0)


async def test_a_call_without_a_reply_queue_says_what_it_needs(rabbitmq: RabbitMQ) -> None:
    await queues(rabbitmq, "rpc")
    call = RouteSpec(name="call", kind="call", socket=at("ROUTER"), address="/amq/queue/rpc")
    with trio.fail_after(PATIENCE), pytest.raises(ChannelLost, match="reply_queue"):
        await gateway(rabbitmq, call).run()


async def test_an_answer_that_cannot_go_ends_nothing_but_itself(rabbitmq: RabbitMQ) -> None:
    await queues(rabbitmq, "rpc", "answers")
    serve = RouteSpec(name="serve", kind="serve", socket=at("DEALER"), address="/amq/queue/rpc")
    async with (
        running(gateway(rabbitmq, serve)) as gw,
        hs.Rep(connect=where(gw, "serve")) as rep,
        connect(rabbitmq) as client,
    ):
        sender = await client.open_sender(unheard, address="/amq/queue/rpc")
        target = Target(address="/amq/queue/rpc")
        for reply_to in ("/amq/queue/nope", "/amq/queue/answers"):
            said = Properties(reply_to=reply_to, correlation_id=reply_to)
            await sender.send([Publication(target, b"q", said)])
        for _ in range(2):
            await rep.send(await rep.recv() + b"?")
        receiver = await client.open_receiver(Subscription(address="/amq/queue/answers"))
        [answer] = await receiver.receive()
        assert (answer.body, answer.properties.correlation_id) == (b"q?", "/amq/queue/answers")
        await until(lambda: stats(gw).pending == 0)
        assert stats(gw).drops == {"returned": 1}
    assert await depth(rabbitmq, "rpc") == (0, 0)


# --- vhosts ------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "vhost:"])
async def test_a_url_names_the_vhost(rabbitmq: RabbitMQ, prefix: str) -> None:
    await queues(rabbitmq, "q")
    # Who may not use the default vhost, where RabbitMQ looks first, may use his own.
    user = f"only-{rabbitmq.vhost}{len(prefix)}"
    await rabbitmq.ctl("add_user", user, "sesame")
    await rabbitmq.ctl("set_permissions", "-p", rabbitmq.vhost, user, ".*", ".*", ".*")
    config = loads(f"""
        [broker]
        protocol = "1.0"
        url = "amqp://{user}:sesame@127.0.0.1:{rabbitmq.port}/{prefix}{rabbitmq.vhost}"
        [routes.out]
        kind = "out"
        socket = "tcp://127.0.0.1:*"
        address = "/amq/queue/q"
    """)
    async with (
        running(AmqpGateway(config.spec)) as gw,
        hs.Push(connect=where(gw, "out")) as push,
        amqp(rabbitmq) as peer,
    ):
        await push.send(b"there")
        assert await peer.bodies("q", 1) == [b"there"]
        assert gw.stats().connects == 1


# --- faults ------------------------------------------------------------------------------

COUNT, KILLS = 2000, 2


@pytest.mark.timeout(120)
@pytest.mark.skipif(missing() is not None, reason=missing() or "")
async def test_nothing_is_lost_while_the_broker_is_killed(tmp_path: Path) -> None:
    """Out and in by one queue; what comes again was carried twice, as at-least-once allows."""
    async with RabbitMQ(tmp_path) as rabbitmq:
        async with amqp(rabbitmq) as peer:
            await peer.queue("q", durable=True)
        made = gateway(rabbitmq, out(), into(own_messages="pass", prefetch=100))
        with trio.fail_after(90):
            async with trio.open_nursery() as nursery:
                await nursery.start(_run, made)
                await _through(made, rabbitmq)
                result = await made.stop()
        assert result.complete
        assert result.stats.reconnects == KILLS
        assert await depth(rabbitmq, "q") == (0, 0)


async def _run(made: AmqpGateway, task_status: trio.TaskStatus[AmqpGateway]) -> None:
    await made.run(task_status=task_status)


async def _through(gw: AmqpGateway, rabbitmq: RabbitMQ) -> None:
    wanted = {b"%d" % number for number in range(COUNT)}
    got: set[bytes] = set()

    async def send(push: hs.Push) -> None:
        for number in range(COUNT):
            await push.send(b"%d" % number)

    async with (
        hs.Push(connect=where(gw, "out")) as push,
        hs.Pull(connect=where(gw, "in")) as pull,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(send, push)
        for kill in range(KILLS):
            while len(got) < COUNT * (kill + 1) // (KILLS + 2):
                got.update(await pull.recv_many())
            await rabbitmq.kill()
            await rabbitmq.start()
        while got != wanted:
            got.update(await pull.recv_many())
        await until(lambda: not any(route.pending for route in gw.stats().routes))
