"""What a policy says, and the ways by which one might get round it."""

# ruff: noqa: SIM117 - the gateway outside, and inside of it who talks to it

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import hypersocket as hs
from hypersocket.amqp import Binding, Declaration, Properties, Queue, Target
from hypersocket.devices.amqp_gateway._errors import GatewayError
from hypersocket.devices.amqp_gateway._policy import Guard
from hypersocket.devices.amqp_gateway._spec import DeadLetters, Policy, RouteSpec

from ..brokers.rabbitmq import RabbitMQ
from .worlds import amqp, at, depth, gateway, running, until, where

QUEUES = [Queue(name=name, durable=False) for name in ("shop", "secret", "dead", "rpc")]
BOUND: list[Declaration] = [
    *QUEUES,
    *(
        Binding(queue=name, exchange="amq.topic", routing_key=f"{name}.#")
        for name in ("shop", "secret")
    ),
]
DEAD = DeadLetters(exchange="", routing_key="dead")


def out(**changes: Any) -> RouteSpec:
    given: dict[str, Any] = {"exchange": "amq.topic", "key_frame": 0, "metadata": "json", **changes}
    return RouteSpec(name="out", kind="out", socket=at("PULL"), **given)


@pytest.mark.parametrize("header", ["CC", "BCC"])
async def test_copies_go_nowhere_else_than_messages_may(rabbitmq: RabbitMQ, header: str) -> None:
    """RabbitMQ routes a message by the keys in these headers, too."""
    route = out(policy=Policy(topics=("shop.*",)), dead_letters=DEAD)
    said = b'{"headers": {"%s": ["%s"]}}'
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route, declare=BOUND)) as gw:
        async with hs.Push(connect=where(gw, "out")) as push:
            for key in (b"secret.1", b"shop.2"):
                await push.send_multipart([said % (header.encode(), key), b"shop.1", key])
            [letter] = await peer.take("dead", 1)
            assert letter.body == b"secret.1"
            text = letter.properties.headers["x-hypersocket-reason-text"]
            assert text.startswith(f"the header {header}: the policy does not allow the topic")
            assert await peer.bodies("shop", 1) == [b"shop.2"]
        assert gw.stats().routes[0].confirmed == 1
    assert await depth(rabbitmq, "secret") == (0, 0)


async def test_copies_that_are_no_list_end_no_channel(rabbitmq: RabbitMQ) -> None:
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, out(), declare=BOUND)) as gw:
        async with hs.Push(connect=where(gw, "out")) as push:
            for said in (b'{"headers": {"CC": "shop.2"}}', b'{"headers": {"BCC": [1]}}', b"{}"):
                await push.send_multipart([said, b"shop.1", b"body"])
            assert await peer.bodies("shop", 1) == [b"body"]
            await until(lambda: gw.stats().routes[0].drops == {"malformed": 2})
            assert (gw.stats().routes[0].error, gw.stats().routes[0].retried) == ("", 0)


async def test_copies_of_answers_go_nowhere_else_either(rabbitmq: RabbitMQ) -> None:
    route = RouteSpec(
        name="serve",
        kind="serve",
        socket=at("DEALER"),
        queue="rpc",
        metadata="json",
        policy=Policy(queues=("rpc", "shop"), max_message_size=10),
    )
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route, declare=QUEUES)) as gw:
        async with hs.Rep(connect=where(gw, "serve")) as rep:
            for answer in (
                [b'{"headers": {"CC": ["secret"]}}', b"copied"],
                [b"", b"more than ten bytes"],
                [b"", b"good"],
            ):
                await peer.put("rpc", b"q", properties=Properties(reply_to="shop"))
                await rep.recv_multipart()
                await rep.send_multipart(answer)
            assert await peer.bodies("shop", 1) == [b"good"]
            await until(lambda: gw.stats().routes[0].pending == 0)
            assert gw.stats().routes[0].drops == {"policy": 1, "oversize": 1}
    assert await depth(rabbitmq, "secret") == (0, 0)


async def test_dead_letters_have_no_copies(rabbitmq: RabbitMQ) -> None:
    route = RouteSpec(
        name="in",
        kind="in",
        socket=at("PUSH"),
        queue="shop",
        policy=Policy(max_message_size=1),
        dead_letters=DEAD,
    )
    said = Properties(headers={"CC": ["secret"]})
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route, declare=QUEUES)) as gw:
        async with hs.Pull(connect=where(gw, "in")):
            await peer.put("shop", b"big", properties=said)
            assert await peer.bodies("dead", 1) == [b"big"]
            await until(lambda: gw.stats().routes[0].pending == 0)
    assert await depth(rabbitmq, "secret") == (1, 0)  # the message's own


