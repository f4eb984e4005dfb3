"""Messages and commands after the handshake."""

from __future__ import annotations

import pytest

from hypersocket import _errors
from hypersocket._reasons import Reason
from hypersocket.zmtp import Cancel, Connection, HandshakeSucceeded, Limits, State, Subscribe

from .peers import (
    GREETING_3_0,
    TIGHT,
    command,
    connection,
    encoded,
    feed,
    frame,
    handshake,
    has_more,
    in_traffic,
    state_of,
)


def fails(conn: Connection, wire: bytes) -> Reason:
    with pytest.raises(_errors.ProtocolError) as caught:
        feed(conn, wire)
    assert not isinstance(caught.value, _errors.HandshakeError)
    return caught.value.reason


class TestMessages:
    def test_events_are_messages_themselves(self) -> None:
        wire = frame(b"one") + frame(b"a", 1) + frame(b"b") + frame(b"")
        assert feed(in_traffic(), wire) == [b"one", [b"a", b"b"], b""]

    def test_handshake_and_messages_in_one_piece(self) -> None:
        first, *rest = feed(connection(), handshake("PULL") + frame(b"x"))
        assert isinstance(first, HandshakeSucceeded)
        assert rest == [b"x"]

    def test_at_most_so_many(self) -> None:
        conn = connection()
        conn.receive(handshake("PULL") + frame(b"1") + frame(b"2") + frame(b"3"), 0.0)
        assert len(conn.next_events(1)) == 1
        assert has_more(conn)
        assert conn.next_events(1) == [b"1"]
        assert conn.next_events(2) == [b"2", b"3"]
        assert not has_more(conn)
        assert conn.next_events(1) == []
        with pytest.raises(ValueError, match="at least 1"):
            conn.next_events(0)

    def test_end_with_events_left(self) -> None:
        conn = in_traffic()
        conn.receive(frame(b"1") + frame(b"2"), 0.0)
        conn.receive(b"", 0.0)
        assert conn.next_events(1) == [b"1"]
        assert state_of(conn) is State.TRAFFIC
        assert conn.next_events(1) == [b"2"]
        assert feed(conn, b"late") == []
        assert conn.next_events() == []
        assert state_of(conn) is State.CLOSED

    @pytest.mark.parametrize("rest", [b"\x00", b"\x00\x05abc", b"\x01\x01a", b"\x04\x09\x04PI"])
    def test_end_amid_a_message(self, rest: bytes) -> None:
        conn = in_traffic()
        assert feed(conn, frame(b"x") + rest, b"") == [b"x"]
        assert state_of(conn) is State.CLOSED

    def test_good_events_precede_an_error(self) -> None:
        conn = in_traffic()
        conn.receive(frame(b"good") + b"\xff", 0.0)
        assert conn.next_events() == [b"good"]
        assert state_of(conn) is State.FAILED
        assert has_more(conn)
        with pytest.raises(_errors.ProtocolError) as first:
            conn.next_events()
        assert not has_more(conn)
        for call in (conn.next_events, lambda: conn.on_timer(1.0), lambda: encoded(conn, [b"x"])):
            with pytest.raises(_errors.ProtocolError) as again:
                call()
            assert again.value is first.value

    @pytest.mark.parametrize(
        ("wire", "reason"),
        [
            (b"\x00\xff" + bytes(255) + b"\x02" + bytes(6) + b"\x03\xe9", Reason.MESSAGE_TOO_LARGE),
            (b"\x01\x00" * 3 + b"\x00\x00", Reason.TOO_MANY_FRAMES),
            (b"\x04\xc9", Reason.COMMAND_TOO_LARGE),
            (b"\x04\x00", Reason.BAD_COMMAND),
            (b"\x04\x02\x05A", Reason.BAD_COMMAND),
            (command(b"ERROR", b"\x02no"), Reason.REFUSED_BY_PEER),
        ],
    )
    def test_bounds_and_rules(self, wire: bytes, reason: Reason) -> None:
        conn = in_traffic(limits=TIGHT)
        with pytest.raises(_errors.ProtocolError) as caught:
            feed(conn, wire)
        assert caught.value.reason is reason
        assert conn.error_reply("too late") == b""

    def test_too_large_has_its_own_class(self) -> None:
        conn = in_traffic(limits=TIGHT)
        with pytest.raises(_errors.MessageTooLarge):
            feed(conn, b"\x02" + bytes(6) + b"\x03\xe9")

    def test_encoding_waits_for_the_handshake(self) -> None:
        for conn in (connection(), in_traffic()):
            if conn.state is State.TRAFFIC:
                feed(conn, b"")
            with pytest.raises(RuntimeError, match="nothing can be sent"):
                conn.encode([b"x"], [])
            with pytest.raises(RuntimeError, match="nothing can be sent"):
                conn.encode_subscription(b"\1x")

    def test_unknown_commands_are_ignored_and_counted(self) -> None:
        conn = in_traffic()
        wire = frame(b"a", 1) + command(b"NEWS", b"?") + frame(b"b") + command(b"\xff\x00")
        assert feed(conn, wire) == [[b"a", b"b"]]
        assert conn.ignored_commands == 2
        assert conn.data_to_send() == b""

    def test_libzmq_pings_amid_a_message(self) -> None:
        conn = in_traffic()
        assert feed(conn, frame(b"a", 1) + command(b"PING", b"\0\0") + frame(b"b")) == [
            [b"a", b"b"]
        ]
        assert conn.data_to_send() == command(b"PONG")


