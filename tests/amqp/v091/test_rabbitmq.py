"""The client against RabbitMQ itself."""

from __future__ import annotations

import dataclasses
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hypersocket.amqp import (
    CONFIRMED,
    Binding,
    ChannelLost,
    ConnectionLost,
    Exchange,
    NotSupported,
    Outcome,
    Properties,
    Publication,
    Queue,
    Result,
    Subscription,
    Target,
)
from hypersocket.devices.amqp_gateway._client import (
    BrokerAddress,
    Client,
    Connect,
    Delivery,
    Receiver,
)
from hypersocket.devices.amqp_gateway.clients.v091 import REPLY_TO, connect

from ...brokers.rabbitmq import RabbitMQ

pytestmark = pytest.mark.interop

the_seam: Connect = connect  # a type checker's test: this is what the gateway asks for


class Outcomes:
    """What became of publications: told once each."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[Publication], Outcome]] = []
        self.of: dict[Publication, Outcome] = {}

    def __call__(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        self.batches.append((list(publications), outcome))
        for one in publications:
            assert one not in self.of, "told twice"
            self.of[one] = outcome

    def results(self, publications: Sequence[Publication]) -> list[Result]:
        return [self.of[one].result for one in publications]


def address(broker: RabbitMQ, **changes: Any) -> BrokerAddress:
    said: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": broker.port,
        "vhost": broker.vhost,
        "username": "guest",
        "password": "guest",
    }
    return BrokerAddress(**(said | changes))


def to(queue: str, *bodies: bytes, properties: Properties | None = None) -> list[Publication]:
    target = Target(routing_key=queue)
    rest = {} if properties is None else {"properties": properties}
    return [Publication(target, body, **rest) for body in bodies]


async def take(receiver: Receiver, count: int) -> list[Delivery]:
    taken: list[Delivery] = []
    while len(taken) < count:
        taken += await receiver.receive()
    assert len(taken) == count
    return taken


async def temporary_queue(client: Client, **arguments: Any) -> str:
    (name,) = await client.declare([Queue(durable=False, exclusive=True, arguments=arguments)])
    assert name.startswith("amq.gen-")
    return name


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


class TestTopology:
    async def test_bind_and_unbind(self, rabbitmq: RabbitMQ) -> None:
        outcomes = Outcomes()
        async with connect(address(rabbitmq)) as client:
            names = await client.declare(
                [
                    Exchange(name="naïve (topics)", durable=False),
                    Queue(name="q ü", durable=False),
                    Queue(durable=False, exclusive=True),
                    Binding(queue="q ü", exchange="naïve (topics)", routing_key="a.*"),
                ]
            )
            assert names[0] == "q ü"
            assert len(names) == 2
            sender = await client.open_sender(outcomes)
            other = Binding(queue="q ü", exchange="naïve (topics)", routing_key="b.#")
            results: list[Result] = []
            for step in (None, client.bind, client.unbind, client.unbind):
                if step is not None:
                    await step(other)
                one = Publication(Target("naïve (topics)", "b.c.d"), b"")
                await sender.send([one])
                await sender.wait_settled()
                results.append(outcomes.of[one].result)
            assert results == [
                Result.RETURNED,
                Result.CONFIRMED,
                Result.RETURNED,
                Result.RETURNED,
            ]

    @pytest.mark.parametrize(
        ("declaration", "text", "condition"),
        [
            (
                Queue(name="missing", passive=True),
                "queue 'missing' cannot be declared: 404 NOT_FOUND - no queue 'missing'",
                "404 NOT_FOUND",
            ),
            (
                Exchange(name="missing", passive=True),
                "exchange 'missing' cannot be declared: 404 NOT_FOUND - no exchange 'missing'",
                "404 NOT_FOUND",
            ),
            (
                Queue(name="there", durable=False),
                "queue 'there' cannot be declared: 406 PRECONDITION_FAILED - inequivalent arg",
                "406 PRECONDITION_FAILED",
            ),
            (
                Exchange(name="amq.mine"),
                "exchange 'amq.mine' cannot be declared: 403 ACCESS_REFUSED",
                "403 ACCESS_REFUSED",
            ),
            (
                Binding(queue="there", exchange="missing"),
                "queue 'there' cannot be bound to exchange 'missing': 404 NOT_FOUND",
                "404 NOT_FOUND",
            ),
        ],
    )
    async def test_refused(
        self, rabbitmq: RabbitMQ, declaration: Any, text: str, condition: str
    ) -> None:
        async with connect(address(rabbitmq)) as client:
            await client.declare([Queue(name="there")])
            with pytest.raises(ChannelLost) as caught:
                await client.declare([declaration])
            assert str(caught.value).startswith(text)
            assert caught.value.condition == condition
            assert not caught.value.temporary
            # Channels of others, and the next declaration, are none the worse for it.
            assert await client.declare([Queue(name="there")]) == ["there"]

    async def test_what_cannot_be_written(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            with pytest.raises(ValueError, match="queue's name has 300 bytes"):
                await client.declare([Queue(name="q" * 300)])
            assert await client.declare([Queue(name="q")]) == ["q"]


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


class TestConnecting:
    @pytest.mark.parametrize(
        ("wrong", "text", "temporary"),
        [
            ({"password": "sesame"}, "403 ACCESS_REFUSED", False),
            ({"username": "nobody"}, "403 ACCESS_REFUSED", False),
            ({"vhost": "missing"}, "530 NOT_ALLOWED - vhost missing not found", False),
            ({"host": "nowhere.invalid"}, "nowhere.invalid:.* cannot be reached: ", True),
        ],
    )
    async def test_refused(
        self, rabbitmq: RabbitMQ, wrong: dict[str, Any], text: str, temporary: bool
    ) -> None:
        with pytest.raises(ConnectionLost, match=text) as caught:
            async with connect(address(rabbitmq, **wrong)):
                pytest.fail("it was let in")
        assert caught.value.temporary is temporary
        assert "sesame" not in str(caught.value)

    async def test_anonymous_is_not_known(self, rabbitmq: RabbitMQ) -> None:
        with pytest.raises(NotSupported, match="no ANONYMOUS"):
            async with connect(address(rabbitmq, sasl="ANONYMOUS")):
                pytest.fail("it was let in")

    async def test_tls(self, rabbitmq: RabbitMQ) -> None:
        certificates = rabbitmq.certificates
        secure = address(
            rabbitmq,
            host="localhost",
            port=rabbitmq.tls_port,
            tls=certificates.client_context(),
        )
        async with connect(secure) as client:
            queue = await temporary_queue(client)
            sender = await client.open_sender(Outcomes())
            await sender.send(to(queue, bytes(300_000)))
            receiver = await client.open_receiver(Subscription(queue=queue))
            assert (await take(receiver, 1))[0].body == bytes(300_000)
        external = dataclasses.replace(
            secure,
            sasl="EXTERNAL",
            username="",
            password="",
            tls=certificates.client_context(authenticate=True),
        )
        async with connect(external) as client:
            await temporary_queue(client)

    async def test_tls_by_another_name(self, rabbitmq: RabbitMQ) -> None:
        context = rabbitmq.certificates.client_context()
        named: dict[str, Any] = {"port": rabbitmq.tls_port, "tls": context, "host": "127.0.0.1"}
        async with connect(address(rabbitmq, server_name="localhost", **named)) as client:
            await temporary_queue(client)
        await _no_tls(address(rabbitmq, server_name="broker.example", **named))

    @pytest.mark.parametrize("case", ["stranger", "another name", "plain port"])
    async def test_tls_that_cannot_be_trusted(self, rabbitmq: RabbitMQ, case: str) -> None:
        certificates = rabbitmq.certificates
        context = certificates.client_context()
        changes: dict[str, Any] = {"host": "localhost", "port": rabbitmq.tls_port}
        if case == "stranger":
            context = ssl.create_default_context(cafile=Path(certificates.stranger))
        elif case == "another name":
            changes["host"] = "127.0.0.2"
        else:
            changes["port"] = rabbitmq.port
        if case == "another name":
            listener = (await trio.open_tcp_listeners(0, host="127.0.0.2"))[0]
            changes["port"] = listener.socket.getsockname()[1]
            async with listener, trio.open_nursery() as nursery:
                nursery.start_soon(_forward, listener, rabbitmq.tls_port)
                await _no_tls(address(rabbitmq, tls=context, **changes))
                nursery.cancel_scope.cancel()
        else:
            await _no_tls(address(rabbitmq, tls=context, **changes))

    async def test_closed_by_the_operator(self, rabbitmq: RabbitMQ) -> None:
        outcomes = Outcomes()
        blocked: list[str | None] = []
        async with connect(address(rabbitmq), on_blocked=blocked.append) as client:
            await client.declare([Queue(name="q")])
            receiver = await client.open_receiver(Subscription(queue="q"))
            vhost = ("-p", rabbitmq.vhost)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    rabbitmq.ctl, "-q", "close_all_connections", *vhost, "maintenance"
                )
                lost = await client.wait_lost()
            assert "320 CONNECTION_FORCED" in str(lost)
            assert "maintenance" in str(lost)
            assert lost.temporary
            assert client.lost is lost
            with pytest.raises(ConnectionLost, match="maintenance"):
                await receiver.receive()
            with pytest.raises(ConnectionLost, match="maintenance"):
                await client.open_sender(outcomes)
            with pytest.raises(ConnectionLost, match="maintenance"):
                await client.declare([Queue(name="q")])
        assert blocked == []

    async def test_what_the_body_raises_leaves_as_itself(self, rabbitmq: RabbitMQ) -> None:
        with pytest.raises(KeyError, match="mine"):
            async with connect(address(rabbitmq)):
                raise KeyError("mine")
        with trio.CancelScope() as scope:
            async with connect(address(rabbitmq)) as client:
                scope.cancel()
                await client.wait_lost()
        assert scope.cancelled_caught
        assert client.lost is not None
        with pytest.raises(ConnectionLost, match="was closed"):
            await client.open_sender(Outcomes())


@pytest.mark.slow
async def test_faults_of_a_broker_of_ones_own(tmp_path: Path) -> None:
    async with RabbitMQ(tmp_path, plugins=()) as broker:
        await _memory_alarm(broker)
        await _killed(broker)
        await broker.restart()
        await _stopped(broker)


async def _memory_alarm(broker: RabbitMQ) -> None:
    outcomes = Outcomes()
    said: list[str | None] = []
    changed = trio.Event()

    def on_blocked(reason: str | None) -> None:
        nonlocal changed
        said.append(reason)
        changed.set()

    async with connect(address(broker), on_blocked=on_blocked) as client:
        queue = await temporary_queue(client)
        sender = await client.open_sender(outcomes)
        await broker.ctl("-q", "set_vm_memory_high_watermark", "0.00001")
        first = to(queue, b"first")
        await sender.send(first)
        await changed.wait()
        assert said == ["low on memory"]
        assert [client.blocked] == ["low on memory"]
        more = to(queue, *[bytes(10_000)] * 200)
        done = trio.Event()

        async def send() -> None:
            await sender.send(more)
            done.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await client_round_trip(broker)
            assert not done.is_set()
            assert sender.taken == 1
            await broker.ctl("-q", "set_vm_memory_high_watermark", "0.4")
        await sender.wait_settled()
        assert said == ["low on memory", None]
        assert client.blocked is None
        assert set(outcomes.of.values()) == {CONFIRMED}
        assert len(outcomes.of) == 201


async def client_round_trip(broker: RabbitMQ) -> None:
    """Long enough for whatever was about to be sent: a connection that does not publish."""
    async with connect(address(broker)) as other:
        await temporary_queue(other)


async def _killed(broker: RabbitMQ) -> None:
    outcomes = Outcomes()
    async with connect(address(broker)) as client:
        await client.declare([Queue(name="q")])
        sender = await client.open_sender(outcomes)
        receiver = await client.open_receiver(Subscription(queue="q"))
        publications: list[Publication] = []

        async def flood() -> None:
            with suppress(ConnectionLost):
                while True:
                    publications.extend(to("q", *[b"x"] * 100))
                    await sender.send(publications[-100:])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await receiver.receive()
            await broker.kill()
        lost = await client.wait_lost()
        assert lost.temporary
        await sender.wait_settled()
        taken = publications[: sender.taken]
        assert set(outcomes.of) == set(taken)
        assert {outcomes.of[one].result for one in taken} <= {Result.CONFIRMED, Result.UNKNOWN}
        with pytest.raises(ConnectionLost):
            await receiver.receive()
        with pytest.raises(ConnectionLost):
            await sender.send(publications)
    with pytest.raises(ConnectionLost, match="Connection refused") as caught:
        async with connect(address(broker)):
            pytest.fail("it was let in")
    assert caught.value.temporary
    assert f"127.0.0.1:{broker.port} cannot be reached" in str(caught.value)


async def _stopped(broker: RabbitMQ) -> None:
    async with connect(address(broker)) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.stop)
            lost = await client.wait_lost()
        assert "320 CONNECTION_FORCED" in str(lost)
        assert "shutdown" in str(lost)
        assert lost.temporary


async def _no_tls(wrong: BrokerAddress) -> None:
    with pytest.raises(ConnectionLost, match="no TLS: ") as caught:
        async with connect(wrong):
            pytest.fail("it was let in")
    assert not caught.value.temporary


async def _forward(listener: trio.SocketListener, port: int) -> None:
    """A name that the certificate is not for, in front of the broker."""
    async with (
        await listener.accept() as near,
        await trio.open_tcp_stream("127.0.0.1", port) as far,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_pump, near, far)
        nursery.start_soon(_pump, far, near)


async def _pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError):
        async for data in source:
            await sink.send_all(data)
