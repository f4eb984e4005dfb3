"""A connection from its first byte to its last, and its channels."""

from __future__ import annotations

from typing import Any

import pytest
from pamqp import commands

from hypersocket.amqp import (
    Binding,
    Exchange,
    Queue,
    Subscription,
)
from hypersocket.amqp.v091 import (
    Cancelled,
    ChannelEnded,
    ChannelState,
    Connection,
    Flow,
    Opened,
    Replied,
    Settled,
    State,
)

from .peers import (
    channel_of,
    deliver,
    in_pieces,
    method,
    open_ok,
    opened,
    publication,
    publishing,
    read,
    settings,
    start,
    taken,
    tune,
)
from .telling import ended, only

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


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

    @pytest.mark.parametrize("at", range(6))
    def test_what_begins_like_another_version(self, at: int) -> None:
        """It is known for what it is as soon as it is there: nothing more may come."""
        connection = Connection(settings())
        assert "no frame begins with" in str(ended(in_pieces(connection, b"AMOK!", at)))

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
