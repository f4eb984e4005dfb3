"""Greeting, READY and metadata."""

from __future__ import annotations

import pytest

from hypersocket import _errors
from hypersocket._reasons import Reason
from hypersocket.zmtp import COMPATIBLE, Connection, HandshakeSucceeded, Limits, Metadata, State
from hypersocket.zmtp.greeting import encode_greeting
from hypersocket.zmtp.metadata import encode_metadata, parse_metadata

from .peers import (
    GREETING_3_0,
    GREETING_3_1,
    MATCH,
    TIGHT,
    command,
    connection,
    feed,
    frame,
    handshake,
    join,
    prop,
    ready,
)


def refuses(conn: Connection, *pieces: bytes) -> Reason:
    """Whole and byte by byte, the connection refuses for the same reason."""
    with pytest.raises(_errors.HandshakeError) as caught:
        feed(conn, *pieces)
    assert conn.state is State.FAILED
    with pytest.raises(_errors.HandshakeError) as later:
        conn.next_events()
    assert later.value is caught.value
    return caught.value.reason


class TestGreeting:
    def test_ours_is_sent_whole_at_once(self) -> None:
        assert connection().data_to_send() == GREETING_3_1
        assert connection().peer is None

    def test_mechanism_names(self) -> None:
        for name in ("", "x" * 21):
            with pytest.raises(ValueError, match="1 to 20"):
                encode_greeting(name, False)

    def test_libzmq_sends_its_in_three_parts(self) -> None:
        # Recorded from libzmq 4.3.5, a DEALER with the identity "me".
        conn = connection("ROUTER")
        pieces = (
            bytes.fromhex("ff00000000000000037f"),
            b"\x03",
            b"\x01NULL" + bytes(48),
            b"\x04+\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x02me",
        )
        (succeeded,) = feed(conn, *pieces)
        assert isinstance(succeeded, HandshakeSucceeded)
        assert succeeded.peer.routing_id == b"me"
        assert succeeded.peer.version == (3, 1)

    @pytest.mark.parametrize("version", [(3, 0), (3, 1), (3, 200), (4, 0), (255, 255)], ids=str)
    def test_later_versions_are_accepted(self, version: tuple[int, int]) -> None:
        conn = connection()
        greeting = GREETING_3_1[:10] + bytes(version) + GREETING_3_1[12:]
        feed(conn, handshake("PULL", greeting))
        assert conn.peer is not None
        assert conn.peer.version == version

    def test_padding_and_filler_mean_nothing(self) -> None:
        greeting = b"\xff" + b"\xaa" * 8 + b"\x01" + GREETING_3_1[10:32] + b"\xee" * 32
        assert len(feed(connection(), handshake("PULL", greeting))) == 1

    @pytest.mark.parametrize(
        ("start", "reason"),
        [
            (b"\x01", Reason.BAD_GREETING),  # ZMTP 1.0, an anonymous peer
            (b"G", Reason.BAD_GREETING),
            (b"\xff" + bytes(7) + b"\x01\x00", Reason.VERSION_TOO_OLD),  # ZMTP 1.0, long form
            (b"\xff" + bytes(8) + b"\x7f\x00", Reason.VERSION_TOO_OLD),
            (b"\xff" + bytes(7) + b"\x01\x7f\x01\x05", Reason.VERSION_TOO_OLD),  # ZMTP 2.0
            (b"\xff" + bytes(8) + b"\x7f\x02", Reason.VERSION_TOO_OLD),
        ],
    )
    def test_too_old_is_refused_as_soon_as_it_shows(self, start: bytes, reason: Reason) -> None:
        assert refuses(connection(), start) is reason
        assert refuses(connection(), *(bytes((octet,)) for octet in start)) is reason

    @pytest.mark.parametrize("name", [b"PLAIN", b"CURVE", b"NULLX", b"NUL", b"null", b"", b"A\nB"])
    def test_another_mechanism(self, name: bytes) -> None:
        conn = connection()
        greeting = GREETING_3_1[:12] + name.ljust(20, b"\0") + GREETING_3_1[32:]
        assert refuses(conn, greeting) is Reason.MECHANISM_MISMATCH
        assert "\n" not in str(conn._error)


