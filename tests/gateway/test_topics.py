"""Topics: XPUB and XSUB in front of topic exchanges of RabbitMQ."""

# ruff: noqa: SIM117 - the gateway outside, and inside of it who talks to it

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import zmq

import hypersocket as hs
from hypersocket.amqp import (
    NO_PROPERTIES,
    Binding,
    ChannelLost,
    Exchange,
    Properties,
    Publication,
    Target,
)
from hypersocket.devices.amqp_gateway._errors import GatewayError
from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._spec import DeadLetters, Policy, RouteSpec
from hypersocket.devices.amqp_gateway.routes._bindings import address_for

from ..brokers.rabbitmq import RabbitMQ
from ..interop.peers import Theirs
from . import worlds10
from .worlds import Amqp, amqp, at, gateway, running, unheard, until, where

T = Exchange(name="t", type="topic", durable=False)
LIMIT = 30.0


def topics(**changes: Any) -> RouteSpec:
    socket = changes.pop("socket", None) or at("XPUB")
    given: dict[str, Any] = {"exchange": "t", **changes}
    return RouteSpec(name="topics", kind="topics", socket=socket, **given)


def world(rabbitmq: RabbitMQ, **changes: Any) -> AmqpGateway:
    return gateway(rabbitmq, topics(**changes), declare=[T])


async def bound(rabbitmq: RabbitMQ) -> list[str]:
    """What is bound to the exchange, by the broker's own account."""
    text = await rabbitmq.ctl(
        *("-q", "list_bindings", "-p", rabbitmq.vhost, "source_name", "routing_key"),
        "--no-table-headers",
    )
    rows = [line.split("\t") for line in text.splitlines()]
    return sorted(row[1] for row in rows if row[0] == "t")


def count(gw: AmqpGateway) -> int:
    return gw.stats().routes[0].bindings


async def publish(peer: Amqp, keys: Sequence[str], properties: Properties = NO_PROPERTIES) -> None:
    """Publish as a PUB does: whether anybody is there or not."""
    sender = await peer.client.open_sender(unheard, mandatory=False)
    await sender.send([Publication(Target("t", key), key.encode(), properties) for key in keys])
    await sender.wait_settled()
    await sender.aclose()


async def test_subscribers_get_what_they_asked_for_and_no_more(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq)) as gw, amqp(rabbitmq) as peer:
        async with hs.Sub(connect=where(gw, "topics"), subscribe=["stock.ny", "x."]) as sub:
            await until(lambda: count(gw) == 2)
            assert await bound(rabbitmq) == ["stock.#", "x.#"]
            await publish(peer, ["stock.la", "y", "stock.ny.ibm", "stock.nyc", "x", "x.1"])
            got = [await sub.recv_multipart() for _ in range(3)]
            assert got == [[key, key] for key in (b"stock.ny.ibm", b"stock.nyc", b"x.1")]
            # "stock.la" and "x" came as far as the gateway, "y" did not.
            await until(lambda: gw.stats().routes[0].confirmed == 5)
        await until(lambda: count(gw) == 0)
        assert await bound(rabbitmq) == []


async def test_libzmq_subscribes(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq)) as gw, amqp(rabbitmq) as peer:
        async with Theirs("SUB", subscribe=b"a.") as sub:
            sub.connect(where(gw, "topics"))
            await until(lambda: count(gw) == 1)
            await publish(peer, ["b.1", "a.1"])
            assert await sub.recv_multipart() == [b"a.1", b"a.1"]
            sub.socket.unsubscribe(b"a.")
            await until(lambda: count(gw) == 0)
        assert await bound(rabbitmq) == []


async def test_a_binding_lasts_as_long_as_any_prefix_needs_it(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq)) as gw:
        async with (
            hs.Sub(connect=where(gw, "topics")) as one,
            hs.Sub(connect=where(gw, "topics")) as two,
        ):
            one.subscribe("a.b")
            two.subscribe("a.c")
            two.subscribe("a.b")
            two.subscribe("")
            await until(lambda: count(gw) == 2)
            assert await bound(rabbitmq) == ["#", "a.#"]
            one.unsubscribe("a.b")
            two.unsubscribe("a.b")
            two.unsubscribe("")
            await until(lambda: count(gw) == 1)
            assert await bound(rabbitmq) == ["a.#"]
            two.unsubscribe("a.c")
            await until(lambda: count(gw) == 0)
        assert await bound(rabbitmq) == []


async def test_one_message_comes_once_however_many_bindings_match(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq)) as gw, amqp(rabbitmq) as peer:
        async with hs.Sub(connect=where(gw, "topics"), subscribe=["", "a.", "a.b."]) as sub:
            await until(lambda: count(gw) == 3)
            await publish(peer, ["a.b.c", "end"])
            assert await sub.recv_multipart() == [b"a.b.c", b"a.b.c"]
            assert await sub.recv_multipart() == [b"end", b"end"]


