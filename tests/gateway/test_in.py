"""In: from RabbitMQ to PUSH and PUB."""

from __future__ import annotations

import json
from typing import Any

import pytest
import zmq

import hypersocket as hs
from hypersocket.amqp import Binding, ChannelLost, Properties, Queue, Subscription
from hypersocket.devices.amqp_gateway._errors import GatewayError
from hypersocket.devices.amqp_gateway._spec import DeadLetters, Policy, RouteSpec

from ..brokers.rabbitmq import RabbitMQ
from .worlds import amqp, at, close_gateways, depth, gateway, running, until, where

Q = Queue(name="q", durable=False)
DEAD = Queue(name="dead", durable=False)
TO_DEAD = DeadLetters(exchange="", routing_key="dead")


def into(socket: str = "PUSH", **changes: object) -> RouteSpec:
    given: dict[str, object] = {"queue": "q", **changes}
    return RouteSpec(name="in", kind="in", socket=at(socket), **given)  # type: ignore[arg-type]


async def receive(pull: hs.Pull, count: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < count:
        found += await pull.recv_many()
    return found


async def test_passes_on_what_is_in_a_queue_and_settles_it(rabbitmq: RabbitMQ) -> None:
    bodies = [b"%d" % n for n in range(3000)]
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, into(), declare=[Q])) as gw:
        await peer.put("q", *bodies)
        async with hs.Pull(connect=where(gw, "in")) as pull:
            assert await receive(pull, 3000) == bodies
            result = await gw.stop()
        assert await depth(rabbitmq, "q") == (0, 0)
    [stats] = result.stats.routes
    assert result.complete
    assert (stats.received, stats.forwarded, stats.confirmed) == (3000, 3000, 3000)
    assert (stats.pending, stats.requeued, stats.redelivered, stats.dropped) == (0, 0, 0, 0)
    assert stats.bytes_in == stats.bytes_out == sum(map(len, bodies))


async def test_multipart_messages_come_out_as_they_went_in(rabbitmq: RabbitMQ) -> None:
    out = RouteSpec(name="out", kind="out", queue="q", socket=at("PULL"))
    async with running(gateway(rabbitmq, out, declare=[Q], name="one")) as one:
        with zmq.Context() as context, context.socket(zmq.PUSH) as push:
            push.connect(where(one, "out"))
            push.send_multipart([b"hello", b"", b"you"])
            await until(lambda: one.stats().routes[0].confirmed == 1)
        async with (
            running(gateway(rabbitmq, into(), name="two")) as two,
            hs.Pull(connect=where(two, "in")) as pull,
        ):
            assert await pull.recv_multipart() == [b"hello", b"", b"you"]


async def test_what_came_through_us_already_is_cut(rabbitmq: RabbitMQ) -> None:
    both = (
        RouteSpec(name="out", kind="out", queue="q", socket=at("PULL")),
        into(dead_letters=TO_DEAD),
    )
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, *both, declare=[Q, DEAD])) as gw,
        hs.Push(connect=where(gw, "out")) as push,
        hs.Pull(connect=where(gw, "in")),
    ):
        await push.send(b"round and round")
        [dead] = await peer.take("dead", 1)
        await until(lambda: not gw.stats().routes[1].pending)
    assert dead.properties.headers["x-hypersocket-reason"] == "looped"
    assert gw.stats().routes[1].looped == gw.stats().routes[1].dead_lettered == 1


async def test_metadata_stands_before_the_frames(rabbitmq: RabbitMQ) -> None:
    route = into(metadata="json")
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route, declare=[Q])) as gw:
        said = Properties(correlation_id="c", headers={"a": 1}, priority=3)
        await peer.put("q", b"body", properties=said)
        async with hs.Pull(connect=where(gw, "in")) as pull:
            first, body = await pull.recv_multipart()
    table = json.loads(first)
    assert body == b"body"
    assert (table["correlation_id"], table["priority"], table["headers"]) == ("c", 3, {"a": 1})
    assert (table["exchange"], table["routing_key"], table["redelivered"]) == ("", "q", False)


