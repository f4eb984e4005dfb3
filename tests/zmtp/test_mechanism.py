"""The seam for security mechanisms, proven with a toy."""

from __future__ import annotations

import pytest

from hypersocket import _errors
from hypersocket._message import Message
from hypersocket._reasons import Reason
from hypersocket.zmtp import (
    Cancel,
    Connection,
    HandshakeSucceeded,
    Limits,
    Null,
    Progress,
    State,
    Subscribe,
)

from .mechanisms import Xor
from .peers import BEAT, encoded, feed, has_more, join, state_of


def pair(
    client_type: str = "DEALER",
    server_type: str = "ROUTER",
    *,
    ask: bool = False,
    verdict: bool = True,
    limits: Limits = Limits(),  # noqa: B008
) -> tuple[Connection, Connection]:
    client = Connection(client_type, as_server=False, now=0.0, mechanism=Xor(), routing_id=b"me")
    server = Connection(
        server_type,
        as_server=True,
        now=0.0,
        mechanism=Xor(ask=ask, verdict=verdict),
        limits=limits,
        heartbeat=BEAT,
    )
    return client, server


def test_two_steps() -> None:
    client, server = pair()
    at_client, at_server = join(client, server)
    (succeeded,) = at_server
    assert isinstance(succeeded, HandshakeSucceeded)
    assert succeeded.peer.mechanism == "XOR"
    assert succeeded.peer.routing_id == b"me"
    assert client.peer is not None
    assert client.peer.socket_type == "ROUTER"
    assert len(at_client) == 1


def test_greeting_tells_the_role() -> None:
    client, server = pair()
    assert client.data_to_send()[32] == 0
    assert server.data_to_send()[32] == 1


def test_null_has_no_role() -> None:
    assert Connection("PULL", as_server=True, now=0.0).data_to_send()[32] == 0


def test_traffic_is_wrapped() -> None:
    client, server = pair()
    join(client, server)
    sent: list[Message] = [b"", b"secret", [b"a", b"", b"c" * 300], b"x" * 100_000]
    wire = encoded(client, sent)
    assert b"secret" not in wire
    assert feed(server, wire) == sent
    assert feed(server, *(wire[i : i + 7] for i in range(0, len(wire), 7))) == sent


def test_message_frames_may_carry_wrapped_ones() -> None:
    client, server = pair()
    join(client, server)
    wire = encoded(client, [b"hi"])
    assert wire[0] == 4
    assert feed(server, b"\0" + wire[1:]) == [b"hi"]


def test_large_wrapped_bodies_are_not_joined() -> None:
    client, server = pair()
    join(client, server)
    out: list[bytes] = []
    client.encode([b"a", b"x" * 70_000, b"b"], out)
    assert len(out) == 3
    assert feed(server, *out) == [b"a", b"x" * 70_000, b"b"]


def test_limit_on_events() -> None:
    client, server = pair()
    join(client, server)
    server.receive(encoded(client, [b"1", b"2", b"3"]), 0.0)
    assert server.next_events(2) == [b"1", b"2"]
    assert has_more(server)
    assert server.next_events(2) == [b"3"]
    assert not has_more(server)


def test_commands_are_wrapped() -> None:
    sub, pub = pair("SUB", "XPUB")
    join(sub, pub)
    wire = sub.encode_subscription(b"\1topic") + sub.encode_subscription(b"\0topic")
    assert b"topic" not in wire
    assert feed(pub, wire) == [Subscribe(b"topic"), Cancel(b"topic")]


def test_heartbeats_are_wrapped() -> None:
    client, server = pair()
    join(client, server)
    server.on_timer(BEAT.interval)
    ping = server.data_to_send()
    assert ping
    assert b"PING" not in ping
    assert feed(client, ping) == []
    assert feed(server, client.data_to_send()) == []
    assert state_of(server) is State.TRAFFIC