def test_copies_that_the_file_asks_for_are_looked_at_once() -> None:
    broker: Any = type("Nowhere", (), {"port": 1, "vhost": "/"})
    route = out(
        metadata="none",
        properties={"headers": {"CC": ["secret.1"]}},
        policy=Policy(topics=("shop.*",)),
    )
    with pytest.raises(GatewayError, match=r"route out: properties: the header CC: .*'secret.1'"):
        gateway(broker, route)
    gateway(broker, replace(route, policy=Policy()))


def test_addresses_have_no_copies() -> None:
    guard = Guard(Policy(addresses=("a",), topics=("k",)))
    assert not guard.copies(Target(address="a"), {"CC": 1})
    assert not guard.copies(Target("e", "k"), {"CC": ["k"], "other": 1})
    assert guard.copies(Target("e", "k"), {"CC": 1})
    assert guard.copies(Target("e", "k"), {"BCC": [b"\xff"]})


@pytest.mark.parametrize(
    ("pattern", "key", "allowed"),
    [
        ("stock.*", "stock.#", True),
        ("stock.#", "stock.#", True),
        ("*", "#", True),
        ("*.x.*", "*.x.#", True),
        ("[*].x.*", "*.x.#", True),
        ("a?c.*", "abc.#", True),
        ("[!s]*", "abc.#", True),
        ("[a-z]bc.*", "abc.#", True),
        ("[x.#", "[x.#", True),
        ("stock.*", "#", False),
        ("?.x*", "*.x.#", False),
        ("[!s]*", "#", False),
        ("[!s]*", "*.#", False),
        ("[ -~]*", "#", False),
        ("stock.?", "stock.#", False),
    ],
)
def test_a_binding_lets_through_no_more_than_is_allowed(
    pattern: str, key: str, allowed: bool
) -> None:
    assert (not Guard(Policy(topics=(pattern,))).binding(key)) is allowed


@pytest.mark.parametrize(
    ("changes", "dead"),
    [
        ({}, DeadLetters(exchange="amq.topic")),
        (
            {"key_frame": None, "routing_key": "k"},
            DeadLetters(exchange="amq.topic", routing_key="k"),
        ),
        (
            {"exchange": "", "key_frame": None, "queue": "q"},
            DeadLetters(exchange="", routing_key="q"),
        ),
    ],
)
def test_dead_letters_are_no_way_round_it(changes: dict[str, Any], dead: DeadLetters) -> None:
    """They have the routing key of their message, which the policy may have refused."""
    broker: Any = type("Nowhere", (), {"port": 1, "vhost": "/"})
    route = out(**changes, policy=Policy(max_message_size=1), dead_letters=dead)
    with pytest.raises(GatewayError, match="must not go to where the route publishes"):
        gateway(broker, route)
    gateway(broker, replace(route, dead_letters=DeadLetters(exchange="other")))


@pytest.mark.parametrize("key", ["", "dead"])
def test_dead_letters_of_topics_do_not_come_back(key: str) -> None:
    """Some subscriber may have all of the exchange bound."""
    broker: Any = type("Nowhere", (), {"port": 1, "vhost": "/"})
    dead = DeadLetters(exchange="t", routing_key=key)
    route = RouteSpec(name="t", kind="topics", socket=at("XPUB"), exchange="t", dead_letters=dead)
    with pytest.raises(GatewayError, match="must not go to where"):
        gateway(broker, route)
    gateway(broker, replace(route, exchange="other"))


def test_what_an_exchange_is_bound_for_is_no_more_than_is_allowed() -> None:
    broker: Any = type("Nowhere", (), {"port": 1, "vhost": "/"})
    route = RouteSpec(
        name="in",
        kind="in",
        socket=at("PUSH"),
        exchange="amq.topic",
        routing_key="stock.#",
        policy=Policy(topics=("stock.?",)),
    )
    with pytest.raises(GatewayError, match="does not allow the topic"):
        gateway(broker, route)
    gateway(broker, replace(route, routing_key="stock.x"))