async def test_with_nobody_there_the_broker_keeps_the_messages(rabbitmq: RabbitMQ) -> None:
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, into(), declare=[Q])) as gw:
        await peer.put("q", b"1", b"2", b"3")
        assert await depth(rabbitmq, "q") == (3, 0)
        async with hs.Pull(connect=where(gw, "in")) as pull:
            assert await receive(pull, 3) == [b"1", b"2", b"3"]
            await until(lambda: gw.stats().routes[0].confirmed == 3)
        await until(lambda: gw.sockets["in"].stats().disconnects == 1)
        await peer.put("q", b"4")
        while await depth(rabbitmq, "q") != (1, 0):
            pass
        async with hs.Pull(connect=where(gw, "in")) as pull:
            assert await pull.recv() == b"4"


async def test_what_a_peer_did_not_take_goes_to_the_next(rabbitmq: RabbitMQ) -> None:
    """A PULL that is full goes away with its connection's buffers: none of it was settled."""
    route = into(prefetch=50)
    body = b"x" * 200_000
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route, declare=[Q])) as gw:
        await peer.put("q", *([body] * 60))
        # What was in hand may have been taken whole as the peer went: then another goes.
        while not gw.stats().routes[0].requeued:
            async with hs.Pull(connect=where(gw, "in"), rcvhwm=1):
                await until(lambda: gw.stats().routes[0].pending > 0)
            await until(
                lambda: gw.stats().routes[0].requeued > 0 or gw.stats().routes[0].pending == 0
            )
        before = gw.stats().routes[0].confirmed
        async with hs.Pull(connect=where(gw, "in")) as pull:
            found = await receive(pull, 60 - before)
            assert all(one == body for one in found)
            await until(lambda: gw.stats().routes[0].confirmed >= 60)
        assert await depth(rabbitmq, "q") == (0, 0)


async def test_a_pub_waits_for_a_subscription(rabbitmq: RabbitMQ) -> None:
    route = into("PUB")
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route, declare=[Q])) as gw:
        await peer.put("q", b"a1", b"b1")
        async with hs.Sub(connect=where(gw, "in")) as sub:
            await sub.wait_connected()
            assert await depth(rabbitmq, "q") == (2, 0)
            sub.subscribe("a")
            assert await sub.recv() == b"a1"
            await until(lambda: gw.stats().routes[0].confirmed == 2)


async def test_a_pub_with_libzmq_subscribers(rabbitmq: RabbitMQ) -> None:
    route = into("PUB")
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route, declare=[Q])) as gw:
        with zmq.Context() as context, context.socket(zmq.SUB) as sub:
            sub.subscribe(b"")
            sub.connect(where(gw, "in"))
            await peer.put("q", *[b"%d" % n for n in range(2000)])
            await until(lambda: gw.stats().routes[0].confirmed == 2000)
            assert [sub.recv() for _ in range(2000)] == [b"%d" % n for n in range(2000)]


async def test_an_exchange_comes_by_a_queue_of_our_own(rabbitmq: RabbitMQ) -> None:
    route = into(queue="", exchange="amq.topic", routing_key="a.*")
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route)) as gw:
        await peer.put("a.b", b"before", exchange="amq.topic")  # the queue has it
        async with hs.Pull(connect=where(gw, "in")) as pull:
            assert await pull.recv() == b"before"
            await close_gateways(rabbitmq)
            await until(lambda: gw.stats().reconnects == 1)
            await gw.wait_active()
            await peer.put("a.c", b"after", exchange="amq.topic")
            assert await pull.recv() == b"after"


async def test_an_exchange_comes_by_a_named_durable_queue(rabbitmq: RabbitMQ) -> None:
    route = into(queue="mine", exchange="amq.topic", routing_key="#")
    async with amqp(rabbitmq) as peer:
        async with running(gateway(rabbitmq, route)) as gw:
            await gw.stop()
        await peer.put("k", b"meanwhile", exchange="amq.topic")
        async with (
            running(gateway(rabbitmq, route)) as gw,
            hs.Pull(connect=where(gw, "in")) as pull,
        ):
            assert await pull.recv() == b"meanwhile"