class TestNull:
    @pytest.mark.parametrize("ours", COMPATIBLE)
    def test_types(self, ours: str) -> None:
        for theirs in [*COMPATIBLE, "STREAM", "", "push"]:
            one = connection(ours)
            wire = GREETING_3_1 + ready(theirs)
            if theirs in COMPATIBLE[ours]:
                (succeeded,) = feed(one, wire)
                assert isinstance(succeeded, HandshakeSucceeded)
                assert succeeded.peer.socket_type == theirs
                assert one.state is State.TRAFFIC
            else:
                assert refuses(one, wire) is Reason.INCOMPATIBLE_TYPE

    def test_compatibility_is_mutual(self) -> None:
        for ours, all_theirs in COMPATIBLE.items():
            for theirs in all_theirs:
                assert ours in COMPATIBLE[theirs]

    def test_two_of_us(self) -> None:
        extra = {"X-Site": b"oslo"}
        one = Connection("REQ", as_server=False, now=0.0, routing_id=b"r", metadata=extra)
        two = Connection("ROUTER", as_server=True, now=0.0)
        (first,), (second,) = join(one, two)
        assert isinstance(first, HandshakeSucceeded)
        assert isinstance(second, HandshakeSucceeded)
        assert first.peer.socket_type == "ROUTER"
        assert second.peer == two.peer
        assert second.peer.routing_id == b"r"
        assert second.peer.mechanism == "NULL"
        assert second.peer.metadata["x-site"] == b"oslo"

    def test_ready_is_sent_without_waiting_for_the_peers(self) -> None:
        conn = connection("DEALER", routing_id=b"me")
        feed(conn, GREETING_3_1)
        assert conn.data_to_send() == GREETING_3_1 + ready("DEALER", prop(b"Identity", b"me"))

    def test_identity_is_sent_by_three_types_only(self) -> None:
        for ours in MATCH:
            conn = connection(ours)
            feed(conn, GREETING_3_1)
            has_it = b"Identity" in conn.data_to_send()
            assert has_it == (ours in ("REQ", "DEALER", "ROUTER"))

    def test_identity_of_other_types_is_ignored(self) -> None:
        conn = connection("PULL")
        feed(conn, handshake("PULL", GREETING_3_1, prop(b"Identity", b"\0bad")))
        assert conn.peer is not None
        assert conn.peer.routing_id == b""

    def test_property_names_in_any_case(self) -> None:
        conn = connection("ROUTER")
        body = prop(b"SOCKET-type", b"REQ") + prop(b"identity", b"i")
        feed(conn, GREETING_3_1 + command(b"READY", body))
        assert conn.peer is not None
        assert conn.peer.routing_id == b"i"
        assert set(conn.peer.metadata) == {"SOCKET-type", "identity"}

    @pytest.mark.parametrize("routing_id", [b"\0", b"\0abc", b"x" * 256], ids=len)
    def test_bad_routing_id(self, routing_id: bytes) -> None:
        conn = connection("ROUTER")
        wire = handshake("ROUTER", GREETING_3_1, prop(b"Identity", routing_id))
        assert refuses(conn, wire) is Reason.BAD_ROUTING_ID
        with pytest.raises(ValueError, match="routing id"):
            connection("DEALER", routing_id=routing_id)

    def test_refusal_is_told(self) -> None:
        conn = connection("PULL")
        conn.receive(GREETING_3_1 + ready("SUB"), 0.0)
        with pytest.raises(_errors.HandshakeError):
            conn.next_events()
        reply = conn.data_to_send()
        text = b"a PULL socket cannot talk to 'SUB'"
        assert reply.endswith(command(b"ERROR", bytes((len(text),)) + text))
        assert conn.data_to_send() == b""

    def test_our_refusal_is_understood_after_both_sent_ready(self) -> None:
        # We sent READY already, so the peer is in traffic when our ERROR arrives.
        picky = Connection("ROUTER", as_server=True, now=0.0, limits=Limits(max_metadata_size=40))
        other = Connection("DEALER", as_server=False, now=0.0, metadata={"X-Long": bytes(50)})
        with pytest.raises(_errors.HandshakeError) as refused:
            join(picky, other)
        assert refused.value.reason is Reason.METADATA_TOO_LARGE
        with pytest.raises(_errors.ProtocolError) as told:
            feed(other, picky.data_to_send(), b"")
        assert told.value.reason is Reason.REFUSED_BY_PEER

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b"\x05no\nno", "no?no"),
            (b"\x03abcdef", "abc"),
            (b"\xffabc", "abc"),
            (b"\x00", ""),
            (b"", ""),
            (b"\x02\xff\x1b", "??"),
        ],
        ids=repr,
    )
    def test_refused_by_peer(self, data: bytes, text: str) -> None:
        conn = connection()
        with pytest.raises(_errors.HandshakeError) as caught:
            feed(conn, GREETING_3_1 + command(b"ERROR", data))
        assert caught.value.reason is Reason.REFUSED_BY_PEER
        assert str(caught.value) == f"the peer refused us: {text}"
        assert b"ERROR" not in conn.data_to_send()

    @pytest.mark.parametrize(
        ("wire", "reason"),
        [
            (frame(b"message"), Reason.BAD_FRAME),
            (frame(b"\x05READY"), Reason.BAD_FRAME),
            (b"\x08", Reason.BAD_FRAME),
            (b"\x05", Reason.BAD_FRAME),
            (b"\x04\x00", Reason.BAD_COMMAND),
            (b"\x04\x01\x00", Reason.BAD_COMMAND),
            (b"\x04\x02\x02R", Reason.BAD_COMMAND),
            (command(b"HELLO"), Reason.UNEXPECTED_COMMAND),
            (command(b"READY"), Reason.BAD_METADATA),
            (command(b"READY", b"\0"), Reason.BAD_METADATA),
            (command(b"READY", b"\x0bSocket-Type\0\0\0"), Reason.BAD_METADATA),
            (command(b"READY", b"\x0bSocket-Type\0\0\0\x05PUSH"), Reason.BAD_METADATA),
            (command(b"READY", b"\x0bSocket-Type\xff\xff\xff\xffPUSH"), Reason.BAD_METADATA),
            (command(b"READY", b"\xffSocket-Type"), Reason.BAD_METADATA),
            (command(b"READY", prop(b"Socket-Typ\xff", b"PUSH")), Reason.BAD_METADATA),
            (ready("PUSH", prop(b"socket-type", b"PUSH")), Reason.BAD_METADATA),
        ],
        ids=lambda value: value.hex() if isinstance(value, bytes) else value.name,
    )
    def test_malformed(self, wire: bytes, reason: Reason) -> None:
        assert refuses(connection(), GREETING_3_1 + wire) is reason
        data = GREETING_3_1 + wire
        assert refuses(connection(), *(data[i : i + 1] for i in range(len(data)))) is reason

    def test_command_bound(self) -> None:
        conn = connection(limits=TIGHT)
        assert refuses(conn, GREETING_3_1 + b"\x04\xc9") is Reason.COMMAND_TOO_LARGE

    def test_metadata_bound(self) -> None:
        fits = ready("PUSH", prop(b"X", bytes(150 - 20 - 6)))
        assert len(feed(connection(limits=TIGHT), GREETING_3_1 + fits)) == 1
        over = ready("PUSH", prop(b"X", bytes(150 - 20 - 5)))
        assert refuses(connection(limits=TIGHT), GREETING_3_1 + over) is Reason.METADATA_TOO_LARGE

    @pytest.mark.parametrize("length", [0, 1, 10, 63, 64, 70])
    def test_peer_leaves_early(self, length: int) -> None:
        start = handshake("PULL")[:length]
        conn = connection()
        assert feed(conn, *([start] if start else [])) == []
        assert refuses(conn, b"") is Reason.CLOSED_BY_PEER

    def test_peer_of_3_0(self) -> None:
        conn = connection()
        feed(conn, handshake("PULL", GREETING_3_0))
        assert conn.peer is not None
        assert conn.peer.version == (3, 0)


