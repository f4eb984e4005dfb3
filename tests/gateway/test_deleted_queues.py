"""In: a queue that somebody deletes is told of, and read again when it is there again."""

from __future__ import annotations

from dataclasses import replace

import pytest

import hypersocket as hs
from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._spec import RouteSpec

from ..brokers.by_pika import channel
from ..brokers.rabbitmq import RabbitMQ
from . import worlds10
from .worlds import amqp, at, gateway, running, until, where

ROUTE = RouteSpec(name="in", kind="in", socket=at("PUSH"), queue="q")
ROUTE10 = RouteSpec(name="in", kind="in", socket=at("PUSH"), address="/amq/queue/q")


async def channels(rabbitmq: RabbitMQ) -> int:
    listed = await rabbitmq.ctl("list_channels", "pid", "vhost", "--no-table-headers")
    return sum(line.endswith(f"\t{rabbitmq.vhost}") for line in listed.splitlines())


async def test_a_queue_that_is_deleted_again_and_again_costs_no_channels(
    rabbitmq: RabbitMQ,
) -> None:
    spec = gateway(rabbitmq, ROUTE).spec
    soon = replace(spec.broker, reconnect_ivl=0.01, reconnect_ivl_max=0.02)
    with channel(rabbitmq.url) as there:
        there.queue_declare("q")
        async with (
            running(AmqpGateway(replace(spec, broker=soon))) as gw,
            hs.Pull(connect=where(gw, "in")) as pull,
        ):

            async def carry(number: int) -> None:
                there.basic_publish("", "q", b"%d" % number)
                assert await pull.recv() == b"%d" % number
                await until(lambda: not gw.stats().routes[0].pending)

            await carry(0)
            before = await channels(rabbitmq)
            for number in range(1, 51):
                there.queue_delete("q")
                await until(lambda: not gw.stats().routes[0].active)
                assert gw.stats().routes[0].error.startswith("queue 'q'")
                there.queue_declare("q")
                await carry(number)
            assert await channels(rabbitmq) == before
    [stats] = gw.stats().routes
    assert (stats.received, stats.confirmed, gw.stats().reconnects) == (51, 51, 0)


@pytest.mark.interop
async def test_a_deleted_queue_is_told_of_over_amqp_10_and_read_when_it_is_there_again(
    rabbitmq: RabbitMQ,
) -> None:
    """RabbitMQ 3.10 says nothing, but three seconds later ends the whole connection."""
    async with amqp(rabbitmq) as peer:
        await peer.queue("q", durable=False)
        async with (
            running(worlds10.gateway(rabbitmq, ROUTE10)) as gw,
            hs.Pull(connect=where(gw, "in")) as pull,
        ):
            await peer.put("q", b"1")
            assert await pull.recv() == b"1"
            with channel(rabbitmq.url) as there:
                there.queue_delete("q")
            await until(lambda: "amqp:not-found" in gw.stats().routes[0].error)
            await peer.queue("q", durable=False)
            await peer.put("q", b"2")
            assert await pull.recv() == b"2"
            assert gw.stats().reconnects == 1
