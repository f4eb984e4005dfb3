"""The engine against proton as a server in this process: no sockets, no clocks."""

from __future__ import annotations

from typing import Any

import proton
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypersocket.amqp import (
    ConnectionLost,
    Result,
)
from hypersocket.amqp.v10 import (
    Ended,
    Settled,
)
from hypersocket.amqp.v10 import _codec as codec

from .engines import engine_of, only, opened, publications, receiver, sender
from .peer import Peer, pump


def test_opening_tells_who_the_peer_is() -> None:
    peer = Peer(properties={"product": "RabbitMQ", "version": "3.9"}, offered=("A", "B"))
    engine = opened(peer, hostname="vhost:x")
    assert engine.properties["product"] == "RabbitMQ"
    assert engine.capabilities == {"A", "B"}
    assert engine.quirks.text_ids
    assert peer.connection.remote_container == "us"
    assert peer.connection.remote_hostname == "vhost:x"
    assert peer.connection.remote_properties["product"] == "hypersocket"


def sasl_frame(code: int, *fields: bytes) -> bytes:
    """A SASL frame (5.3) of a peer that is written by hand: proton's server knows no PLAIN."""
    performative = bytes((0, 0x53, code)) + codec.encode_list(list(fields))
    return (8 + len(performative)).to_bytes(4, "big") + b"\x02\x01\x00\x00" + performative


SASL_HEADER = b"AMQP\x03\x01\x00\x00"


def test_a_login_without_a_name() -> None:
    peer = Peer(mechanisms="ANONYMOUS EXTERNAL")
    opened(peer, sasl="ANONYMOUS", username="me", password="secret")
    assert peer.transport.sasl().mech == "ANONYMOUS"


def test_a_login_by_plain_sends_name_and_password_once_they_are_asked_for() -> None:
    engine = engine_of(sasl="PLAIN", username="me", password="secret")
    first = engine.data_to_send()
    assert b"secret" not in first
    mechanisms = codec.encode_symbol("PLAIN")
    engine.receive(SASL_HEADER + sasl_frame(0x40, mechanisms), 1.0)
    assert b"PLAIN" in (second := engine.data_to_send())
    assert b"\x00me\x00secret" in second
    engine.receive(sasl_frame(0x44, b"\x50\x00"), 1.0)
    assert engine.data_to_send().startswith(b"AMQP\x00\x01\x00\x00")
    assert engine.events() == []


@pytest.mark.parametrize(("code", "temporary"), [(1, False), (2, False), (3, False), (4, True)])
def test_a_refused_login_names_mechanism_and_user(code: int, temporary: bool) -> None:
    engine = engine_of(sasl="PLAIN", username="me", password="secret")
    mechanisms = codec.encode_symbol("PLAIN")
    engine.data_to_send()
    engine.receive(SASL_HEADER + sasl_frame(0x40, mechanisms), 1.0)
    engine.data_to_send()
    engine.receive(sasl_frame(0x44, bytes((0x50, code))), 1.0)
    engine.data_to_send()
    engine.end_of_input()
    error = only(engine, Ended).error
    assert "refused the login by PLAIN as 'me'" in str(error)
    assert "secret" not in str(error)
    assert error.temporary is temporary


def test_there_is_no_falling_back_to_another_mechanism() -> None:
    engine = engine_of(sasl="PLAIN", username="me", password="secret")
    pump(engine, Peer(mechanisms="ANONYMOUS"))
    error = only(engine, Ended).error
    assert "login by PLAIN" in str(error)
    assert "secret" not in str(error)
    assert not error.temporary


def test_closing_is_answered() -> None:
    peer = Peer()
    engine = opened(peer)
    link = sender(engine, peer)
    engine.close()
    pump(engine, peer)
    assert "closed by this side" in str(only(engine, Ended).error)
    assert not link.attached
    assert engine.output_ended


