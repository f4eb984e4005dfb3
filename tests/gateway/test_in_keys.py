"""Keys of routes, each of which has an effect: own messages, damaged ones, deliveries, returns."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import hypersocket as hs
from hypersocket.amqp import Properties, Queue
from hypersocket.devices import ConfigurationError
from hypersocket.devices.amqp_gateway import loads
from hypersocket.devices.amqp_gateway._spec import DeadLetters, RouteSpec
from hypersocket.devices.amqp_gateway._stats import RouteStats
from hypersocket.devices.amqp_gateway.messages._multipart import HEADER

from ..brokers.rabbitmq import RabbitMQ
from .worlds import amqp, at, depth, gateway, running, until, where

Q, DEAD = Queue(name="q", durable=False), Queue(name="dead", durable=False)


def into(socket: str = "PUSH", **changes: Any) -> RouteSpec:
    given: dict[str, Any] = {"queue": "q", **changes}
    return RouteSpec(name="in", kind="in", socket=at(socket), **given)


def out(**changes: Any) -> RouteSpec:
    given: dict[str, Any] = {"queue": "q", **changes}
    return RouteSpec(name="out", kind="out", socket=at("PULL"), **given)


async def test_own_messages_pass_where_the_route_says_so(rabbitmq: RabbitMQ) -> None:
    both = out(), into(own_messages="pass")
    async with (
        running(gateway(rabbitmq, *both, declare=[Q])) as gw,
        hs.Push(connect=where(gw, "out")) as push,
        hs.Pull(connect=where(gw, "in")) as pull,
    ):
        await push.send(b"there and back")
        assert await pull.recv() == b"there and back"
        await until(lambda: gw.stats().routes[1].confirmed == 1)
        assert gw.stats().routes[1].looped == 0


async def test_own_messages_that_pass_are_still_cut_by_max_hops(rabbitmq: RabbitMQ) -> None:
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, into(own_messages="pass", max_hops=3), declare=[Q])) as gw,
        hs.Pull(connect=where(gw, "in")) as pull,
    ):
        for via in ("gw,gw,gw", "gw,gw"):
            said = Properties(headers={"x-hypersocket-via": via})
            await peer.put("q", via.encode(), properties=said)
        assert await pull.recv() == b"gw,gw"
        assert gw.stats().routes[0].drops == {"looped": 1}


async def test_own_messages_that_are_cut_say_what_to_do(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        running(gateway(rabbitmq, out(), into(), declare=[Q])) as gw,
        hs.Push(connect=where(gw, "out")) as push,
        hs.Pull(connect=where(gw, "in")),
    ):
        await push.send(b"round and round")
        await until(lambda: gw.stats().routes[1].looped == 1)
    [line] = [one.getMessage() for one in caplog.records if "looped" in one.getMessage()]
    assert "route in" in line
    assert "come through gw already" in line
    assert "own_messages = 'pass'" in line


async def test_messages_of_others_that_are_cut_are_told_no_such_thing(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, into(max_hops=1), declare=[Q])) as gw,
        hs.Pull(connect=where(gw, "in")),
    ):
        await peer.put("q", b"x", properties=Properties(headers={"x-hypersocket-via": "other"}))
        await until(lambda: gw.stats().routes[0].looped == 1)
    [line] = [one.getMessage() for one in caplog.records if "looped" in one.getMessage()]
    assert "max_hops = 1" in line
    assert "own_messages" not in line


async def test_damaged_messages_are_counted_and_told_of_once(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, into(), declare=[Q])) as gw,
        hs.Pull(connect=where(gw, "in")) as pull,
    ):
        for lengths in ("1,1", "no lengths", "2,2"):
            await peer.put("q", b"body", properties=Properties(headers={HEADER: lengths}))
        assert [await pull.recv_multipart() for _ in range(3)] == [
            [b"body"],
            [b"body"],
            [b"bo", b"dy"],
        ]
        assert gw.stats().routes[0].damaged == 2
    lines = [one.getMessage() for one in caplog.records if "as one frame" in one.getMessage()]
    assert len(lines) == 1
    assert "route in" in lines[0]


async def test_max_deliveries_of_a_route_in(rabbitmq: RabbitMQ) -> None:
    dead = DeadLetters(exchange="", routing_key="dead")
    route = into("DEALER", ack="reply", max_deliveries=2, dead_letters=dead)
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, route, declare=[Q, DEAD])) as gw,
        hs.Rep(connect=where(gw, "in")) as rep,
    ):
        await peer.put("q", b"poison")
        for _ in range(2):
            assert await rep.recv() == b"poison"
            await rep.send(b"requeue")
        [letter] = await peer.take("dead", 1)
        assert letter.properties.headers["x-hypersocket-reason"] == "poisonous"
        await until(lambda: gw.stats().routes[0].pending == 0)
    assert await depth(rabbitmq, "q") == (0, 0)


def _settled(told: RouteStats) -> bool:
    return bool(told.confirmed or told.returned)


@pytest.mark.parametrize("mandatory", [True, False])
async def test_mandatory_says_whether_what_goes_nowhere_has_failed(
    rabbitmq: RabbitMQ, mandatory: bool
) -> None:
    route = out(queue="", exchange="amq.direct", routing_key="nobody", mandatory=mandatory)
    async with (
        running(gateway(rabbitmq, route)) as gw,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        await push.send(b"x")
        await until(lambda: _settled(gw.stats().routes[0]))
        [told] = gw.stats().routes
        assert (told.confirmed, told.returned) == ((0, 1) if mandatory else (1, 0))


@pytest.mark.parametrize(
    ("protocol", "route", "words"),
    [
        ("0-9-1", 'kind = "serve"\nqueue = "q"\nretries = 3', "does not count"),
        ("0-9-1", 'kind = "call"\nqueue = "q"\nmandatory = false', "does not count"),
        ("0-9-1", 'kind = "out"\nqueue = "q"\nown_messages = "pass"', "does not count"),
        ("0-9-1", 'kind = "in"\nqueue = "q"\nown_messages = "keep"', "'cut' or 'pass'"),
        ("0-9-1", 'kind = "topics"\nexchange = "e"\nretries = 3', "counts for an XSUB"),
        ("0-9-1", 'kind = "topics"\nexchange = "e"\ndurable = false', "counts for an XSUB"),
        ("1.0", 'kind = "in"\naddress = "a"\nrouting_key = "k"', "is of AMQP 0-9-1"),
    ],
)
def test_a_key_without_effect_is_a_mistake(protocol: str, route: str, words: str) -> None:
    text = (
        f'[broker]\nprotocol = "{protocol}"\nurl = "amqp://localhost"\n[routes.r]\n'
        f'socket = "tcp://127.0.0.1:5555"\n{route}\n'
    )
    with pytest.raises(ConfigurationError, match=words):
        loads(text)


def test_own_messages_in_a_file() -> None:
    text = (
        '[broker]\nurl = "amqp://localhost"\n[routes.r]\nkind = "in"\nqueue = "q"\n'
        'socket = "tcp://127.0.0.1:5555"\n'
    )
    assert loads(text).spec.routes[0].own_messages == "cut"
    assert loads(text + 'own_messages = "pass"\n').spec.routes[0].own_messages == "pass"