async def test_poison_goes_to_the_dead_letters_and_the_rest_goes_on(rabbitmq: RabbitMQ) -> None:
    route = into(policy=Policy(max_message_size=10), dead_letters=TO_DEAD, max_deliveries=1)
    async with amqp(rabbitmq) as peer:
        await peer.queue("q", durable=False)
        await peer.put("q", b"again")
        receiver = await peer.client.open_receiver(_subscribe("q"))
        receiver.release(await receiver.receive())
        await receiver.aclose()
        await peer.put("q", b"x" * 11, b"good")
        async with (
            running(gateway(rabbitmq, route, declare=[DEAD])) as gw,
            hs.Pull(connect=where(gw, "in")) as pull,
        ):
            assert await pull.recv() == b"good"
            dead = await peer.take("dead", 2)
            await until(lambda: not gw.stats().routes[0].pending)
        assert await depth(rabbitmq, "q") == (0, 0)
    assert [one.body for one in dead] == [b"again", b"x" * 11]
    assert [one.properties.headers["x-hypersocket-reason"] for one in dead] == [
        "poisonous",
        "oversize",
    ]
    stats = gw.stats().routes[0]
    assert (stats.received, stats.confirmed, stats.dead_lettered) == (3, 1, 2)
    assert stats.redelivered == 1


async def test_without_dead_letters_poison_is_rejected_at_the_broker(
    rabbitmq: RabbitMQ,
) -> None:
    queue = Queue(
        name="q",
        durable=False,
        arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"},
    )
    route = into(policy=Policy(max_message_size=10))
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, route, declare=[queue, DEAD])) as gw,
    ):
        await peer.put("q", b"x" * 11)
        async with hs.Pull(connect=where(gw, "in")):
            assert await peer.bodies("dead", 1) == [b"x" * 11]
            assert gw.stats().routes[0].drops == {"oversize": 1}


async def test_what_the_dead_letter_target_does_not_take_stays_with_the_broker(
    rabbitmq: RabbitMQ,
) -> None:
    route = into(
        policy=Policy(max_message_size=10), dead_letters=DeadLetters(exchange="amq.fanout")
    )
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route, declare=[Q])) as gw:
        await peer.put("q", b"x" * 11)
        async with hs.Pull(connect=where(gw, "in")):
            await until(lambda: "NO_ROUTE" in gw.stats().routes[0].error)
            assert await depth(rabbitmq, "q") == (0, 1)
            dead = await peer.queue(exclusive=True)
            await peer.client.bind(Binding(queue=dead, exchange="amq.fanout"))
            assert await peer.bodies(dead, 1) == [b"x" * 11]
            await until(lambda: not gw.stats().routes[0].pending)
        assert await depth(rabbitmq, "q") == (0, 0)
        assert gw.stats().routes[0].error == ""


def _subscribe(queue: str) -> Subscription:
    return Subscription(queue=queue, credit=1)


async def test_a_queue_that_is_deleted_is_told_and_waited_for(rabbitmq: RabbitMQ) -> None:
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, into(), declare=[Q])) as gw,
        hs.Pull(connect=where(gw, "in")) as pull,
    ):
        await until(lambda: gw.stats().routes[0].credit > 0)
        await rabbitmq.ctl("delete_queue", "-p", rabbitmq.vhost, "q")
        await until(lambda: "no queue 'q'" in gw.stats().routes[0].error)
        assert gw.stats().connected
        await peer.queue("q", durable=False)
        await gw.wait_active()
        await peer.put("q", b"new")
        assert await pull.recv() == b"new"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"queue": ""}, "give it a queue"),
        ({"address": "a", "queue": ""}, "has neither addresses nor filters"),
        ({"policy": Policy(queues=("other",))}, "does not allow the queue 'q'"),
        ({"ack": "reply"}, "the socket is a DEALER, not a PUSH"),
    ],
)
async def test_what_cannot_work_is_said_before_anything_is_opened(
    rabbitmq: RabbitMQ, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(GatewayError, match=words):
        gateway(rabbitmq, into("PUSH", **changes))


async def test_a_missing_queue_ends_the_start(rabbitmq: RabbitMQ) -> None:
    with pytest.raises(ChannelLost, match=r"route in: .*404 NOT_FOUND.*no queue 'q'"):
        await gateway(rabbitmq, into()).run()


async def test_no_ack_settles_as_it_receives(rabbitmq: RabbitMQ) -> None:
    route = into(mode="no-ack")
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route, declare=[Q])) as gw:
        await peer.put("q", *[b"%d" % n for n in range(100)])
        async with hs.Pull(connect=where(gw, "in")) as pull:
            assert len(await receive(pull, 100)) == 100
        assert await depth(rabbitmq, "q") == (0, 0)
