"""Publishing to a real broker: what becomes of messages, and of what is said of them."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from hypersocket.amqp import (
    CONFIRMED,
    ChannelLost,
    Outcome,
    Properties,
    Publication,
    Result,
    Subscription,
    Target,
)
from hypersocket.devices.amqp_gateway.clients.v091 import connect

from ...brokers.rabbitmq import RabbitMQ
from .rabbit import Outcomes, address, take, temporary_queue, to

pytestmark = pytest.mark.interop


class TestOutcomes:
    async def test_confirmed_in_batches(self, rabbitmq: RabbitMQ) -> None:
        outcomes = Outcomes()
        async with connect(address(rabbitmq)) as client:
            assert client.protocol == "0-9-1"
            assert client.broker["product"] == "RabbitMQ"
            queue = await temporary_queue(client)
            sender = await client.open_sender(outcomes)
            publications = to(queue, *(b"%d" % n for n in range(5000)))
            await sender.send(publications)
            assert sender.taken == 5000
            await sender.wait_settled()
            assert sender.unsettled == 0
            assert set(outcomes.of.values()) == {CONFIRMED}
            assert len(outcomes.of) == 5000
            assert len(outcomes.batches) < 1000
            receiver = await client.open_receiver(Subscription(queue=queue))
            assert receiver.address == queue
            bodies: list[bytes] = []
            while len(bodies) < 5000:
                deliveries = await receiver.receive()
                receiver.accept(deliveries)
                bodies += [one.body for one in deliveries]
            assert bodies == [one.body for one in publications]

    async def test_returned_among_others(self, rabbitmq: RabbitMQ) -> None:
        outcomes = Outcomes()
        async with connect(address(rabbitmq)) as client:
            queue = await temporary_queue(client)
            sender = await client.open_sender(outcomes)
            publications = [to(queue if n % 3 else "nowhere", b"same")[0] for n in range(300)]
            await sender.send(publications)
            await sender.wait_settled()
            for n, one in enumerate(publications):
                expected = CONFIRMED if n % 3 else Outcome(Result.RETURNED, "312 NO_ROUTE")
                assert outcomes.of[one] == expected

    async def test_not_mandatory(self, rabbitmq: RabbitMQ) -> None:
        outcomes = Outcomes()
        async with connect(address(rabbitmq)) as client:
            sender = await client.open_sender(outcomes, mandatory=False)
            publications = to("nowhere", b"x")
            await sender.send(publications)
            await sender.wait_settled()
            assert outcomes.results(publications) == [Result.CONFIRMED]

    async def test_refused_by_a_full_queue(self, rabbitmq: RabbitMQ) -> None:
        outcomes = Outcomes()
        async with connect(address(rabbitmq)) as client:
            full = {"x-max-length": 1, "x-overflow": "reject-publish"}
            queue = await temporary_queue(client, **full)
            sender = await client.open_sender(outcomes)
            first = to(queue, b"1")
            await sender.send(first)
            await sender.wait_settled()
            more = to(queue, b"2", b"3")
            await sender.send(more)
            await sender.wait_settled()
            assert outcomes.results(first) == [Result.CONFIRMED]
            assert outcomes.results(more) == [Result.REJECTED] * 2

    async def test_what_cannot_be_carried(self, rabbitmq: RabbitMQ) -> None:
        outcomes = Outcomes()
        async with connect(address(rabbitmq)) as client:
            queue = await temporary_queue(client)
            sender = await client.open_sender(outcomes)
            good = to(queue, b"1", b"2")
            wrong = [
                *to(queue, b"", properties=Properties(headers={"n": 2**64})),
                *to(queue, b"", properties=Properties(user_id="somebody else")),
                *to("k" * 300, b""),
            ]
            await sender.send([good[0], *wrong, good[1]])
            await sender.wait_settled()
            assert sender.taken == 5
            assert outcomes.results(good) == [Result.CONFIRMED] * 2
            assert outcomes.results(wrong) == [Result.REJECTED] * 3
            assert "headers['n']" in outcomes.of[wrong[0]].reason

    async def test_a_missing_exchange_leaves_the_unconfirmed_in_doubt(
        self, rabbitmq: RabbitMQ
    ) -> None:
        outcomes = Outcomes()
        async with connect(address(rabbitmq)) as client:
            sender = await client.open_sender(outcomes)
            publications = [Publication(Target("missing", "k"), b"x")]
            await sender.send(publications)
            await sender.wait_settled()
            assert outcomes.results(publications) == [Result.UNKNOWN]
            assert "no exchange 'missing'" in outcomes.of[publications[0]].reason
            for _ in range(2):
                with pytest.raises(ChannelLost, match="404 NOT_FOUND - no exchange 'missing'"):
                    await sender.send(publications)
            # The connection stands.
            again = await client.open_sender(outcomes)
            await again.send(to("nowhere", b""))
            await again.wait_settled()

    async def test_without_confirms_written_is_confirmed(self, rabbitmq: RabbitMQ) -> None:
        outcomes = Outcomes()
        async with connect(address(rabbitmq)) as client:
            queue = await temporary_queue(client)
            sender = await client.open_sender(outcomes, confirm=False)
            publications = to(queue, *(bytes(100) for _ in range(5000)), *[b"k"] * 3)
            publications[7:8] = to("k" * 300, b"")
            await sender.send(publications)
            await sender.wait_settled()
            rejected = [one for one in publications if outcomes.of[one].result is Result.REJECTED]
            assert rejected == [publications[7]]
            assert len(outcomes.of) == 5003
            receiver = await client.open_receiver(Subscription(queue=queue, credit=65_535))
            assert len(await take(receiver, 5002)) == 5002

    async def test_closed_sender(self, rabbitmq: RabbitMQ) -> None:
        outcomes = Outcomes()
        async with connect(address(rabbitmq)) as client:
            queue = await temporary_queue(client)
            sender = await client.open_sender(outcomes)
            publications = to(queue, *[b"x"] * 100)
            await sender.send(publications)
            await sender.aclose()
            await sender.aclose()
            assert len(outcomes.of) == 100
            assert sender.unsettled == 0
            with pytest.raises(trio.ClosedResourceError):
                await sender.send(publications)


class TestBodiesAndProperties:
    @pytest.mark.parametrize("size", [0, 1, 131_064, 131_065, 1_000_000])
    async def test_sizes(self, rabbitmq: RabbitMQ, size: int) -> None:
        async with connect(address(rabbitmq)) as client:
            queue = await temporary_queue(client)
            sender = await client.open_sender(Outcomes())
            body = bytes(range(256)) * (size // 256 + 1)
            await sender.send(to(queue, body[:size]))
            receiver = await client.open_receiver(Subscription(queue=queue))
            assert (await take(receiver, 1))[0].body == body[:size]

    async def test_small_frames(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq, frame_max=4096)) as client:
            queue = await temporary_queue(client)
            sender = await client.open_sender(Outcomes())
            await sender.send(to(queue, bytes(50_000)))
            receiver = await client.open_receiver(Subscription(queue=queue))
            assert (await take(receiver, 1))[0].body == bytes(50_000)

    async def test_properties_come_back(self, rabbitmq: RabbitMQ) -> None:
        said = Properties(
            content_type="text/plain",
            content_encoding="gzip",
            headers={"a": 1, "f": 1.1, "big": 2**62, "b": b"\xff", "n": None, "l": [{"x": "y"}]},
            durable=False,
            priority=3,
            message_id=b"\xff\xfe",
            correlation_id=b"\x00\x80",
            reply_to="r",
            ttl=60.0,
            timestamp=1_700_000_000.0,
            type="t",
            user_id="guest",
            app_id="a",
        )
        async with connect(address(rabbitmq)) as client:
            queue = await temporary_queue(client)
            sender = await client.open_sender(Outcomes())
            await sender.send(to(queue, b"x", properties=said))
            receiver = await client.open_receiver(Subscription(queue=queue))
            (one,) = await take(receiver, 1)
            assert one.properties == said
            assert one.target == Target(routing_key=queue)
            assert not one.redelivered
            assert one.delivery_count is None