@pytest.mark.parametrize(
    ("condition", "temporary"),
    [
        ("amqp:connection:forced", True),
        ("amqp:internal-error", True),
        ("amqp:resource-limit-exceeded", True),
        ("amqp:unauthorized-access", False),
        ("amqp:not-found", False),
        ("amqp:not-allowed", False),
    ],
)
def test_a_close_by_the_peer_ends_all_with_its_words(condition: str, temporary: bool) -> None:
    peer = Peer()
    peer.on_delivery = lambda delivery: None
    engine = opened(peer)
    one, other = sender(engine, peer), receiver(engine, peer)
    one.send(publications(2))
    pump(engine, peer)
    peer.connection.condition = proton.Condition(condition, "for maintenance")
    peer.connection.close()
    pump(engine, peer)
    events = engine.events()
    error = events[-1].error  # type: ignore[union-attr]
    assert isinstance(error, ConnectionLost)
    assert str(error) == f"peer closed the connection: {condition}: for maintenance"
    assert (error.condition, error.temporary) == (condition, temporary)
    assert one.lost is error
    assert other.lost is error
    settled = [event for event in events if isinstance(event, Settled)]
    assert [(len(one.publications), one.outcome.result) for one in settled] == [(2, Result.UNKNOWN)]
    with pytest.raises(ConnectionLost, match="maintenance"):
        engine.open_sender("node")
    assert engine.output_ended


def test_the_end_of_input_is_told_once_and_may_be_temporary() -> None:
    peer = Peer()
    engine = opened(peer)
    engine.end_of_input("Connection reset by peer")
    error = only(engine, Ended).error
    assert str(error) == "peer ended the connection without a word: Connection reset by peer"
    assert error.temporary
    engine.end_of_input()
    engine.receive(b"more", 2.0)
    assert engine.events() == []


def test_the_end_before_the_login_was_answered_says_so() -> None:
    engine = engine_of(sasl="PLAIN", username="me", password="secret")
    engine.data_to_send()
    engine.end_of_input()
    error = only(engine, Ended).error
    assert "before it was open (login by PLAIN)" in str(error)
    assert error.temporary


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad\r\n\r\n", b"AMQP\x00\x00\x09\x01"])
def test_a_peer_that_speaks_something_else_is_not_tried_again(garbage: bytes) -> None:
    engine = engine_of()
    engine.data_to_send()
    engine.receive(garbage, 1.0)
    error = only(engine, Ended).error
    assert error.condition == "amqp:connection:framing-error"
    assert not error.temporary


@given(st.binary(max_size=300), st.booleans())
def test_garbage_ends_the_connection_at_worst(garbage: bytes, framed: bool) -> None:
    peer = Peer()
    engine = opened(peer)
    link = receiver(engine, peer)
    if framed:
        garbage = (8 + len(garbage)).to_bytes(4, "big") + b"\x02\x00\x00\x01" + garbage
    engine.receive(garbage, 2.0)
    engine.end_of_input()
    assert str(only(engine, Ended).error)
    assert not link.attached


def test_a_session_that_is_refused_ends_the_connection() -> None:
    peer = Peer()
    engine = engine_of()
    work = peer._on

    def refuse(event: Any) -> None:
        if event.type == proton.Event.SESSION_REMOTE_OPEN:
            event.session.open()
            peer.connection.condition = proton.Condition("amqp:unauthorized-access", "no vhost")
            peer.connection.close()
        else:
            work(event)

    peer._on = refuse  # type: ignore[method-assign]
    pump(engine, peer)
    events = engine.events()
    error = events[-1].error  # type: ignore[union-attr]
    assert "no vhost" in str(error)
    assert not error.temporary  # type: ignore[union-attr]


def test_a_silent_peer_is_found_dead() -> None:
    peer = Peer()
    engine = opened(peer, idle_timeout=4.0)
    deadline = engine.tick(1.0)
    assert deadline is not None
    assert deadline <= 5.0
    engine.tick(5.5)
    error = only(engine, Ended).error
    assert "idle" in str(error)
    assert error.temporary


def test_an_idle_connection_is_kept_alive() -> None:
    peer = Peer(idle_timeout=10.0)  # announced as 5 s
    engine = opened(peer)
    now, frames = 1.0, 0
    for _ in range(6):
        deadline = engine.tick(now)
        assert deadline is not None
        now = deadline
        engine.tick(now)
        frames += bool(engine.data_to_send())
    assert frames >= 5
    assert now <= 31.0


def test_no_time_outs_need_no_time() -> None:
    assert opened(Peer()).tick(1.0) is None


def test_the_password_is_nowhere_to_be_seen(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PN_TRACE_FRM", "1")  # the engine would show the login's frames
    engine = engine_of(sasl="PLAIN", username="me", password="sesame")
    engine.data_to_send()
    engine.receive(SASL_HEADER + sasl_frame(0x40, codec.encode_symbol("PLAIN")), 1.0)
    assert b"sesame" in engine.data_to_send()
    assert "sesame" not in repr(vars(engine))
    seen = capfd.readouterr()
    assert "sesame" not in seen.out + seen.err
