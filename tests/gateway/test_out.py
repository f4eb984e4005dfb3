"""Out: from PULL and SUB to RabbitMQ."""

from __future__ import annotations

import json

import pytest
import zmq
from trio.testing import MockClock

import hypersocket as hs
from hypersocket.amqp import Binding, ChannelLost, Exchange, Queue
from hypersocket.devices.amqp_gateway._errors import GatewayError
from hypersocket.devices.amqp_gateway._spec import DeadLetters, Policy, RouteSocket, RouteSpec

from ..brokers.rabbitmq import RabbitMQ
from .worlds import amqp, at, close_gateways, depth, gateway, running, until, where, without_memory


def out(**changes: object) -> RouteSpec:
    given: dict[str, object] = {"queue": "q", **changes}
    if "exchange" in given or "address" in given:
        given.pop("queue")
    return RouteSpec(name="out", kind="out", socket=at("PULL"), **given)  # type: ignore[arg-type]


Q = Queue(name="q", durable=False)


async def test_carries_what_a_push_sends_and_counts_it(rabbitmq: RabbitMQ) -> None:
    bodies = [b"%d" % n for n in range(3000)]
    async with amqp(rabbitmq) as peer:
        await peer.queue("q", durable=False)
        async with running(gateway(rabbitmq, out())) as gw:
            async with hs.Push(connect=where(gw, "out")) as push:
                await push.send_many(bodies)
                assert await peer.bodies("q", 3000) == bodies
            result = await gw.stop()
    [stats] = result.stats.routes
    assert result.complete
    assert (stats.received, stats.forwarded, stats.confirmed, stats.pending) == (3000,) * 3 + (0,)
    assert stats.bytes_in == stats.bytes_out == sum(map(len, bodies))
    assert (stats.returned, stats.rejected, stats.retried, stats.dropped) == (0, 0, 0, 0)


async def test_carries_what_libzmq_sends(rabbitmq: RabbitMQ) -> None:
    async with amqp(rabbitmq) as peer:
        await peer.queue("q", durable=False)
        async with running(gateway(rabbitmq, out())) as gw:
            with zmq.Context() as context, context.socket(zmq.PUSH) as push:
                push.connect(where(gw, "out"))
                push.send_multipart([b"hello", b"", b"you"])
                push.send(b"alone")
                two, one = await peer.take("q", 2)
    assert (two.body, two.properties.headers["x-hypersocket-frames"]) == (b"helloyou", "5,0,3")
    assert one.body == b"alone"
    assert one.properties.headers == {"x-hypersocket-via": "gw"}
    assert one.properties.durable is True


async def test_publishes_without_the_header_of_hops(rabbitmq: RabbitMQ) -> None:
    async with amqp(rabbitmq) as peer:
        await peer.queue("q", durable=False)
        async with (
            running(gateway(rabbitmq, out(hop_header=False))) as gw,
            hs.Push(connect=where(gw, "out")) as push,
        ):
            await push.send(b"alone")
            [one] = await peer.take("q", 1)
    assert (one.body, one.properties.headers) == (b"alone", {})


async def test_publishes_to_an_exchange_with_a_key_from_a_frame(rabbitmq: RabbitMQ) -> None:
    declare = (
        Exchange(name="e", type="topic", durable=False),
        Q,
        Binding(queue="q", exchange="e", routing_key="a.*"),
    )
    route = out(exchange="e", key_frame=1)
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, route, declare=declare)) as gw,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        await push.send_multipart([b"one", b"a.b", b"two"])
        [got] = await peer.take("q", 1)
    assert (got.body, got.target.routing_key) == (b"onetwo", "a.b")