async def test_who_changes_its_mind_in_haste_has_its_last_word(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq)) as gw:
        async with hs.Sub(connect=where(gw, "topics")) as sub:
            for _ in range(300):
                for number in range(5):
                    sub.subscribe(f"k{number}.")
                for number in range(5):
                    sub.unsubscribe(f"k{number}.")
            sub.subscribe("last.")
            await until(lambda: count(gw) == 1)
            await until(lambda: gw._routes[0]._prefixes == {b"last."})  # type: ignore[attr-defined]
            await until(lambda: count(gw) == 1)
            assert await bound(rabbitmq) == ["last.#"]
        await until(lambda: count(gw) == 0)
        assert await bound(rabbitmq) == []


SUBSCRIBER = """
import sys, zmq
sub = zmq.Context().socket(zmq.SUB)
sub.connect(sys.argv[1])
sub.subscribe(b"doomed.")
sub.recv()
"""


async def test_the_bindings_of_a_killed_subscriber_end(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq)) as gw:
        async with hs.Sub(connect=where(gw, "topics"), subscribe="kept."):
            command = [sys.executable, "-c", SUBSCRIBER, where(gw, "topics")]
            process = subprocess.Popen(command)  # noqa: ASYNC220 - which does not wait
            try:
                await until(lambda: count(gw) == 2)
                assert await bound(rabbitmq) == ["doomed.#", "kept.#"]
            finally:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            await until(lambda: count(gw) == 1)
            assert await bound(rabbitmq) == ["kept.#"]


async def test_all_is_bound_again_after_the_connection_was_lost(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq)) as gw:
        async with hs.Sub(connect=where(gw, "topics"), subscribe=["a.", "b."]) as sub:
            await until(lambda: count(gw) == 2)
            await rabbitmq.ctl("-q", "close_all_connections", "-p", rabbitmq.vhost, "test")
            await until(lambda: gw.stats().reconnects == 1)
            sub.subscribe("c.")
            sub.unsubscribe("a.")
            await gw.wait_active()
            await until(lambda: gw._routes[0]._prefixes == {b"b.", b"c."})  # type: ignore[attr-defined]
            await until(lambda: count(gw) == 2)
            assert await bound(rabbitmq) == ["b.#", "c.#"]
            async with amqp(rabbitmq) as peer:
                await publish(peer, ["a.1", "c.1"])
            assert await sub.recv_multipart() == [b"c.1", b"c.1"]


async def test_topics_have_another_separator(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq, separator="/")) as gw, amqp(rabbitmq) as peer:
        async with hs.Sub(connect=where(gw, "topics"), subscribe="a/") as sub:
            await until(lambda: count(gw) == 1)
            assert await bound(rabbitmq) == ["a.#"]
            await publish(peer, ["a.b.c"])
            assert await sub.recv_multipart() == [b"a/b/c", b"a.b.c"]


async def test_metadata_and_frames_follow_the_topic(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq, metadata="json")) as gw, amqp(rabbitmq) as peer:
        async with hs.Sub(connect=where(gw, "topics"), subscribe="") as sub:
            await until(lambda: count(gw) == 1)
            said = Properties(headers={"x-hypersocket-frames": "1,2"}, type="t")
            await peer.put("k", b"abb", exchange="t", properties=said)
            assert await sub.recv_multipart() == [
                b"k",
                b'{"type":"t","exchange":"t","routing_key":"k","redelivered":false}',
                b"a",
                b"bb",
            ]


async def test_what_came_through_us_is_cut(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq)) as gw, amqp(rabbitmq) as peer:
        async with hs.Sub(connect=where(gw, "topics"), subscribe="") as sub:
            await until(lambda: count(gw) == 1)
            via = Properties(headers={"x-hypersocket-via": "other,gw"})
            await publish(peer, ["mine"], properties=via)
            await publish(peer, ["theirs"])
            assert (await sub.recv_multipart())[0] == b"theirs"
            assert gw.stats().routes[0].looped == 1


async def test_a_policy_refuses_topics_and_nothing_else(rabbitmq: RabbitMQ) -> None:
    made = world(rabbitmq, policy=Policy(topics=("ok.*",)))
    async with running(made) as gw, amqp(rabbitmq) as peer:
        async with hs.Sub(connect=where(gw, "topics"), subscribe=["", "ok.", "no."]) as sub:
            await until(lambda: count(gw) == 1)
            await until(lambda: gw.stats().routes[0].drops.get("subscription refused") == 2)
            assert await bound(rabbitmq) == ["ok.#"]
            await publish(peer, ["no.1", "ok", "ok.1"])  # `ok` comes by the binding, too
            assert await sub.recv_multipart() == [b"ok.1", b"ok.1"]
            assert gw.stats().routes[0].drops["policy"] == 1