def test_bounds_hold_inside() -> None:
    limits = Limits(max_message_size=10, max_command_size=200, max_frames=2)
    cases: list[tuple[Message, Reason]] = [
        (b"x" * 11, Reason.MESSAGE_TOO_LARGE),
        (b"x" * 300, Reason.MESSAGE_TOO_LARGE),
        ([b"x" * 6, b"y" * 5], Reason.MESSAGE_TOO_LARGE),
        ([b"", b"", b""], Reason.TOO_MANY_FRAMES),
    ]
    for message, reason in cases:
        client, server = pair(limits=limits)
        join(client, server)
        assert feed(server, encoded(client, [b"x" * 10])) == [b"x" * 10]
        with pytest.raises(_errors.ProtocolError) as caught:
            feed(server, encoded(client, [message]))
        assert caught.value.reason is reason


def test_an_outer_frame_stands_alone() -> None:
    client, server = pair()
    join(client, server)
    wire = encoded(client, [b"hi"])
    with pytest.raises(_errors.ProtocolError):
        feed(server, b"\1" + wire[1:])


def test_unwrapping_may_fail() -> None:
    client, server = pair()
    join(client, server)
    with pytest.raises(_errors.ProtocolError, match="not wrapped"):
        feed(server, b"\0\2hi")


def test_verdict_pending() -> None:
    client, server = pair(ask=True)
    at_client, at_server = join(client, server)
    assert at_client == at_server == []
    assert state_of(server) is State.PENDING
    assert not has_more(server)
    assert server.next_events() == []
    server.resume_handshake()
    assert has_more(server)
    (succeeded,) = server.next_events()
    assert isinstance(succeeded, HandshakeSucceeded)
    assert len(join(client, server)[0]) == 1


def test_verdict_no() -> None:
    client, server = pair(ask=True, verdict=False)
    join(client, server)
    server.resume_handshake()
    assert has_more(server)
    with pytest.raises(_errors.HandshakeError, match="not on the list"):
        server.next_events()
    server.resume_handshake()  # a late second verdict is of no interest
    assert state_of(server) is State.FAILED


def test_refusal_while_pending_can_be_told() -> None:
    client, server = pair(ask=True)
    join(client, server)
    reply = server.error_reply("go away\n")
    with pytest.raises(_errors.HandshakeError, match="go away") as caught:
        feed(client, reply)
    assert caught.value.reason is Reason.REFUSED_BY_PEER


def test_a_mechanism_may_keep_silent_about_refusals() -> None:
    class Silent(Null):
        def refuse(self, text: str) -> bytes:
            return b""

    conn = Connection("PULL", as_server=True, now=0.0, mechanism=Silent())
    greeting = conn.data_to_send()
    assert feed(conn, greeting) == []
    assert conn.error_reply("no") == b""


def test_peer_leaves_while_pending() -> None:
    client, server = pair(ask=True)
    join(client, server)
    server.receive(b"", 0.0)
    assert has_more(server)
    with pytest.raises(_errors.HandshakeError) as caught:
        server.next_events()
    assert caught.value.reason is Reason.CLOSED_BY_PEER


def test_what_came_while_pending_is_read_later() -> None:
    client, server = pair(ask=True)
    join(client, server)
    server.receive(b"\x04\x01\x00", 0.0)
    assert server.next_events() == []
    server.resume_handshake()
    (_,) = server.next_events()
    with pytest.raises(_errors.ProtocolError):
        server.next_events()


def test_resume_without_need() -> None:
    with pytest.raises(RuntimeError):
        Connection("PULL", as_server=True, now=0.0).resume_handshake()
    with pytest.raises(RuntimeError, match="never waits"):
        Null().resume()


def test_same_role_on_both_sides() -> None:
    one = Connection("PAIR", as_server=True, now=0.0, mechanism=Xor())
    two = Connection("PAIR", as_server=True, now=0.0, mechanism=Xor())
    with pytest.raises(_errors.HandshakeError, match="same part"):
        feed(one, two.data_to_send())


def test_a_transparent_mechanism_wraps_nothing() -> None:
    with pytest.raises(NotImplementedError):
        Null().wrap(0, b"")
    with pytest.raises(NotImplementedError):
        Null().unwrap(b"")
    assert Null().progress is Progress.CONTINUE