async def test_fills_a_template_and_takes_metadata(rabbitmq: RabbitMQ) -> None:
    route = out(exchange="amq.topic", routing_key="{frame[0]}.{header[kind]}", metadata="json")
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route)) as gw:
        queue = await peer.queue(exclusive=True)
        await peer.client.bind(Binding(queue=queue, exchange="amq.topic", routing_key="x.#"))
        async with hs.Push(connect=where(gw, "out")) as push:
            said = {"headers": {"kind": "y"}, "message_id": "m1", "durable": False, "ttl": 60}
            await push.send_multipart([json.dumps(said).encode(), b"x", b"body"])
            [got] = await peer.take(queue, 1)
    assert got.target.routing_key == "x.y"
    assert (got.properties.message_id, got.properties.ttl) == ("m1", 60)
    assert not got.properties.durable
    assert got.properties.headers["kind"] == "y"


async def test_a_sub_takes_what_it_is_told(rabbitmq: RabbitMQ) -> None:
    route = RouteSpec(
        name="out",
        kind="out",
        queue="q",
        socket=RouteSocket(type="SUB", bind=("tcp://127.0.0.1:*",), subscribe=("a",)),
    )
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, route, declare=[Q])) as gw,
        hs.Pub(connect=where(gw, "out")) as pub,
    ):
        await pub.wait_subscribed("a")
        await pub.send_many([b"b1", b"a1", b"a2"])
        assert await peer.bodies("q", 2) == [b"a1", b"a2"]


async def test_what_cannot_be_routed_goes_to_the_dead_letters(rabbitmq: RabbitMQ) -> None:
    route = out(
        exchange="amq.topic", routing_key="no.body", dead_letters=DeadLetters(exchange="amq.fanout")
    )
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route)) as gw:
        queue = await peer.queue(exclusive=True)
        await peer.client.bind(Binding(queue=queue, exchange="amq.fanout"))
        async with hs.Push(connect=where(gw, "out")) as push:
            await push.send_many([b"lost", b"too"])
            one, two = await peer.take(queue, 2)
            result = await gw.stop()
    headers = one.properties.headers
    assert (one.body, two.body, one.target.routing_key) == (b"lost", b"too", "no.body")
    assert headers["x-hypersocket-reason"] == "returned"
    assert headers["x-hypersocket-reason-text"] == "312 NO_ROUTE"
    assert headers["x-hypersocket-exchange"] == "amq.topic"
    [stats] = result.stats.routes
    assert (stats.returned, stats.dead_lettered, stats.dropped, stats.pending) == (2, 2, 0, 0)