async def test_prefixes_that_no_routing_key_has(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq)) as gw:
        odd = [b"x" * 256, b"a.\xff", b"b.*.", b"c.#.d"]
        async with hs.Sub(connect=where(gw, "topics"), subscribe=odd):
            await until(lambda: count(gw) == 3)
            assert await bound(rabbitmq) == ["a.#", "b.*.#", "c.*.#"]


async def test_what_subscribers_send_is_dropped_and_counted(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq)) as gw, hs.XSub(connect=where(gw, "topics")) as xsub:
        await xsub.send(b"\1a.")
        await until(lambda: count(gw) == 1)
        await xsub.send_multipart([b"\1a.", b"no subscription"])
        await xsub.send(b"what is this")
        await until(lambda: gw.stats().routes[0].drops == {"sent by a subscriber": 2})
        assert count(gw) == 1


async def test_a_graceful_stop_leaves_nothing_behind(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq)) as gw, amqp(rabbitmq) as peer:
        async with hs.Sub(connect=where(gw, "topics"), subscribe="", rcvhwm=0) as sub:
            await until(lambda: count(gw) == 1)
            await publish(peer, [str(number) for number in range(100)])
            await until(lambda: gw.stats().routes[0].forwarded == 100)
            result = await gw.stop()
            assert result.complete
            got = [(await sub.recv_multipart())[0] for _ in range(100)]
            assert got == [b"%d" % number for number in range(100)]
    assert await bound(rabbitmq) == []


async def test_an_exchange_that_is_missing_is_told_at_once(rabbitmq: RabbitMQ) -> None:
    with pytest.raises(ChannelLost, match=r"route topics: .*'t'.*404"):
        await gateway(rabbitmq, topics()).run()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exchange": ""}, "need an exchange"),
        ({"address": "/topic/"}, "need an exchange, and neither address nor queue"),
        ({"queue": "q"}, "neither address nor queue"),
        ({"separator": "::"}, "one ASCII character"),
        ({"socket": at("XPUB", options={"xpub_manual": True})}, "must not have xpub_manual"),
        ({"policy": Policy(exchanges=("x",))}, "does not allow the exchange 't'"),
    ],
)
def test_routes_that_cannot_work(changes: dict[str, Any], said: str) -> None:
    broker: Any = type("Nowhere", (), {"port": 1, "vhost": "/"})
    with pytest.raises(GatewayError, match=f"route topics: .*{said}"):
        world(broker, **changes)


def test_addresses_of_topics() -> None:
    assert address_for("/topic", "a.#") == "/topic/a.#"
    assert address_for("/exchange/amq.topic/", "a.#") == "/exchange/amq.topic/a.#"
    assert address_for("/topic/", "a/b.å.#") == "/topic/a%2Fb.%C3%A5.#"
    assert address_for("", "stock.#") == "stock.#"
    assert address_for("ns:", "#") == "ns:#"


# --- XSUB -----------------------------------------------------------------------------------


async def publishers_queue(peer: Amqp) -> str:
    await peer.client.declare([T])
    queue = await peer.queue("", durable=False, exclusive=True)
    await peer.client.bind(Binding(queue=queue, exchange="t", routing_key="#"))
    return queue


async def test_what_publishers_publish_goes_to_the_exchange(rabbitmq: RabbitMQ) -> None:
    async with amqp(rabbitmq) as peer:
        queue = await publishers_queue(peer)
        made = world(rabbitmq, socket=at("XSUB"), subscribe=("a", "b/"), separator="/")
        async with running(made) as gw, hs.Pub(connect=where(gw, "topics")) as ours:
            async with Theirs("XPUB") as theirs:
                theirs.connect(where(gw, "topics"))
                await ours.wait_subscribed("a")
                await ours.wait_subscribed("b/")
                assert sorted([await theirs.recv(), await theirs.recv()]) == [b"\1a", b"\1b/"]
                await ours.send_multipart([b"c", b"nobody asked"])
                await ours.send_multipart([b"b/1", b"one"])
                assert [one.target.routing_key for one in await peer.take(queue, 1)] == ["b.1"]
                await theirs.send_multipart([b"a/x", b"t", b"wo"])
                [two] = await peer.take(queue, 1)
        assert (two.target.routing_key, two.body) == ("a.x", b"two")
        assert two.properties.headers == {
            "x-hypersocket-via": "gw",
            "x-hypersocket-frames": "1,2",
        }