class TestOurMetadata:
    def test_unknown_type(self) -> None:
        with pytest.raises(ValueError, match="unknown socket type 'pull'"):
            connection("pull")

    @pytest.mark.parametrize("name", ["socket-type", "IDENTITY"])
    def test_standard_names_are_taken(self, name: str) -> None:
        with pytest.raises(ValueError, match="set by the socket itself"):
            connection(metadata={name: b""})

    @pytest.mark.parametrize("name", ["", "x" * 256, "X-é", "X-\n"], ids=repr)
    def test_bad_names(self, name: str) -> None:
        with pytest.raises(ValueError, match="not a name"):
            connection(metadata={name: b""})

    def test_round_trip(self) -> None:
        properties = {"X-a": b"", "x" * 255: bytes(1000), "with space": b"\xff"}
        assert dict(parse_metadata(encode_metadata(properties), 10_000)) == properties

    def test_mapping(self) -> None:
        found = Metadata({"Socket-Type": b"REQ", "X-a": b"1"})
        assert found["SOCKET-TYPE"] == b"REQ"
        assert "x-A" in found
        assert "x-b" not in found
        assert not found.__contains__(7)
        assert list(found) == ["Socket-Type", "X-a"]
        assert len(found) == 2
        assert repr(found) == "Metadata({'Socket-Type': b'REQ', 'X-a': b'1'})"
        with pytest.raises(KeyError):
            found["nothing"]