async def test_what_cannot_be_routed_is_counted_where_there_are_no_dead_letters(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    route = out(exchange="amq.topic", routing_key="no.body")
    async with running(gateway(rabbitmq, route)) as gw:
        async with hs.Push(connect=where(gw, "out")) as push:
            await push.send_many([b"1", b"2"])
            await until(lambda: gw.stats().routes[0].dropped == 2)
        result = await gw.stop()
    [stats] = result.stats.routes
    assert stats.drops == {"returned": 2}
    assert "312 NO_ROUTE" in caplog.text


async def test_dead_letters_to_a_socket_have_the_reason_before_the_frames(
    rabbitmq: RabbitMQ,
) -> None:
    route = out(
        exchange="amq.topic",
        key_frame=0,
        policy=Policy(topics=("ok.*",), max_message_size=10),
        dead_letters=DeadLetters(socket=at("PUSH")),
        mandatory=False,
    )
    async with running(gateway(rabbitmq, route)) as gw:
        dead = where(gw, "out.dead-letters")
        async with hs.Push(connect=where(gw, "out")) as push, hs.Pull(connect=dead) as pull:
            await push.send_multipart([b"not.ok", b"one", b"two"])
            await push.send_multipart([b"ok.1", b"x" * 11])
            await push.send_multipart([b"\xff", b"three"])
            found = [await pull.recv_multipart() for _ in range(3)]
            await until(lambda: not gw.stats().routes[0].pending)
    said = [json.loads(frames[0])["headers"] for frames in found]
    assert [one["x-hypersocket-reason"] for one in said] == ["policy", "oversize", "malformed"]
    assert "the topic 'not.ok'" in said[0]["x-hypersocket-reason-text"]
    assert [frames[1:] for frames in found] == [[b"one", b"two"], [b"x" * 11], [b"\xff", b"three"]]
    assert gw.stats().routes[0].dead_lettered == 3


async def test_messages_that_the_broker_rejects_are_buried_and_the_rest_goes_on(
    rabbitmq: RabbitMQ,
) -> None:
    full = Queue(
        name="q", durable=False, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    route = out(dead_letters=DeadLetters(exchange="", routing_key="dead"))
    declare = (full, Queue(name="dead", durable=False))
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, route, declare=declare)) as gw,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        for body in (b"1", b"2", b"3"):
            await push.send(body)
        dead = await peer.take("dead", 2)
        assert await peer.bodies("q", 1) == [b"1"]
        await push.send(b"4")
        assert await peer.bodies("q", 1) == [b"4"]
    assert [one.body for one in dead] == [b"2", b"3"]
    assert dead[0].properties.headers["x-hypersocket-reason"] == "rejected"
    assert gw.stats().routes[0].rejected == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"queue": "absent"}, "404 NOT_FOUND.*no queue 'absent'"),
        ({"exchange": "absent"}, "404 NOT_FOUND.*no exchange 'absent'"),
        ({"dead_letters": DeadLetters(exchange="absent")}, "404 NOT_FOUND.*no exchange 'absent'"),
    ],
)
async def test_what_is_missing_ends_the_start_with_the_brokers_words(
    rabbitmq: RabbitMQ, changes: dict[str, object], words: str
) -> None:
    made = gateway(rabbitmq, out(**changes), declare=[Q])
    with pytest.raises(ChannelLost, match=f"route out: .*{words}") as caught:
        await made.run()
    assert "\n" not in str(caught.value)
    assert made.state == "stopped"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"policy": Policy(queues=("other",))}, "does not allow the queue 'q', but 'other'"),
        (
            {"exchange": "e", "policy": Policy(exchanges=("other",))},
            "does not allow the exchange 'e'",
        ),
        (
            {"exchange": "e", "routing_key": "k", "policy": Policy(topics=("a.*", "b"))},
            "does not allow the topic 'k', but 'a.\\*', 'b'",
        ),
        ({"address": "a"}, "has no addresses"),
        ({"routing_key": "{header[x]}"}, "set metadata"),
        ({"routing_key": "{"}, "stands alone"),
        ({"dead_letters": DeadLetters()}, "one of exchange, address and socket"),
    ],
)
async def test_what_cannot_work_is_said_before_anything_is_opened(
    rabbitmq: RabbitMQ, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(GatewayError, match=words) as caught:
        gateway(rabbitmq, out(**changes))
    assert str(caught.value).startswith("route out: ")


async def test_a_missing_exchange_later_is_told_and_tried_again(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    declare = (Exchange(name="e", type="fanout", durable=False),)
    async with (
        amqp(rabbitmq) as peer,
        running(
            gateway(rabbitmq, out(exchange="e", mandatory=False), out2(), declare=[*declare, Q])
        ) as gw,
    ):
        await rabbitmq.ctl("eval", delete_exchange(rabbitmq.vhost, "e"))
        async with hs.Push(connect=where(gw, "out")) as push:
            await push.send(b"1")
            await until(lambda: not gw.stats().routes[0].active)
            assert "no exchange 'e'" in gw.stats().routes[0].error
            async with hs.Push(connect=where(gw, "out2")) as other:  # this one goes on
                await other.send(b"2")
                assert await peer.bodies("q", 1) == [b"2"]
            await peer.client.declare(declare)
            await gw.wait_active()
            await until(lambda: gw.stats().routes[0].confirmed == 1)
    assert gw.stats().routes[0].retried == 1
    assert caplog.text.count("no exchange 'e'") <= 2  # once for each change of the words
    assert gw.stats().connects == 1


def out2() -> RouteSpec:
    return RouteSpec(name="out2", kind="out", queue="q", socket=at("PULL"))


def delete_exchange(vhost: str, name: str) -> str:
    resource = f'rabbit_misc:r(<<"{vhost}">>, exchange, <<"{name}">>)'
    return f'rabbit_exchange:delete({resource}, false, <<"test">>).'


async def test_the_window_bounds_what_is_taken(rabbitmq: RabbitMQ) -> None:
    """While the broker confirms nothing, the peers are held back."""
    route = out(prefetch=10)
    async with (
        running(gateway(rabbitmq, route, declare=[Q])) as gw,
        without_memory(rabbitmq) as restore,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        for number in range(100):
            await push.send(b"%d" % number)
        await until(lambda: bool(gw.stats().blocked))
        stats = gw.stats().routes[0]
        assert 0 < stats.pending <= 10
        assert stats.received == stats.pending
        await restore()
        await until(lambda: gw.stats().routes[0].confirmed == 100)
        assert not gw.stats().blocked


async def test_a_lost_connection_loses_nothing(rabbitmq: RabbitMQ) -> None:
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, out(), declare=[Q])) as gw,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        for round_ in range(3):
            await push.send_many([b"%d" % n for n in range(round_ * 500, round_ * 500 + 500)])
            await close_gateways(rabbitmq)
        await until(lambda: gw.stats().routes[0].confirmed >= 1500)
        result = await gw.stop()
        told = result.stats.routes[0]
        # Also what the broker had taken, and had not confirmed when the connection was closed.
        ready, _ = await depth(rabbitmq, "q")
        found = [int(b) for b in await peer.bodies("q", ready)]
    assert set(found) == set(range(1500))
    assert result.stats.reconnects >= 1
    assert len(found) - 1500 <= told.retried
    assert told.received == told.forwarded == told.confirmed == 1500


async def test_stops_with_everything_that_the_sockets_have_received(rabbitmq: RabbitMQ) -> None:
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, out(), declare=[Q])) as gw,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        await push.wait_connected()
        await push.send_many([b"%d" % n for n in range(2000)])
        result = await gw.stop()
        assert result.complete
        confirmed = result.stats.routes[0].confirmed
        left = push.stats().queued_out
        assert confirmed + left == 2000
        assert [int(b) for b in await peer.bodies("q", confirmed)] == list(range(confirmed))
    assert gw.state == "stopped"


