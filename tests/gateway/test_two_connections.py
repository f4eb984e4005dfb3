"""Routes that only take have a connection of their own, where others publish."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import hypersocket as hs
from hypersocket.amqp import Queue
from hypersocket.devices.amqp_gateway._spec import DeadLetters, Policy, RouteSpec

from ..brokers.rabbitmq import RabbitMQ
from .worlds import amqp, at, gateway, running, until, where, without_memory

HERE, THERE = Queue(name="here"), Queue(name="there")

OUT = RouteSpec(name="out", kind="out", queue="there", socket=at("PULL"))
IN = RouteSpec(name="in", kind="in", queue="here", socket=at("PUSH"))
BURYING = replace(
    IN,
    dead_letters=DeadLetters(exchange="", routing_key="there"),
    policy=Policy(max_message_size=3),
    prefetch=5,
)
TOPICS = RouteSpec(name="topics", kind="topics", exchange="amq.topic", socket=at("XPUB"))
CALL = RouteSpec(name="call", kind="call", queue="there", socket=at("ROUTER"))


@pytest.mark.parametrize(
    ("routes", "count"),
    [
        pytest.param([OUT], 1, id="publishing"),
        pytest.param([OUT, CALL], 1, id="publishing, and taking answers"),
        pytest.param([IN, TOPICS], 1, id="taking"),
        pytest.param([BURYING], 2, id="taking, with dead letters to the broker"),
        pytest.param([OUT, IN], 2, id="both"),
        pytest.param([CALL, TOPICS], 2, id="both, of other kinds"),
    ],
)
async def test_there_are_as_many_as_are_needed(
    rabbitmq: RabbitMQ, routes: list[RouteSpec], count: int
) -> None:
    async with running(gateway(rabbitmq, *routes, declare=[HERE, THERE])) as gw:
        stats = gw.stats()
        assert (stats.connects, stats.reconnects, stats.connected) == (count, 0, True)
        assert len(await connections(rabbitmq)) == count
        result = await gw.stop()
    assert not result.stats.connected
    await until_none(rabbitmq)


async def test_a_queue_that_is_exclusive_is_taken_from_by_who_declared_it(
    rabbitmq: RabbitMQ,
) -> None:
    mine = Queue(name="here", exclusive=True)
    async with (
        running(gateway(rabbitmq, OUT, IN, declare=[mine, THERE])) as gw,
        amqp(rabbitmq) as peer,
        hs.Pull(connect=where(gw, "in")) as pull,
    ):
        assert gw.stats().connects == 1
        await peer.put("here", b"mine")
        assert await pull.recv() == b"mine"


async def test_a_broker_without_memory_is_emptied(rabbitmq: RabbitMQ) -> None:
    """It reads nothing from whoever publishes, acknowledgements included."""
    bodies = [b"%d" % number for number in range(50)]
    async with amqp(rabbitmq) as peer:
        await peer.queue("here")
        await peer.put("here", *bodies)
    few = RouteSpec(name="in", kind="in", queue="here", socket=at("PUSH"), prefetch=5)
    async with (
        running(gateway(rabbitmq, OUT, few, declare=[HERE, THERE])) as gw,
        without_memory(rabbitmq) as restore,
        hs.Push(connect=where(gw, "out")) as push,
    ):
        await push.send(b"held back")
        await until(lambda: bool(gw.stats().blocked))
        async with hs.Pull(connect=where(gw, "in")) as pull:
            assert [await pull.recv() for _ in bodies] == bodies
            await until(lambda: gw.stats().routes[1].confirmed == len(bodies))
        assert gw.stats().blocked
        assert gw.stats().routes[0].confirmed == 0
        await restore()
        await until(lambda: gw.stats().routes[0].confirmed == 1)
        assert not gw.stats().blocked


async def test_a_dead_letter_does_not_keep_a_broker_without_memory_from_being_emptied(
    rabbitmq: RabbitMQ,
) -> None:
    """It waits until the broker takes it, and what comes after it goes on."""
    bodies = [b"%d" % number for number in range(50)]
    async with amqp(rabbitmq) as peer:
        await peer.queue("here")
        await peer.put("here", b"too long", *bodies)
    async with (
        running(gateway(rabbitmq, BURYING, declare=[HERE, THERE])) as gw,
        without_memory(rabbitmq) as restore,
        hs.Pull(connect=where(gw, "in")) as pull,
    ):
        assert [await pull.recv() for _ in bodies] == bodies
        await until(lambda: gw.stats().routes[0].confirmed == len(bodies))
        await until(lambda: bool(gw.stats().blocked))
        assert gw.stats().routes[0].dead_lettered == 0
        await restore()
        await until(lambda: gw.stats().routes[0].dead_lettered == 1)


@pytest.mark.parametrize(
    ("which", "made"),
    [
        pytest.param(0, 4, id="the one that publishes, and with it the other"),
        pytest.param(1, 3, id="the one that takes, alone"),
    ],
)
async def test_each_is_made_again_when_it_is_lost(
    rabbitmq: RabbitMQ, which: int, made: int
) -> None:
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, OUT, IN, declare=[HERE, THERE])) as gw,
        hs.Push(connect=where(gw, "out")) as push,
        hs.Pull(connect=where(gw, "in")) as pull,
    ):
        lost = (await connections(rabbitmq))[which]
        await rabbitmq.ctl("-q", "close_connection", lost, "maintenance")
        await until(lambda: gw.stats().connects == made)
        await gw.wait_active()
        assert gw.stats().error == ""
        await peer.put("here", b"in")
        assert await pull.recv() == b"in"
        await push.send(b"out")
        assert await peer.bodies("there", 1) == [b"out"]
        assert gw.stats().reconnects == 1  # for both together


async def test_a_second_one_that_is_refused_holds_nobody_else_back(rabbitmq: RabbitMQ) -> None:
    """The broker allows one connection in this vhost, which the first has."""
    await limit_connections(rabbitmq, 1)
    try:
        async with (
            running(gateway(rabbitmq, OUT, IN, declare=[HERE, THERE])) as gw,
            hs.Push(connect=where(gw, "out")) as push,
            hs.Pull(connect=where(gw, "in")) as pull,
        ):
            assert "limit (1) is reached" in gw.stats().error
            assert not gw.stats().connected
            await push.send(b"out")
            await until(lambda: gw.stats().routes[0].confirmed == 1)
            await limit_connections(rabbitmq, -1)
            async with amqp(rabbitmq) as peer:
                await peer.put("here", b"in")
                assert await pull.recv() == b"in"
    finally:
        await limit_connections(rabbitmq, -1)


async def limit_connections(rabbitmq: RabbitMQ, most: int) -> None:
    """Have the broker allow so many in this vhost; any number if it is below 0."""
    limits = json.dumps({"max-connections": most})
    await rabbitmq.ctl("-q", "set_vhost_limits", "-p", rabbitmq.vhost, limits)


async def connections(rabbitmq: RabbitMQ) -> list[str]:
    """The broker's own names of the gateway's connections, in the order of their making."""
    text = await rabbitmq.ctl(
        *("-q", "list_connections", "pid", "vhost", "client_properties", "--no-table-headers")
    )
    lines = [line.split("\t") for line in text.splitlines()]
    found = [
        pid
        for pid, vhost, properties in lines
        if vhost == rabbitmq.vhost and '"connection_name","gateway' in properties
    ]
    return sorted(found, key=lambda pid: int(pid.split(".")[-2]))


async def until_none(rabbitmq: RabbitMQ) -> None:
    """The broker notices a little later."""
    while await connections(rabbitmq):
        pass
