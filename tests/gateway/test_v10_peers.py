"""What RabbitMQ's plugin has not, over AMQP 1.0: other outcomes, dynamic nodes, the relay."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from proton import Delivery, Message

import hypersocket as hs
from hypersocket.amqp import Properties, Publication, Subscription, Target
from hypersocket.devices.amqp_gateway._spec import DeadLetters, RouteSpec

from ..amqp.v10.peer import Peer
from ..brokers.proton_c import ProtonBroker
from .worlds import at, running, unheard, until, where
from .worlds10 import connect, gateway, of, peer_on_tcp, stats


def out(**changes: Any) -> RouteSpec:
    given: dict[str, Any] = {"address": "node", **changes}
    return RouteSpec(name="out", kind="out", socket=at("PULL"), **given)


def into(socket: str = "PUSH", **changes: Any) -> RouteSpec:
    given: dict[str, Any] = {"address": "node", **changes}
    return RouteSpec(name="in", kind="in", socket=at(socket), **given)


def settling(*states: Any) -> Callable[[], Peer]:
    """A peer that answers deliveries so, in turn, and accepts all others."""
    left = list(states)

    def make() -> Peer:
        peer = Peer()

        def settle(delivery: Delivery) -> None:
            if not left:
                peer.accept(delivery)
                return
            state = left.pop(0)
            if state == "undeliverable":
                delivery.local.undeliverable = True
                state = Delivery.MODIFIED
            delivery.update(state)
            delivery.settle()

        peer.on_delivery = settle
        return peer

    return make


@pytest.mark.parametrize(
    ("state", "counted", "dropped"),
    [
        (Delivery.RELEASED, "returned", "returned"),
        (Delivery.REJECTED, "rejected", "rejected"),
        ("undeliverable", "rejected", "rejected"),
    ],
)
async def test_what_the_peer_does_not_take(state: Any, counted: str, dropped: str) -> None:
    async with (
        peer_on_tcp(settling(state)) as (address, _),
        running(gateway(address, out())) as gw,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        await push.send(b"bad")
        await push.send(b"good")
        await until(lambda: stats(gw).confirmed == 1)
        await until(lambda: stats(gw).pending == 0)
        assert getattr(stats(gw), counted) == 1
        assert stats(gw).drops == {dropped: 1}


async def test_modified_is_sent_again_as_often_as_may_be() -> None:
    failing = [Delivery.MODIFIED] * 3
    async with (
        peer_on_tcp(settling(*failing)) as (address, peers),
        running(gateway(address, out(retries=2))) as gw,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        await push.send(b"bad")
        await until(lambda: stats(gw).drops == {"unconfirmed": 1})
        await push.send(b"good")
        await until(lambda: stats(gw).confirmed == 1)
        assert stats(gw).retried == 2
        assert len(peers[0].messages) == 4


async def test_modified_is_sent_again_for_ever_where_nothing_says_how_often() -> None:
    async with (
        peer_on_tcp(settling(Delivery.MODIFIED, Delivery.MODIFIED)) as (address, _),
        running(gateway(address, out())) as gw,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        await push.send(b"in the end")
        await until(lambda: stats(gw).confirmed == 1)
        assert stats(gw).retried == 2
        assert (await gw.stop()).complete


def serving(**options: Any) -> Callable[[], Peer]:
    """A peer that makes nodes when asked to."""

    def make() -> Peer:
        peer = Peer(**options)

        def attach(link: Any) -> None:
            link.source.copy(link.remote_source)
            link.target.copy(link.remote_target)
            if link.remote_source.dynamic:
                link.source.address = "made-for-you"
            link.open()
            if link.is_receiver:
                link.flow(100)

        peer.on_attach = attach
        return peer

    return make


def _has(peer: Peer, count: int) -> bool:
    return len(peer.messages) == count


def _encoded(body: bytes, **said: Any) -> bytes:
    message = Message(body=body, inferred=True, **said)
    return bytes(message.encode())


def _decoded(data: bytes) -> Any:
    message: Any = Message()
    message.decode(data)
    return message


async def test_a_call_has_a_dynamic_node_for_its_replies() -> None:
    call = RouteSpec(name="call", kind="call", socket=at("ROUTER"), address="service")
    async with (
        peer_on_tcp(serving()) as (address, peers),
        running(gateway(address, call)) as gw,
        hs.Req(connect=where(gw, "call")) as req,
    ):
        await req.send(b"question")
        [peer] = peers
        await until(lambda: bool(peer.messages))
        asked = _decoded(peer.messages[0])
        assert (asked.body, asked.reply_to) == (b"question", "made-for-you")
        peer.send(_encoded(b"answer", correlation_id=asked.correlation_id))
        peer.kick()
        assert await req.recv() == b"answer"
        await until(lambda: len(peer.settled) == 1)
        assert peer.settled[0][0] == Delivery.ACCEPTED


@pytest.mark.parametrize("relay", [True, False])
async def test_answers_go_by_the_relay_or_by_a_link_each(relay: bool) -> None:
    serve = RouteSpec(name="serve", kind="serve", socket=at("DEALER"), address="service")
    options: dict[str, Any] = {"offered": ("ANONYMOUS-RELAY",)} if relay else {}
    async with (
        peer_on_tcp(serving(**options)) as (address, peers),
        running(gateway(address, serve)) as gw,
        hs.Rep(connect=where(gw, "serve")) as rep,
    ):
        [peer] = peers
        await until(lambda: any(link.is_sender and link.credit for link in peer.links))
        asking = [link for link in peer.links if link.is_sender and link.credit][-1]
        for number, reply_to in enumerate(("a", "b", "a")):
            delivery = asking.delivery(f"t{number}")
            asking.stream(_encoded(b"%d" % number, reply_to=reply_to, correlation_id=number))
            asking.advance()
            assert not delivery.settled
            peer.kick()
            await rep.send(await rep.recv() + b"!")
            await until(partial(_has, peer, number + 1))
        answers = [_decoded(one) for one in peer.messages]
        assert [one.body for one in answers] == [b"0!", b"1!", b"2!"]
        assert [one.correlation_id for one in answers] == [0, 1, 2]
        targets = [link.remote_target.address for link in peer.links if link.is_receiver]
        if relay:
            assert [one.address for one in answers] == ["a", "b", "a"]
            assert targets == [None]
        else:
            assert targets == ["a", "b"]
        await until(lambda: stats(gw).pending == 0)
        assert [state for state, _ in peer.settled] == [Delivery.ACCEPTED] * 3


async def test_looking_for_a_node_at_the_start_gives_no_credit() -> None:
    async with (
        peer_on_tcp(Peer) as (address, peers),
        running(gateway(address, into())) as gw,
    ):
        [peer] = peers
        assert [link.credit for link in peer.links] == [0]
        async with hs.Pull(connect=where(gw, "in")) as pull:
            await until(lambda: len(peer.links) == 2 and peer.links[1].credit > 0)
            link = peer.links[1]
            link.delivery("t")
            link.stream(_encoded(b"first"))
            link.advance()
            peer.kick()
            assert await pull.recv() == b"first"
            await until(lambda: len(peer.settled) == 1)


async def test_a_selector_goes_to_the_peer_and_one_that_is_not_applied_is_an_error() -> None:
    async with (
        peer_on_tcp(Peer) as (address, peers),
        running(gateway(address, into(filter="colour = 'red'"))),
    ):
        terminus = peers[0].links[0].remote_source
        terminus.filter.rewind()
        assert terminus.filter.next() is not None


def _has_settled(peer: Peer, count: int) -> bool:
    return len(peer.settled) == count


@pytest.mark.parametrize("counts", [False, True])
async def test_max_deliveries_where_the_peer_counts_none_of_them(counts: bool) -> None:
    """RabbitMQ counts none that was released; another peer that says 0 is believed."""
    again = b"\x00Sp\xc0\x06\x05B@@BC\x00Su\xa0\x06poison"  # not first-acquirer, delivery-count 0
    route = into("DEALER", ack="reply", max_deliveries=2)
    who = {"product": "another" if counts else "RabbitMQ", "version": "4.1.0"}
    async with (
        peer_on_tcp(functools.partial(Peer, properties=who)) as (address, peers),
        running(gateway(address, route)) as gw,
        hs.Rep(connect=where(gw, "in")) as rep,
    ):
        [peer] = peers
        await until(lambda: any(link.is_sender and link.credit for link in peer.links))
        asking = [link for link in peer.links if link.is_sender and link.credit][-1]
        for tag in ("1", "2"):
            asking.delivery(tag)
            asking.stream(again)
            asking.advance()
            peer.kick()
            if tag == "1" or counts:
                assert await rep.recv() == b"poison"
                await rep.send(b"requeue")
            await until(functools.partial(_has_settled, peer, int(tag)))
        assert stats(gw).drops == ({} if counts else {"poisonous": 1})


# --- proton's example broker in C ----------------------------------------------------------


async def test_a_broker_in_c_both_ways(proton_broker: ProtonBroker) -> None:
    bodies = [b"%d" % n for n in range(1000)]
    routes = out(address="both"), into(address="both", own_messages="pass", prefetch=50)
    async with (
        running(gateway(of(proton_broker), *routes)) as gw,
        hs.Push(connect=where(gw, "out")) as push,
        hs.Pull(connect=where(gw, "in")) as pull,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(push.send_many, bodies)
        got: list[bytes] = []
        while len(got) < 1000:
            got += await pull.recv_many()
        assert got == bodies
        await until(lambda: not any(route.pending for route in gw.stats().routes))
        assert (await gw.stop()).complete


async def test_a_broker_in_c_has_dead_letters(proton_broker: ProtonBroker) -> None:
    route = into(
        "DEALER", address="jobs", ack="reply", dead_letters=DeadLetters(address="dead-jobs")
    )
    async with (
        connect(of(proton_broker)) as client,
        running(gateway(of(proton_broker), route)) as gw,
        hs.Rep(connect=where(gw, "in")) as rep,
    ):
        sender = await client.open_sender(unheard, address="jobs")
        await sender.send([Publication(Target(address="jobs"), b"job", Properties(message_id="1"))])
        assert await rep.recv() == b"job"
        await rep.send_multipart([b"reject", b"no good"])
        receiver = await client.open_receiver(Subscription(address="dead-jobs"))
        [letter] = await receiver.receive()
        assert (letter.body, letter.properties.message_id) == (b"job", "1")
        assert letter.properties.headers["x-hypersocket-reason-text"] == "no good"
        await until(lambda: stats(gw).pending == 0)


async def test_call_and_serve_by_a_broker_in_c(proton_broker: ProtonBroker) -> None:
    call = RouteSpec(
        name="call", kind="call", socket=at("ROUTER"), address="rpc", reply_queue="rpc-answers"
    )
    serve = RouteSpec(name="serve", kind="serve", socket=at("DEALER"), address="rpc")
    async with (
        running(gateway(of(proton_broker), call, name="near")) as near,
        running(gateway(of(proton_broker), serve, name="far")) as far,
        hs.Rep(connect=where(far, "serve")) as rep,
        hs.Req(connect=where(near, "call")) as req,
    ):
        await req.send_multipart([b"a", b"", b"b"])
        await rep.send_multipart([*await rep.recv_multipart(), b"c"])
        assert await req.recv_multipart() == [b"a", b"", b"b", b"c"]