async def test_a_stop_takes_what_is_on_its_way_whatever_the_linger_of_the_socket(
    rabbitmq: RabbitMQ,
) -> None:
    socket = at("PULL", options={"linger": 0.0, "rcvhwm": 100})
    route = RouteSpec(name="out", kind="out", queue="q", socket=socket)
    async with (
        running(gateway(rabbitmq, route, declare=[Q])) as gw,
        hs.Push(connect=where(gw, "out"), sndhwm=0) as push,
    ):
        await push.wait_connected()
        await push.send_many([bytes(10_000)] * 2000)
        result = await gw.stop()
        assert result.stats.routes[0].confirmed + push.stats().queued_out == 2000


async def test_a_stop_without_a_broker_says_what_is_unsettled(
    rabbitmq: RabbitMQ, jumping_clock: MockClock
) -> None:
    made = gateway(rabbitmq, out(), declare=[Q], linger=20)
    async with (
        without_memory(rabbitmq),
        running(made) as gw,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        await push.send_many([b"1", b"2", b"3"])
        await until(lambda: gw.stats().routes[0].pending > 0)
        gw.stop_soon()
        await until(lambda: gw.state == "stopping" and gw.stats().routes[0].pending == 3)
        jumping_clock.jump(20)
        result = await gw.stop()
    assert not result.complete
    assert result.unsettled == {"out": 3}


async def test_on_publish_does_not_wait_for_confirms(rabbitmq: RabbitMQ) -> None:
    route = out(mode="on-publish")
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, route, declare=[Q])) as gw,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        await push.send_many([b"%d" % n for n in range(500)])
        assert len(await peer.bodies("q", 500)) == 500
        await until(lambda: gw.stats().routes[0].confirmed == 500)


async def test_a_rate_holds_back_and_drops_nothing(rabbitmq: RabbitMQ) -> None:
    route = out(policy=Policy(rate=200))
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, route, declare=[Q])) as gw,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        await push.send_many([b"%d" % n for n in range(100)])
        assert len(await peer.bodies("q", 100)) == 100