class TestSubscriptions:
    @pytest.mark.parametrize("ours", ["PUB", "XPUB"])
    def test_commands_and_messages_say_the_same(self, ours: str) -> None:
        wire = command(b"SUBSCRIBE", b"a") + command(b"CANCEL", b"") + frame(b"\1a") + frame(b"\0")
        expected = [Subscribe(b"a"), Cancel(b""), Subscribe(b"a"), Cancel(b"")]
        assert feed(in_traffic(ours), wire) == expected

    def test_upstream_messages(self) -> None:
        wire = frame(b"\2x") + frame(b"") + frame(b"\1a", 1) + frame(b"\1b")
        assert feed(in_traffic("XPUB"), wire) == [b"\2x", b"", [b"\1a", b"\1b"]]

    def test_other_types_take_such_messages_as_they_are(self) -> None:
        assert feed(in_traffic("PULL"), frame(b"\1a")) == [b"\1a"]

    @pytest.mark.parametrize("name", [b"SUBSCRIBE", b"CANCEL"])
    def test_command_to_another_type(self, name: bytes) -> None:
        assert fails(in_traffic("PULL"), command(name, b"a")) is Reason.UNEXPECTED_COMMAND

    @pytest.mark.parametrize("ours", ["PUB", "XPUB"])
    @pytest.mark.parametrize("name", [b"SUBSCRIBE", b"CANCEL"])
    def test_bound(self, ours: str, name: bytes) -> None:
        (event,) = feed(in_traffic(ours, limits=TIGHT), command(name, bytes(20)))
        assert isinstance(event, (Subscribe, Cancel))
        wire = command(name, bytes(21))
        assert fails(in_traffic(ours, limits=TIGHT), wire) is Reason.TOPIC_TOO_LONG
        for first in (b"\0", b"\1"):
            wire = frame(first + bytes(21))
            assert fails(in_traffic(ours, limits=TIGHT), wire) is Reason.TOPIC_TOO_LONG

    def test_a_topic_before_one_too_long_is_still_told(self) -> None:
        conn = in_traffic("PUB", limits=TIGHT)
        conn.receive(frame(b"\1good") + frame(b"\1" + bytes(21)), 0.0)
        assert conn.next_events() == [Subscribe(b"good")]
        with pytest.raises(_errors.ProtocolError):
            conn.next_events()

    def test_bound_of_other_commands_is_their_own(self) -> None:
        limits = Limits(max_command_size=20, max_topic_size=100, max_metadata_size=100)
        conn = connection("PUB", limits=limits)
        wire = handshake("PUB")
        assert fails_handshake(conn, wire) is Reason.COMMAND_TOO_LARGE
        limits = Limits(max_command_size=40, max_topic_size=100, max_metadata_size=100)
        conn = in_traffic("PUB", limits=limits)
        assert feed(conn, command(b"SUBSCRIBE", bytes(100))) == [Subscribe(bytes(100))]
        assert fails(conn, command(b"NEWS", bytes(36))) is Reason.COMMAND_TOO_LARGE

    def test_encoded_for_3_1(self) -> None:
        conn = in_traffic("SUB")
        assert conn.encode_subscription(b"\1a") == command(b"SUBSCRIBE", b"a")
        assert conn.encode_subscription(b"\0") == command(b"CANCEL")

    def test_encoded_for_3_0(self) -> None:
        conn = in_traffic("SUB", GREETING_3_0)
        assert conn.encode_subscription(b"\1a") == frame(b"\1a")
        large = b"\1" + bytes(100_000)
        assert conn.encode_subscription(large) == frame(large)

    @pytest.mark.parametrize("wrong", [b"", b"topic", b"\2"], ids=repr)
    def test_not_a_subscription(self, wrong: bytes) -> None:
        with pytest.raises(ValueError, match="not a subscription"):
            in_traffic("SUB").encode_subscription(wrong)


def fails_handshake(conn: Connection, wire: bytes) -> Reason:
    with pytest.raises(_errors.HandshakeError) as caught:
        feed(conn, wire)
    return caught.value.reason
