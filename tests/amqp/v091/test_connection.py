"""A connection from its first byte to its last."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame, header, heartbeat

from hypersocket.amqp import (
    CONFIRMED,
    Binding,
    ConnectionLost,
    Exchange,
    Outcome,
    Properties,
    Queue,
    Result,
    Subscription,
    Target,
)
from hypersocket.amqp.v091 import (
    Blocked,
    Cancelled,
    Channel,
    ChannelEnded,
    ChannelState,
    Connection,
    Delivered,
    Ended,
    Event,
    Flow,
    Opened,
    Replied,
    Settled,
    State,
)

from .peers import (
    channel_of,
    content,
    deliver,
    in_pieces,
    method,
    open_ok,
    opened,
    publication,
    publishing,
    read,
    returned,
    settings,
    start,
    taken,
    tune,
)

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


def ended(events: list[Event]) -> ConnectionLost:
    """Why a connection has ended, which is the last that is told."""
    last = events[-1]
    assert isinstance(last, Ended)
    assert not any(isinstance(event, Ended) for event in events[:-1])
    return last.error


def only(kind: type[Any], events: list[Event]) -> Any:
    assert [type(event) for event in events] == [kind]
    return events[0]


class TestHandshake:
    def test_step_by_step(self) -> None:
        connection = Connection(settings(vhost="shop", heartbeat=5, name="gw", version="9"))
        assert taken(connection) == PROTOCOL_HEADER
        assert connection.receive(start()) == []
        (said,) = read(taken(connection))
        assert isinstance(said, commands.Connection.StartOk)
        assert said.mechanism == "PLAIN"
        assert said.response == "\0me\0secret"
        assert said.client_properties["connection_name"] == "gw"
        capabilities: Any = said.client_properties["capabilities"]
        assert capabilities["consumer_cancel_notify"] is True
        assert connection.receive(tune()) == []
        tuned, asked = read(taken(connection))
        assert (tuned.channel_max, tuned.frame_max, tuned.heartbeat) == (2047, 131_072, 5)
        assert asked.virtual_host == "shop"
        told = only(Opened, connection.receive(open_ok()))
        assert told.broker["product"] == "Script"
        assert told.heartbeat == 5
        assert connection.state is State.OPEN

    def test_external(self) -> None:
        connection = Connection(settings(mechanism="EXTERNAL"))
        taken(connection)
        connection.receive(start())
        (said,) = read(taken(connection))
        assert (said.mechanism, said.response) == ("EXTERNAL", "")

    @pytest.mark.parametrize(
        ("server", "agreed"),
        [
            ((0, 0, 0), (65535, 131_072, 5)),
            ((10, 4096, 2), (10, 4096, 2)),
            ((5, 1 << 20, 600), (5, 131_072, 5)),
        ],
    )
    def test_limits(self, server: tuple[int, int, int], agreed: tuple[int, int, int]) -> None:
        connection = Connection(settings(heartbeat=5))
        connection.receive(start())
        taken(connection)
        connection.receive(tune(*server))
        tuned = read(taken(connection))[0]
        assert (tuned.channel_max, tuned.frame_max, tuned.heartbeat) == agreed
        assert only(Opened, connection.receive(open_ok())).heartbeat == agreed[2]

    def test_no_heartbeats_wanted(self) -> None:
        connection = Connection(settings(heartbeat=0))
        connection.receive(start())
        taken(connection)
        connection.receive(tune(heartbeat=60))
        assert read(taken(connection))[0].heartbeat == 0

    def test_the_mechanism_is_not_offered(self) -> None:
        connection = Connection(settings(mechanism="EXTERNAL"))
        error = ended(connection.receive(start(mechanisms="PLAIN AMQPLAIN")))
        assert str(error) == "broker:5672 does not offer EXTERNAL, but PLAIN, AMQPLAIN"
        assert not error.temporary

    @pytest.mark.parametrize(
        ("code", "text", "condition", "temporary"),
        [
            (403, "ACCESS_REFUSED - no", "403 ACCESS_REFUSED", False),
            (530, "NOT_ALLOWED - vhost x not found", "530 NOT_ALLOWED", False),
            (530, "NOT_ALLOWED - connection limit (1) is reached", "530 NOT_ALLOWED", True),
            (541, "INTERNAL_ERROR - vhost 'x' is down", "541 INTERNAL_ERROR", True),
            (320, "CONNECTION_FORCED - bye", "320 CONNECTION_FORCED", True),
            (999, "odd", "999", True),
        ],
    )
    def test_refused(self, code: int, text: str, condition: str, temporary: bool) -> None:
        connection = Connection(settings())
        connection.receive(start())
        taken(connection)
        refusal = method(commands.Connection.Close(code, text, 0, 0))
        error = ended(connection.receive(refusal))
        assert text in str(error)
        assert str(error).startswith("broker:5672 closed the connection: ")
        assert "secret" not in str(error)
        assert (error.condition, error.temporary) == (condition, temporary)
        assert isinstance(read(taken(connection))[-1], commands.Connection.CloseOk)

    @pytest.mark.parametrize(
        ("came", "text"),
        [
            (b"", "hung up; waited for the broker's greeting"),
            (start(), "hung up at the log-in; it may have refused it"),
            (start() + tune(), "hung up; waited for the virtual host to open"),
            (start() + tune() + open_ok(), "the connection to broker:5672 broke"),
        ],
    )
    def test_hung_up(self, came: bytes, text: str) -> None:
        connection = Connection(settings())
        connection.receive(came)
        error = ended(connection.eof("reset"))
        assert text in str(error)
        assert "(reset)" in str(error)
        assert error.temporary
        assert connection.eof() == []
        assert connection.receive(b"more") == []

    @pytest.mark.parametrize("at", range(8))
    def test_another_version(self, at: int) -> None:
        connection = Connection(settings())
        error = ended(in_pieces(connection, b"AMQP\x03\x01\x00\x00", at))
        assert "does not speak it here, but AMQP 1.0.0 (protocol id 3)" in str(error)
        assert not error.temporary

    @pytest.mark.parametrize(
        "came",
        [
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\x15\x03\x03\x00\x02\x02\x46",
            b"A fine day to you",
            b"\x01\x00\x00\xff\xff\xff\xff",
            b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x0a\x00",
            method(commands.Connection.OpenOk()),
            method(commands.Connection.Secure("x")),
            b"\x01\x00\x00\x00\x00\x00\x04\x00\x63\x00\x63\xce",
            b"\x01\x00\x00\x00\x00\x00\x02\x00\x0a\xce",
            b"\x01\x00\x00\x00\x00\x00\x05\x00\x0a\x00\x0a\x00\xce",
            b"\x02\x00\x00\x00\x00\x00\x00\xce",
        ],
    )
    def test_garbage_in_place_of_a_greeting(self, came: bytes) -> None:
        connection = Connection(settings())
        error = ended(connection.receive(came))
        assert "broker:5672 broke AMQP 0-9-1" in str(error)
        assert not error.temporary
        assert connection.state is State.CLOSED

    def test_a_frame_max_that_is_too_small(self) -> None:
        connection = Connection(settings())
        assert "at least" in str(ended(connection.receive(start() + tune(frame_max=100))))

    def test_no_password_in_sight(self) -> None:
        assert "secret" not in repr(settings())


class TestSplitting:
    def script(self) -> bytes:
        """Everything that a broker says, to one channel that publishes and consumes."""
        return b"".join(
            (
                method(commands.Connection.Blocked("low on memory")),
                method(commands.Connection.Unblocked()),
                heartbeat.Heartbeat().marshal(),
                deliver(1, b"one", message_id="m"),
                deliver(2, b""),
                deliver(3, b"three pieces", piece=5),
                returned("key", b"body"),
                method(commands.Basic.Ack(2, True), 1),
                method(commands.Basic.Nack(3, False, False), 1),
                method(commands.Basic.Cancel("consumer", True), 1),
                method(commands.Channel.Close(404, "NOT_FOUND - x", 60, 40), 1),
                method(commands.Connection.Close(320, "CONNECTION_FORCED - bye", 0, 0)),
            )
        )

    def ready(self) -> Connection:
        connection = opened()
        channel = publishing(connection)
        channel.publish([publication(), publication(b"2"), publication(b"3")])
        taken(connection)
        return connection

    def told(self, events: list[Event]) -> list[Any]:
        """What happened, however it was cut into batches."""
        happened: list[Any] = []
        for event in events:
            if isinstance(event, Delivered):
                happened += [
                    ("delivered", one.tag, one.body, one.properties.message_id, one.target)
                    for one in event.messages
                ]
            elif isinstance(event, Settled):
                happened += [(one.body, event.outcome) for one in event.publications]
            elif isinstance(event, Blocked):
                happened.append(("blocked", event.reason))
            elif isinstance(event, Cancelled):
                happened.append("cancelled")
            elif isinstance(event, ChannelEnded | Ended):
                happened.append(str(event.error))
        return happened

    def test_cut_at_every_offset(self) -> None:
        script = self.script()
        target = Target("exchange", "key")
        expected = [
            ("blocked", "low on memory"),
            ("blocked", None),
            ("delivered", 1, b"one", "m", target),
            ("delivered", 2, b"", None, target),
            ("delivered", 3, b"three pieces", None, target),
            (b"body", Outcome(Result.RETURNED, "312 NO_ROUTE")),
            (b"2", CONFIRMED),
            (b"3", Outcome(Result.REJECTED, "basic.nack")),
            "cancelled",
            "404 NOT_FOUND - x",
            "broker:5672 closed the connection: 320 CONNECTION_FORCED - bye",
        ]
        for at in range(len(script) + 1):
            happened = self.told(in_pieces(self.ready(), script, at))
            assert sorted(map(repr, happened)) == sorted(map(repr, expected)), at
            assert happened[-2:] == expected[-2:]

    def test_byte_by_byte(self) -> None:
        connection = self.ready()
        events: list[Event] = []
        for byte in self.script():
            events += connection.receive(bytes((byte,)))
        whole = self.told(self.ready().receive(self.script()))
        assert sorted(map(repr, self.told(events))) == sorted(map(repr, whole))

    @given(st.data())
    def test_a_byte_that_is_wrong_ends_nothing_but_the_connection(
        self, data: st.DataObject
    ) -> None:
        script = bytearray(self.script())
        for _ in range(data.draw(st.integers(1, 3))):
            script[data.draw(st.integers(0, len(script) - 1))] = data.draw(st.integers(0, 255))
        connection = self.ready()
        events = connection.receive(bytes(script)) + connection.eof()
        ended(events)
        for event in events:
            if isinstance(event, Delivered):
                for one in event.messages:
                    assert one.properties is not None
                    assert one.target is not None
        for one in read(taken(connection)):  # whatever we answer is AMQP
            assert one is not None

    @given(st.binary(max_size=300))
    def test_garbage(self, data: bytes) -> None:
        connection = self.ready()
        ended(connection.receive(data) + connection.eof())

    def test_events_before_the_garbage_are_told(self) -> None:
        connection = self.ready()
        events = connection.receive(
            deliver(1) + method(commands.Basic.Ack(3, True), 1) + b"GARBAGE!"
        )
        assert [type(event) for event in events] == [Delivered, Settled, Ended]
        assert "b'GARBAGE!'" in str(ended(events))
        assert ended(events).temporary
        (last,) = read(taken(connection))
        assert isinstance(last, commands.Connection.Close)
        assert last.reply_code == 501


class TestChannels:
    def test_numbers_go_round(self) -> None:
        connection = Connection(settings())
        connection.receive(start() + tune(channel_max=3) + open_ok())
        one, two, three = (connection.open_channel() for _ in range(3))
        assert one is not None
        assert two is not None
        assert three is not None
        assert [one.number, two.number, three.number] == [1, 2, 3]
        assert connection.open_channel() is None
        for channel in (one, two):
            channel.close()
            connection.receive(method(commands.Channel.CloseOk(), channel.number))
        again = connection.open_channel()
        assert again is not None
        assert again.number == 1
        again.close()
        connection.receive(method(commands.Channel.CloseOk(), 1))
        after = connection.open_channel()
        assert after is not None
        assert after.number == 2

    def test_requests_and_replies(self) -> None:
        connection = opened()
        channel = channel_of(connection)
        arguments = {"x-max-length": 5, "x-float": 1.1}
        channel.declare_exchange(Exchange(name="é <x>", type="fanout", arguments=arguments))
        channel.declare_queue(Queue(name="", exclusive=True, durable=False))
        channel.bind(Binding(queue="q", exchange="é <x>", routing_key="a.#"))
        channel.unbind(Binding(queue="q", exchange="é <x>", routing_key="a.#"))
        channel.limit(1_000_000)
        channel.consume(Subscription(queue="q", exclusive=True), "tag", no_ack=True)
        channel.cancel("tag")
        exchange, queue, bind, unbind, qos, consume, cancel = read(taken(connection))
        assert (exchange.exchange, exchange.exchange_type) == ("é <x>", "fanout")
        assert (exchange.durable, exchange.passive, exchange.auto_delete) == (True, False, False)
        assert exchange.arguments == arguments
        assert (queue.queue, queue.exclusive, queue.durable) == ("", True, False)
        assert (bind.queue, bind.exchange, bind.routing_key) == ("q", "é <x>", "a.#")
        assert (unbind.queue, unbind.exchange, unbind.routing_key) == ("q", "é <x>", "a.#")
        assert (qos.prefetch_count, qos.global_) == (65535, False)
        assert (consume.consumer_tag, consume.no_ack, consume.exclusive) == ("tag", True, True)
        assert cancel.consumer_tag == "tag"
        grants = [
            commands.Exchange.DeclareOk(),
            commands.Queue.DeclareOk("amq.gen-1", 0, 0),
            commands.Queue.BindOk(),
            commands.Queue.UnbindOk(),
            commands.Basic.QosOk(),
            commands.Basic.ConsumeOk("tag"),
            commands.Basic.CancelOk("tag"),
        ]
        events = connection.receive(b"".join(method(one, 1) for one in grants))
        values = ["", "amq.gen-1", "", "", "", "tag", "tag"]
        assert events == [Replied(channel, value) for value in values]

    def test_names_that_are_too_long_write_nothing(self) -> None:
        connection = opened()
        channel = channel_of(connection)
        with pytest.raises(ValueError, match="queue's name has 300 bytes"):
            channel.declare_queue(Queue(name="q" * 300))
        with pytest.raises(ValueError, match=r"arguments\['x'\]"):
            channel.declare_exchange(Exchange(name="e", arguments={"x": 2**64}))
        assert taken(connection) == b""

    def test_closed_by_us_while_messages_come(self) -> None:
        connection = opened()
        channel = publishing(connection)
        channel.publish([publication()])
        channel.close()
        channel.close()
        assert [type(one) for one in read(taken(connection))[-1:]] == [commands.Channel.Close]
        came = deliver(1) + method(commands.Basic.Ack(1, False), 1)
        events = connection.receive(came + method(commands.Channel.CloseOk(), 1))
        assert [type(event) for event in events] == [Settled, ChannelEnded]
        assert events[1] == ChannelEnded(channel, None)
        assert channel.state is ChannelState.CLOSED

    def test_both_close_at_once(self) -> None:
        connection = opened()
        channel = channel_of(connection)
        channel.close()
        taken(connection)
        assert connection.receive(method(commands.Channel.Close(404, "x", 0, 0), 1)) == []
        assert [type(one) for one in read(taken(connection))] == [commands.Channel.CloseOk]
        assert connection.receive(method(commands.Channel.CloseOk(), 1)) == [
            ChannelEnded(channel, None)
        ]

    @pytest.mark.parametrize(
        ("code", "text", "temporary"),
        [
            (404, "NOT_FOUND - no queue 'q' in vhost '/'", False),
            (404, "NOT_FOUND - home node 'a' of durable queue 'q' is down or inaccessible", True),
            (403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", True),
            (405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue", True),
            (406, "PRECONDITION_FAILED - inequivalent arg 'durable'", False),
            (406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out", True),
            (541, "INTERNAL_ERROR", True),
        ],
    )
    def test_closed_by_the_broker(self, code: int, text: str, temporary: bool) -> None:
        connection = opened()
        channel = channel_of(connection)
        came = method(commands.Channel.Close(code, text, 0, 0), 1)
        told = only(ChannelEnded, connection.receive(came))
        assert told.channel is channel
        assert str(told.error) == f"{code} {text}"
        assert told.error.temporary is temporary
        assert told.error.condition.startswith(str(code))
        assert [type(one) for one in read(taken(connection))] == [commands.Channel.CloseOk]
        assert connection.state is State.OPEN
        assert "channel 1, which is not open" in str(ended(connection.receive(deliver(1))))

    def test_flow(self) -> None:
        connection = opened()
        channel = channel_of(connection)
        assert connection.receive(method(commands.Channel.Flow(False), 1)) == [Flow(channel, False)]
        (answer,) = read(taken(connection))
        assert isinstance(answer, commands.Channel.FlowOk)
        assert answer.active is False

    def test_a_cancel_that_wants_an_answer(self) -> None:
        connection = opened()
        channel = channel_of(connection)
        assert connection.receive(method(commands.Basic.Cancel("tag", False), 1)) == [
            Cancelled(channel)
        ]
        assert [type(one) for one in read(taken(connection))] == [commands.Basic.CancelOk]

    def test_close_in_good_order(self) -> None:
        connection = opened()
        connection.close()
        connection.close()
        assert [type(one) for one in read(taken(connection))] == [commands.Connection.Close]
        assert connection.receive(method(commands.Connection.Blocked("x"))) == []
        error = ended(connection.receive(method(commands.Connection.CloseOk())))
        assert str(error) == "the connection to broker:5672 was closed"


class TestMessages:
    def consuming(self) -> tuple[Connection, Channel]:
        connection = opened()
        return connection, channel_of(connection)

    def test_one_batch_for_all_that_came(self) -> None:
        connection, channel = self.consuming()
        told = only(Delivered, connection.receive(b"".join(deliver(n) for n in range(1, 101))))
        assert [one.tag for one in told.messages] == list(range(1, 101))
        assert channel.settlements.unsettled == 100

    def test_what_cannot_be_decoded_stays_its_own_affair(self) -> None:
        connection, _ = self.consuming()
        wire = deliver(1, correlation_id="xx", expiration="abc", headers={"h": "v"})
        wire = wire.replace(b"\x02xx", b"\x02\xff\xfe").replace(b"\x03key", b"\x03\xffey")
        first = only(Delivered, connection.receive(wire)).messages[0]
        assert first.properties == Properties(correlation_id=b"\xff\xfe", headers={"h": "v"})
        assert first.target.routing_key == "\udcffey"
        assert first.properties is first.properties
        assert connection.state is State.OPEN

    @pytest.mark.parametrize(
        ("headers", "count"),
        [({}, None), ({"x-delivery-count": 3}, 3), ({"x-delivery-count": "3"}, None)],
    )
    def test_delivery_count(self, headers: dict[str, Any], count: int | None) -> None:
        connection, _ = self.consuming()
        (one,) = only(Delivered, connection.receive(deliver(1, headers=headers))).messages
        assert one.delivery_count == count
        assert "4 bytes" in repr(one)

    @pytest.mark.parametrize(
        ("came", "text"),
        [
            (frame.marshal(header.ContentHeader(0, 1), 1), "header came out of turn"),
            (b"\x03\x00\x01\x00\x00\x00\x01x\xce", "piece of a body came out of turn"),
            (method(commands.Basic.Deliver("c", 1, False, "", "k"), 1) * 2, "rest of a message"),
            (deliver(1)[:-12] + b"\x03\x00\x01\x00\x00\x00\x05bodyX\xce", "longer than its header"),
            (b"\x08\x00\x01\x00\x00\x00\x00\xce", "heartbeat"),
            (b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x3c\xce", "Deliver cannot be read"),
            (b"\x01\x00\x01\x00\x00\x00\x06\x00\x3c\x00\x32\x00\x00\xce", "Return cannot be read"),
            (b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x50\xce", "confirmation is too short"),
            (method(commands.Basic.Ack(1, False), 1), "that nobody asked for"),
            (returned("key", b"body"), "never published"),
            (method(commands.Connection.Blocked("x"), 1), "has no meaning"),
            (deliver(1, channel=9), "channel 9, which is not open"),
            (deliver(1)[:33] + b"\xff" * 8, None),
        ],
    )
    def test_out_of_turn(self, came: bytes, text: str | None) -> None:
        connection, _ = self.consuming()
        error = ended(connection.receive(came) + connection.eof())
        assert text is None or text in str(error)

    def test_a_body_beyond_all_bounds(self) -> None:
        connection, _ = self.consuming()
        came = method(commands.Basic.Deliver("c", 1, False, "", "k"), 1)
        head = frame.marshal(header.ContentHeader(0, 2**40), 1)
        assert "1099511627776 bytes" in str(ended(connection.receive(came + head)))

    def test_return_with_properties_that_pamqp_wrote(self) -> None:
        connection = opened()
        channel = publishing(connection)
        same = [publication(properties=Properties(message_id=str(n))) for n in range(3)]
        channel.publish(same)
        came = content(
            commands.Basic.Return(312, "NO_ROUTE", "", "key"), b"body", 1, message_id="1"
        )
        events = connection.receive(came + method(commands.Basic.Ack(3, True), 1))
        back, confirmed = events
        assert isinstance(back, Settled)
        assert isinstance(confirmed, Settled)
        assert back.publications == [same[1]]
        assert confirmed.publications == [same[0], same[2]]
