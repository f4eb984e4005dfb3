"""What a connection reads: in whatever pieces it comes, and whatever is wrong with it."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame, header, heartbeat

from hypersocket.amqp import (
    CONFIRMED,
    Outcome,
    Properties,
    Result,
    Target,
)
from hypersocket.amqp.v091 import (
    Blocked,
    Cancelled,
    Channel,
    ChannelEnded,
    Connection,
    Delivered,
    Ended,
    Event,
    Settled,
    State,
)

from .peers import (
    channel_of,
    content,
    deliver,
    in_pieces,
    method,
    opened,
    publication,
    publishing,
    read,
    returned,
    taken,
)
from .telling import ended, only


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

    def test_pieces_of_nothing_are_not_held(self) -> None:
        """A body's frames may be empty, and a broker may send them for ever."""
        connection, _ = self.consuming()
        whole = deliver(1, b"body", piece=2)
        first, last = whole[:-10], whole[-10:]
        assert connection.receive(first) == []
        tracemalloc.start()
        try:
            for _ in range(100):
                assert connection.receive(b"\x03\x00\x01\x00\x00\x00\x00\xce" * 1000) == []
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 100_000
        (one,) = only(Delivered, connection.receive(last)).messages
        assert one.body == b"body"

    def test_many_small_pieces_cost_little_more_than_the_body(self) -> None:
        connection, _ = self.consuming()
        body = b"x" * 50_000
        whole = deliver(1, body, piece=1)
        tracemalloc.start()
        try:
            assert connection.receive(whole[:-9]) == []
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 3 * len(body)
        (one,) = only(Delivered, connection.receive(whole[-9:])).messages
        assert one.body == body

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