async def test_what_cannot_be_a_routing_key_is_counted_alone(rabbitmq: RabbitMQ) -> None:
    async with amqp(rabbitmq) as peer:
        queue = await publishers_queue(peer)
        made = world(rabbitmq, socket=at("XSUB"), metadata="json")
        async with running(made) as gw, hs.Pub(connect=where(gw, "topics")) as pub:
            await pub.wait_subscribed("")
            await pub.send_multipart([b"\xff", b"", b"no text"])
            await pub.send_multipart([b"x" * 256, b"", b"too long"])
            await pub.send(b"topic alone")
            await pub.send_multipart([b"topic", b""])
            await pub.send_multipart([b"topic", b"{", b"no metadata"])
            await pub.send_multipart([b"topic", b'{"type": "good"}', b"good"])
            [good] = await peer.take(queue, 1)
            assert (good.body, good.properties.type) == (b"good", "good")
            await until(lambda: gw.stats().routes[0].confirmed == 1)
            assert gw.stats().routes[0].drops == {"malformed": 5}


async def test_nobody_bound_is_no_failure(rabbitmq: RabbitMQ) -> None:
    async with running(world(rabbitmq, socket=at("XSUB"))) as gw:
        async with hs.Pub(connect=where(gw, "topics")) as pub:
            await pub.wait_subscribed("")
            await pub.send_multipart([b"k", b"x"])
            await until(lambda: gw.stats().routes[0].confirmed == 1)
            assert gw.stats().routes[0].dropped == 0


async def test_pub_to_sub_over_two_gateways(rabbitmq: RabbitMQ) -> None:
    sends = gateway(rabbitmq, topics(socket=at("XSUB")), declare=[T], name="one")
    gets = gateway(rabbitmq, topics(), declare=[T], name="two")
    with zmq.Context() as context, context.socket(zmq.PUB) as pub:
        async with running(sends) as one, running(gets) as two:
            pub.linger = 0
            pub.connect(where(one, "topics"))
            async with hs.Sub(connect=where(two, "topics"), subscribe="a.") as sub:
                await until(lambda: count(two) == 1)
                with trio.move_on_after(LIMIT) as scope:
                    while True:  # libzmq does not tell when it has been subscribed to
                        pub.send_multipart([b"a.1", b"x", b"", b"y"])
                        with trio.move_on_after(0.05):
                            assert await sub.recv_multipart() == [b"a.1", b"x", b"", b"y"]
                            break
                assert not scope.cancelled_caught


async def test_an_exchange_that_is_made_again_is_bound_again(rabbitmq: RabbitMQ) -> None:
    """That all bindings have gone is known when the next one is refused."""
    delete = (
        f'rabbit_exchange:delete(rabbit_misc:r(<<"{rabbitmq.vhost}">>, exchange, <<"t">>), '
        'false, <<"test">>).'
    )
    async with running(world(rabbitmq)) as gw, amqp(rabbitmq) as peer:
        async with hs.Sub(connect=where(gw, "topics"), subscribe="a.") as sub:
            await until(lambda: count(gw) == 1)
            await rabbitmq.ctl("eval", delete)
            async with hs.Sub(connect=where(gw, "topics"), subscribe="b.") as other:
                await until(lambda: "no exchange 't'" in gw.stats().routes[0].error)
                await peer.client.declare([T])
                await until(lambda: count(gw) == 2)
                await publish(peer, ["a.1", "b.1"])
                assert await sub.recv_multipart() == [b"a.1", b"a.1"]
                assert await other.recv_multipart() == [b"b.1", b"b.1"]


async def test_what_subscribers_may_not_have_has_a_bound(rabbitmq: RabbitMQ) -> None:
    """Where dead letters do not go, the broker keeps the rest."""
    made = world(
        rabbitmq,
        prefetch=5,
        policy=Policy(max_message_size=1),
        dead_letters=DeadLetters(socket=at("PUSH")),
    )
    async with running(made) as gw, amqp(rabbitmq) as peer:
        async with hs.Sub(connect=where(gw, "topics"), subscribe="big."):
            await until(lambda: count(gw) == 1)
            await publish(peer, [f"big.{number}" for number in range(50)])
            await until(lambda: gw.stats().routes[0].credit == 0)
            assert gw.stats().routes[0].received <= 10
            async with hs.Pull(connect=where(gw, "topics.dead-letters")) as pull:
                letters = [(await pull.recv_multipart())[1] for _ in range(50)]
            assert letters == [b"big.%d" % number for number in range(50)]


def test_a_policy_says_which_addresses_may_be_read() -> None:
    route = topics(exchange="", address="/exchange/t", policy=Policy(addresses=("/exchange/u",)))
    with pytest.raises(GatewayError, match="does not allow the address '/exchange/t'"):
        worlds10.gateway(worlds10.anonymous(1), route)
