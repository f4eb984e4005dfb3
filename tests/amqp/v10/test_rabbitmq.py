"""Against RabbitMQ's plugin, whose faults are worked round."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import replace

import pytest

from hypersocket.amqp import (
    AmqpError,
    ChannelLost,
    ConnectionLost,
    Outcome,
    Properties,
    Publication,
    Result,
    Subscription,
    Target,
)
from hypersocket.devices.amqp_gateway._client import BrokerAddress
from hypersocket.devices.amqp_gateway.clients import v10
from tests.brokers.rabbitmq import RabbitMQ

pytestmark = pytest.mark.interop

QUEUE = "/queue/work"


def address_of(rabbitmq: RabbitMQ) -> BrokerAddress:
    return BrokerAddress(
        host="127.0.0.1",
        port=rabbitmq.port,
        vhost=f"vhost:{rabbitmq.vhost}",
        username="guest",
        password="guest",
        heartbeat=60,  # beyond any time that a machine stands still for
        connect_timeout=60,
    )


class Told:
    def __init__(self) -> None:
        self.results: list[Result] = []

    def __call__(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        self.results += [outcome.result] * len(publications)


def numbered(count: int, size: int = 10) -> list[Publication]:
    return [Publication(Target(address=QUEUE), b"%0*d" % (size, at)) for at in range(count)]


async def test_thousands_go_there_and_come_back(rabbitmq: RabbitMQ) -> None:
    told = Told()
    sent = numbered(3000)
    async with v10.connect(address_of(rabbitmq)) as client:
        assert client.broker["product"] == "RabbitMQ"
        sender = await client.open_sender(told, address=QUEUE)
        await sender.send(sent)
        await sender.wait_settled()
        assert told.results == [Result.CONFIRMED] * 3000
        receiver = await client.open_receiver(Subscription(address=QUEUE, credit=100))
        got: list[bytes] = []
        while len(got) < 3000:
            taken = await receiver.receive()
            assert receiver.unsettled <= 100
            got += [one.body for one in taken]
            receiver.accept(taken)
        assert got == [one.body for one in sent]
        await receiver.aclose()
        await sender.aclose()
    assert "0" in await rabbitmq.ctl("list_queues", "-p", rabbitmq.vhost, "messages")


async def test_what_is_released_comes_again_and_what_is_rejected_does_not(
    rabbitmq: RabbitMQ,
) -> None:
    async with v10.connect(address_of(rabbitmq)) as client:
        sender = await client.open_sender(Told(), address=QUEUE)
        receiver = await client.open_receiver(Subscription(address=QUEUE, credit=1))
        await sender.send(numbered(1))
        (first,) = await receiver.receive()
        assert not first.redelivered
        receiver.release([first])
        (again,) = await receiver.receive()
        assert again.body == first.body
        assert again.redelivered
        receiver.reject([again])
        await sender.send(numbered(2)[1:])
        (second,) = await receiver.receive()
        assert second.body != first.body
        receiver.accept([second])


async def test_what_is_held_goes_to_others_when_the_receiver_closes(rabbitmq: RabbitMQ) -> None:
    async with v10.connect(address_of(rabbitmq)) as client:
        sender = await client.open_sender(Told(), address=QUEUE)
        receiver = await client.open_receiver(Subscription(address=QUEUE, credit=2))
        await sender.send(numbered(4))
        got = 0
        while got < 2:
            got += len(await receiver.receive())
        await receiver.aclose()
        other = await client.open_receiver(Subscription(address=QUEUE))
        got = 0
        while got < 4:
            taken = await other.receive()
            other.accept(taken)
            got += len(taken)


async def test_properties_and_a_large_body_survive(rabbitmq: RabbitMQ) -> None:
    said = Properties(
        content_type="a/b",
        headers={"n": 1, "nested": [1, {"k": b"v"}]},
        durable=True,
        priority=3,
        message_id=17,
        correlation_id="c" * 255,
        reply_to="/queue/answers",
        timestamp=1_700_000_000.0,
        app_id="group",
    )
    body = bytes(range(256)) * 8192
    async with v10.connect(replace(address_of(rabbitmq), frame_max=16_384)) as client:
        told = Told()
        sender = await client.open_sender(told, address=QUEUE)
        too_long = replace(said, correlation_id="c" * 256)
        target = Target(address=QUEUE)
        await sender.send([Publication(target, b"", too_long), Publication(target, body, said)])
        await sender.wait_settled()
        assert told.results == [Result.REJECTED, Result.CONFIRMED]
        receiver = await client.open_receiver(Subscription(address=QUEUE))
        (got,) = await receiver.receive()
        assert got.body == body
        # The id as text: a number would end the connection of a reader over 0-9-1.
        assert replace(got.properties, annotations={}, type=None) == replace(said, message_id="17")


async def test_deliveries_settled_by_the_broker(rabbitmq: RabbitMQ) -> None:
    async with v10.connect(address_of(rabbitmq)) as client:
        sender = await client.open_sender(Told(), address=QUEUE, confirm=False)
        await sender.send(numbered(300))
        await sender.wait_settled()
        receiver = await client.open_receiver(Subscription(address=QUEUE, settled=True, credit=7))
        got: list[bytes] = []
        while len(got) < 300:
            got += [one.body for one in await receiver.receive()]
        assert receiver.unsettled == 0
        assert got == [one.body for one in numbered(300)]


@pytest.mark.parametrize("node", ["/amq/queue/nope", "/exchange/nope/key"])
async def test_a_missing_node_ends_the_link_alone(rabbitmq: RabbitMQ, node: str) -> None:
    async with v10.connect(address_of(rabbitmq)) as client:
        sender = await client.open_sender(Told(), address=QUEUE)
        with pytest.raises(ChannelLost, match="amqp:not-found: NOT_FOUND") as caught:
            await client.open_receiver(Subscription(address=node))
        assert not caught.value.temporary
        await sender.send(numbered(1))
        await sender.wait_settled()


async def test_no_dynamic_nodes(rabbitmq: RabbitMQ) -> None:
    async with v10.connect(address_of(rabbitmq)) as client:
        with pytest.raises(ChannelLost, match="amqp:not-implemented"):
            await client.open_receiver(Subscription(dynamic=True))


async def test_a_queue_that_is_deleted_ends_the_receiver(rabbitmq: RabbitMQ) -> None:
    # The plugin of 3.10 does not survive that, and the connection is simply gone.
    async with v10.connect(address_of(rabbitmq)) as client:
        receiver = await client.open_receiver(Subscription(address=QUEUE))
        await rabbitmq.ctl("delete_queue", "-p", rabbitmq.vhost, "work")
        with pytest.raises(AmqpError) as caught:
            await receiver.receive()
        assert isinstance(caught.value, ChannelLost | ConnectionLost)
        assert caught.value.temporary == (client.lost is not None)


async def test_a_wrong_password_and_an_unknown_vhost(rabbitmq: RabbitMQ) -> None:
    address = address_of(rabbitmq)
    for wrong, words in [
        (replace(address, password="wr0ng"), "login by PLAIN as 'guest'"),
        (replace(address, vhost="vhost:nope"), "amqp:unauthorized-access"),
    ]:
        with pytest.raises(ConnectionLost, match=words) as caught:
            async with v10.connect(wrong):
                pytest.fail("it is open")
        assert not caught.value.temporary
        assert "wr0ng" not in str(caught.value)


async def test_tls_and_a_certificate_that_is_not_trusted(rabbitmq: RabbitMQ) -> None:
    trusting = rabbitmq.certificates.client_context()
    address = replace(address_of(rabbitmq), host="localhost", port=rabbitmq.tls_port, tls=trusting)
    async with v10.connect(address) as client:
        told = Told()
        sender = await client.open_sender(told, address=QUEUE)
        await sender.send(numbered(100, 10_000))
        await sender.wait_settled()
        assert told.results == [Result.CONFIRMED] * 100
    async with v10.connect(replace(address, host="127.0.0.1", server_name="localhost")):
        pass
    with pytest.raises(ConnectionLost, match="certificate"):
        async with v10.connect(replace(address, server_name="broker.example")):
            pytest.fail("it is open")
    strict = replace(address, tls=ssl.create_default_context())
    with pytest.raises(ConnectionLost, match="certificate") as caught:
        async with v10.connect(strict):
            pytest.fail("it is open")
    assert not caught.value.temporary
    plain = replace(address, port=rabbitmq.port)
    with pytest.raises(ConnectionLost, match="TLS"):
        async with v10.connect(plain):
            pytest.fail("it is open")


async def test_a_certificate_of_the_client_logs_in(rabbitmq: RabbitMQ) -> None:
    mine = rabbitmq.certificates.client_context(authenticate=True)
    address = replace(
        address_of(rabbitmq),
        host="localhost",
        port=rabbitmq.tls_port,
        tls=mine,
        sasl="EXTERNAL",
        username="",
        password="",
    )
    async with v10.connect(address) as client:
        told = Told()
        sender = await client.open_sender(told, address=QUEUE)
        await sender.send(numbered(1))
        await sender.wait_settled()
        assert told.results == [Result.CONFIRMED]
