"""Against proton's example broker in C, which keeps nothing and answers everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from hypersocket.amqp import (
    ConnectionLost,
    NotSupported,
    Outcome,
    Properties,
    Publication,
    Result,
    Subscription,
    Target,
)
from hypersocket.devices.amqp_gateway._client import BrokerAddress
from hypersocket.devices.amqp_gateway.clients import v10
from tests.brokers.proton_c import ProtonBroker, missing

pytestmark = pytest.mark.interop


def address_of(broker: ProtonBroker) -> BrokerAddress:
    return BrokerAddress(
        host="127.0.0.1", port=broker.port, sasl="ANONYMOUS", heartbeat=60, connect_timeout=60
    )


class Told:
    def __init__(self) -> None:
        self.results: list[Result] = []

    def __call__(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        self.results += [outcome.result] * len(publications)


async def test_thousands_go_through_it_in_order(proton_broker: ProtonBroker) -> None:
    told = Told()
    target = Target(address="thousands")
    sent = [Publication(target, b"%d" % at) for at in range(2000)]
    async with v10.connect(address_of(proton_broker)) as client:
        sender = await client.open_sender(told, address="thousands")
        receiver = await client.open_receiver(Subscription(address="thousands", credit=50))
        got: list[bytes] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, sent)
            while len(got) < len(sent):
                taken = await receiver.receive()
                assert receiver.unsettled <= 50
                got += [one.body for one in taken]
                receiver.accept(taken)
        await sender.wait_settled()
        await sender.aclose()
        await receiver.aclose()
    assert got == [one.body for one in sent]
    assert told.results == [Result.CONFIRMED] * 2000


async def test_every_property_and_every_kind_of_id_comes_through(
    proton_broker: ProtonBroker,
) -> None:
    said = Properties(
        content_type="a/b",
        content_encoding="gzip",
        headers={"text": "ø", "n": -5, "f": 1.1, "b": b"\xff", "t": True, "none": None},
        annotations={"x-opt-a": [1, 2]},
        durable=True,
        priority=200,
        message_id=b"\xff\xfe",
        correlation_id=2**64 - 1,
        reply_to="answers",
        ttl=60.0,
        timestamp=1_700_000_000.125,
        type="a.b",
        user_id="me",
        app_id="group",
    )
    async with v10.connect(address_of(proton_broker)) as client:
        sender = await client.open_sender(Told(), address="rich")
        receiver = await client.open_receiver(Subscription(address="rich"))
        await sender.send([Publication(Target(address="rich"), b"body", said)])
        (got,) = await receiver.receive()
        receiver.accept([got])
        assert got.properties == said
        assert got.body == b"body"


async def test_a_large_message_both_ways(proton_broker: ProtonBroker) -> None:
    body = bytes(range(256)) * 40_000
    async with v10.connect(address_of(proton_broker)) as client:
        sender = await client.open_sender(Told(), address="large")
        receiver = await client.open_receiver(Subscription(address="large"))
        await sender.send([Publication(Target(address="large"), body)])
        (got,) = await receiver.receive()
        receiver.accept([got])
        assert got.body == body


async def test_it_has_no_filters_and_no_relay(proton_broker: ProtonBroker) -> None:
    async with v10.connect(address_of(proton_broker)) as client:
        with pytest.raises(NotSupported, match="does not apply the filter"):
            await client.open_receiver(Subscription(address="a", filter="colour = 'red'"))
        with pytest.raises(NotSupported, match="anonymous relay"):
            await client.open_sender(Told())


async def test_plain_is_not_what_it_offers(proton_broker: ProtonBroker) -> None:
    address = replace(address_of(proton_broker), sasl="PLAIN", username="me", password="sesame")
    with pytest.raises(ConnectionLost, match="login by PLAIN as 'me'") as caught:
        async with v10.connect(address):
            pytest.fail("it is open")
    assert not caught.value.temporary


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
async def test_a_broker_that_is_killed_leaves_unknown_outcomes(tmp_path: Path) -> None:
    told = Told()
    async with ProtonBroker(tmp_path) as broker:
        address = address_of(broker)
        async with v10.connect(address) as client:
            sender = await client.open_sender(told, address="q")
            receiver = await client.open_receiver(Subscription(address="q"))
            broker.kill()
            error = await client.wait_lost()
            assert error.temporary
            with pytest.raises(ConnectionLost):
                await sender.send([Publication(Target(address="q"), b"x")])
            with pytest.raises(ConnectionLost):
                await receiver.receive()
        with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1:\d+") as caught:
            async with v10.connect(address):
                pytest.fail("nobody is there")
        assert caught.value.temporary
