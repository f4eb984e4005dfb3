"""Receiving from a real broker, and settling."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing

from hypersocket.amqp import (
    CONFIRMED,
    Binding,
    ChannelLost,
    Exchange,
    Properties,
    Publication,
    Queue,
    Subscription,
    Target,
)
from hypersocket.devices.amqp_gateway._client import Delivery, PromptReceiver, PromptSender
from hypersocket.devices.amqp_gateway.clients.v091 import REPLY_TO, connect

from ...brokers.rabbitmq import RabbitMQ
from .rabbit import Outcomes, address, take, temporary_queue, to

pytestmark = pytest.mark.interop


class TestSettling:
    async def test_credit_holds_and_acceptance_gives_more(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            queue = await temporary_queue(client)
            sender = await client.open_sender(Outcomes())
            await sender.send(to(queue, *(b"%d" % n for n in range(10))))
            await sender.wait_settled()
            receiver = await client.open_receiver(Subscription(queue=queue, credit=4))
            four = await take(receiver, 4)
            await client.declare([Queue(name=queue, passive=True)])  # a whole round trip later...
            assert receiver.unsettled == 4  # ...there are no more
            receiver.accept([four[2], four[0]])
            six = four + await take(receiver, 2)
            receiver.accept([six[1], *six[3:]])
            last = await take(receiver, 4)
            assert [one.body for one in six + last] == [b"%d" % n for n in range(10)]
            receiver.accept(last)
            assert receiver.unsettled == 0
            with pytest.raises(ValueError, match="settled before"):
                receiver.accept(last[:1])
            await receiver.aclose()
            with pytest.raises(trio.ClosedResourceError):
                await receiver.receive()

    async def test_accept_release_reject(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            await client.declare(
                [
                    Exchange(name="dead", type="fanout", durable=False),
                    Queue(name="buried", durable=False),
                    Binding(queue="buried", exchange="dead"),
                    Queue(name="q", durable=False, arguments={"x-dead-letter-exchange": "dead"}),
                ]
            )
            sender = await client.open_sender(Outcomes())
            await sender.send(to("q", b"accept", b"release", b"reject"))
            receiver = await client.open_receiver(Subscription(queue="q"))
            accept, release, reject = await take(receiver, 3)
            receiver.accept([accept])
            receiver.reject([reject])
            receiver.release([release])
            (again,) = await take(receiver, 1)
            assert again.body == b"release"
            assert again.redelivered
            receiver.accept([again])
            graves = await client.open_receiver(Subscription(queue="buried"))
            assert [one.body for one in await take(graves, 1)] == [b"reject"]

    async def test_closing_gives_back_what_is_unsettled(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            queue = await temporary_queue(client)
            sender = await client.open_sender(Outcomes())
            await sender.send(to(queue, *(b"%d" % n for n in range(10))))
            receiver = await client.open_receiver(Subscription(queue=queue))
            ten = await take(receiver, 10)
            receiver.accept(ten[:3])
            await receiver.aclose()
            assert receiver.unsettled == 0
            receiver.accept(ten[3:])  # means nothing any more
            other = await client.open_receiver(Subscription(queue=queue))
            rest = await take(other, 7)
            assert [one.body for one in rest] == [b"%d" % n for n in range(3, 10)]
            assert all(one.redelivered for one in rest)
            with pytest.raises(ValueError, match="not delivered on this channel"):
                other.accept(ten[3:4])

    async def test_leaving_writes_what_was_settled(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            await client.declare([Queue(name="q", durable=False)])
            sender = await client.open_sender(Outcomes())
            await sender.send(to("q", b"1", b"2"))
            receiver = await client.open_receiver(Subscription(queue="q"))
            receiver.accept((await take(receiver, 2))[:1])
        async with connect(address(rabbitmq)) as client:
            receiver = await client.open_receiver(Subscription(queue="q"))
            assert [one.body for one in await take(receiver, 1)] == [b"2"]

    async def test_settled_subscriptions(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            queue = await temporary_queue(client)
            sender = await client.open_sender(Outcomes())
            await sender.send(to(queue, *[b"x"] * 50))
            await sender.wait_settled()
            receiver = await client.open_receiver(Subscription(queue=queue, credit=5, settled=True))
            await take(receiver, 50)
            assert receiver.unsettled == 0
            await receiver.aclose()
            await client.declare([Queue(name=queue, passive=True)])
            other = await client.open_receiver(Subscription(queue=queue))
            await sender.send(to(queue, b"last"))
            assert [one.body for one in await take(other, 1)] == [b"last"]

    async def test_a_quorum_queue_counts(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            quorum = {"x-queue-type": "quorum"}
            await client.declare([Queue(name="q", arguments=quorum)])
            sender = await client.open_sender(Outcomes())
            await sender.send(to("q", b"x"))
            receiver = await client.open_receiver(Subscription(queue="q"))
            counts: list[int | None] = []
            for _ in range(3):
                (one,) = await take(receiver, 1)
                counts.append(one.delivery_count)
                receiver.release([one])
            assert counts == [None, 1, 2]
            await client.open_sender(Outcomes())


class TestReceivers:
    async def test_missing_queue(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            with pytest.raises(ChannelLost, match="'missing' cannot be read: 404 NOT_FOUND"):
                await client.open_receiver(Subscription(queue="missing"))
            with pytest.raises(ValueError, match="credit = 0"):
                await client.open_receiver(Subscription(queue="missing", credit=0))

    async def test_exclusive_use_may_pass(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            await client.declare([Queue(name="q")])
            first = await client.open_receiver(Subscription(queue="q", exclusive=True))
            with pytest.raises(ChannelLost, match="in exclusive use") as caught:
                await client.open_receiver(Subscription(queue="q"))
            assert caught.value.temporary
            await first.aclose()
            await client.open_receiver(Subscription(queue="q"))

    async def test_the_broker_cancels(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            await client.declare([Queue(name="q")])
            receiver = await client.open_receiver(Subscription(queue="q"))
            vhost = ("-p", rabbitmq.vhost)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rabbitmq.ctl, "-q", *vhost, "delete_queue", "q")
                with pytest.raises(ChannelLost, match="queue 'q': the broker cancelled"):
                    await receiver.receive()
            with pytest.raises(ChannelLost, match="cancelled the consumer"):
                await receiver.receive()
            await receiver.aclose()
            await client.declare([Queue(name="q")])

    async def test_a_cancelled_receive_takes_nothing(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            queue = await temporary_queue(client)
            receiver = await client.open_receiver(Subscription(queue=queue))
            with trio.CancelScope() as scope:
                scope.cancel()
                await receiver.receive()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(receiver.receive)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            sender = await client.open_sender(Outcomes())
            await sender.send(to(queue, b"here"))
            assert [one.body for one in await take(receiver, 1)] == [b"here"]

    async def test_cancelled_while_opening(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            await client.declare([Queue(name="q")])
            subscription = Subscription(queue="q", exclusive=True)
            openings: list[Callable[[], Any]] = [
                lambda: client.open_receiver(subscription),
                lambda: client.open_sender(Outcomes()),
                lambda: client.declare([Queue(name="q")]),
            ]
            for opening in openings:
                for checkpoints in range(12):
                    with trio.CancelScope() as scope:
                        async with trio.open_nursery() as nursery:
                            nursery.start_soon(opening)
                            for _ in range(checkpoints):
                                await trio.lowlevel.checkpoint()
                            scope.cancel()
            # Nothing that was half open holds the queue, or answers for somebody else.
            assert await client.declare([Queue(name="q")]) == ["q"]
            while True:
                with suppress(ChannelLost):  # a close that is still on its way
                    receiver = await client.open_receiver(subscription)
                    break
            sender = await client.open_sender(Outcomes())
            await sender.send(to("q", b"x"))
            assert len(await take(receiver, 1)) == 1


class TestRequests:
    async def test_direct_reply_to(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client, connect(address(rabbitmq)) as service:
            await service.declare([Queue(name="requests", durable=False)])
            requests = await service.open_receiver(Subscription(queue="requests"))
            answers = await service.open_sender(Outcomes())
            outcomes = Outcomes()
            sender = await client.open_sender(outcomes)
            replies = await client.open_receiver(
                Subscription(queue=REPLY_TO, settled=True), sender=sender
            )
            assert replies.address == REPLY_TO
            asked = Properties(reply_to=REPLY_TO, correlation_id="1")
            await sender.send(to("requests", b"question", properties=asked))
            (question,) = await take(requests, 1)
            requests.accept([question])
            back = question.properties.reply_to
            assert back is not None
            assert back.startswith(REPLY_TO)
            answered = Properties(correlation_id=question.properties.correlation_id)
            await answers.send(to(back, b"answer", properties=answered))
            (reply,) = await take(replies, 1)
            assert (reply.body, reply.properties.correlation_id) == (b"answer", "1")
            assert replies.unsettled == 0
            await sender.wait_settled()
            await replies.aclose()
            await sender.send(to("requests", b"still works"))
            await sender.wait_settled()
            assert set(outcomes.of.values()) == {CONFIRMED}

    async def test_deliveries_can_be_given_to_a_function(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            queue = await temporary_queue(client)
            outcomes = Outcomes()
            sender = await client.open_sender(outcomes)
            receiver = await client.open_receiver(Subscription(queue=queue), sender=sender)
            assert isinstance(sender, PromptSender)
            assert isinstance(receiver, PromptReceiver)
            came: list[bytes] = []

            def given(deliveries: list[Delivery]) -> None:
                receiver.accept(deliveries)
                came.extend(one.body for one in deliveries)
                if came[-1] == b"bad":
                    raise KeyError("bad")

            assert sender.send_nowait(to(queue, b"before"))
            first = await take(receiver, 1)
            receiver.accept(first)
            receiver.give_to(given)
            assert sender.send_nowait(to(queue, b"1", b"2"))
            assert sender.send_nowait(to(queue, b"bad"))
            with trio.fail_after(30), pytest.raises(KeyError, match="bad"):
                await receiver.receive()
            assert came == [b"1", b"2", b"bad"]
            await sender.wait_settled()  # the connection is none the worse for it
            assert set(outcomes.of.values()) == {CONFIRMED}
            await sender.aclose()
            assert not sender.send_nowait(to(queue, b"after"))
            assert sender.taken == 4

    async def test_a_receiver_on_a_senders_channel_ends_with_it(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client, connect(address(rabbitmq)) as other:
            queue = await temporary_queue(client)
            sender = await client.open_sender(Outcomes())
            with pytest.raises(ValueError, match="another connection's"):
                await other.open_receiver(Subscription(queue=queue), sender=sender)
            receiver = await client.open_receiver(Subscription(queue=queue), sender=sender)
            await sender.send([Publication(Target("missing"), b"")])
            with pytest.raises(ChannelLost, match="no exchange 'missing'"):
                await receiver.receive()
