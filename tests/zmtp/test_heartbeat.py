"""Heartbeats, with the time passed in."""

from __future__ import annotations

import math

import pytest

from hypersocket import _errors
from hypersocket._reasons import Reason
from hypersocket.zmtp import MAX_PENDING_PONGS, Connection, Heartbeat, State

from .peers import BEAT, GREETING_3_0, command, connection, feed, frame, in_traffic

PING_3_SECONDS = command(b"PING", b"\0\x1e")


def silent(conn: Connection, now: float) -> str:
    with pytest.raises(_errors.ProtocolError) as caught:
        conn.on_timer(now)
    assert caught.value.reason is Reason.HEARTBEAT_TIMEOUT
    assert not isinstance(caught.value, _errors.HandshakeError)
    return str(caught.value)


def test_no_timer_without_heartbeat() -> None:
    assert connection().deadline == math.inf
    conn = in_traffic()
    assert conn.deadline == math.inf
    conn.on_timer(1e9)
    assert conn.data_to_send() == b""


def test_no_timer_before_the_handshake() -> None:
    conn = connection(heartbeat=BEAT)
    conn.data_to_send()
    assert conn.deadline == math.inf
    conn.on_timer(1e9)
    assert conn.data_to_send() == b""


def test_ping_at_each_interval() -> None:
    conn = in_traffic(heartbeat=BEAT)
    assert conn.deadline == 10.0
    conn.on_timer(9.9)
    assert conn.data_to_send() == b""
    conn.on_timer(10.0)
    assert conn.data_to_send() == command(b"PING", b"\x01\x2c")
    assert conn.deadline == 20.0
    conn.on_timer(20.0)
    assert conn.data_to_send() == command(b"PING", b"\x01\x2c")
    assert conn.deadline == 25.0


def test_silence_after_a_ping() -> None:
    conn = in_traffic(heartbeat=BEAT)
    conn.on_timer(10.0)
    conn.on_timer(20.0)
    assert silent(conn, 25.0) == "no reply to a PING for 15 seconds"
    assert conn.state is State.FAILED
    assert conn.deadline == math.inf
    silent(conn, 26.0)


@pytest.mark.parametrize(
    "sign", [command(b"PONG"), frame(b"hello"), b"\0"], ids=["pong", "message", "part"]
)
def test_any_bytes_are_a_sign_of_life(sign: bytes) -> None:
    conn = in_traffic(heartbeat=BEAT)
    conn.on_timer(10.0)
    feed(conn, sign, now=24.0)
    conn.on_timer(25.0)
    assert conn.data_to_send()
    assert conn.deadline == 35.0


def test_timeout_is_the_interval_by_default() -> None:
    conn = in_traffic(heartbeat=Heartbeat(interval=2.0))
    conn.on_timer(2.0)
    silent(conn, 4.0)


def test_no_ping_for_a_peer_of_3_0() -> None:
    conn = in_traffic(greeting=GREETING_3_0, heartbeat=BEAT)
    assert conn.deadline == math.inf
    assert feed(conn, command(b"PING", b"\0\0hi")) == []
    assert conn.data_to_send() == command(b"PONG", b"hi")


def test_ping_is_answered_with_its_context() -> None:
    conn = in_traffic()
    assert feed(conn, command(b"PING", b"\0\0" + b"c" * 16)) == []
    assert conn.data_to_send() == command(b"PONG", b"c" * 16)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0" + b"c" * 17], ids=len)
def test_bad_ping(data: bytes) -> None:
    with pytest.raises(_errors.ProtocolError) as caught:
        feed(in_traffic(), command(b"PING", data))
    assert caught.value.reason is Reason.BAD_COMMAND


def test_bad_pong() -> None:
    with pytest.raises(_errors.ProtocolError) as caught:
        feed(in_traffic(), command(b"PONG", b"c" * 17))
    assert caught.value.reason is Reason.BAD_COMMAND


def test_time_to_live_of_the_peer() -> None:
    conn = in_traffic()
    feed(conn, PING_3_SECONDS, now=100.0)
    assert conn.deadline == 103.0
    conn.on_timer(102.9)
    assert silent(conn, 103.0) == "silent for 3 seconds, its own time to live"


def test_traffic_ends_the_time_to_live() -> None:
    conn = in_traffic()
    feed(conn, PING_3_SECONDS, now=100.0)
    feed(conn, frame(b"x"), now=102.0)
    assert conn.deadline == math.inf


def test_pause_suspends_timeouts_but_no_pings() -> None:
    conn = in_traffic(heartbeat=BEAT)
    feed(conn, command(b"PING", b"\x00\x64"), now=0.0)
    conn.data_to_send()
    conn.on_timer(9.0)
    conn.pause(9.0)
    assert conn.deadline == 10.0
    for now in (10.0, 20.0, 30.0, 40.0):
        conn.on_timer(now)
        assert conn.data_to_send() == command(b"PING", b"\x01\x2c")
    conn.resume(41.0)
    assert conn.deadline == 50.0
    conn.on_timer(50.0)
    silent(conn, 51.0)


def test_resume_gives_the_whole_timeout_anew() -> None:
    conn = in_traffic(heartbeat=BEAT)
    conn.on_timer(10.0)
    conn.pause(12.0)
    conn.resume(100.0)
    conn.on_timer(100.0)
    assert conn.deadline == 110.0
    conn.on_timer(110.0)
    silent(conn, 115.0)


def test_resume_without_pause_changes_nothing() -> None:
    conn = in_traffic(heartbeat=BEAT)
    conn.on_timer(10.0)
    conn.resume(24.0)
    silent(conn, 25.0)


def test_a_peer_that_leaves_stops_the_timers() -> None:
    conn = in_traffic(heartbeat=BEAT)
    feed(conn, b"")
    assert conn.deadline == math.inf
    conn.on_timer(1000.0)
    assert conn.data_to_send() == b""


def test_pongs_do_not_pile_up() -> None:
    conn = in_traffic()
    ping = command(b"PING", b"\0\0")
    feed(conn, ping * (MAX_PENDING_PONGS + 100))
    assert conn.data_to_send() == command(b"PONG") * MAX_PENDING_PONGS
    feed(conn, ping)
    assert conn.data_to_send() == command(b"PONG")


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval": -1.0},
        {"interval": math.nan},
        {"timeout": 0.0},
        {"timeout": -1.0},
        {"ttl": -1.0},
        {"ttl": 6553.6},
    ],
    ids=str,
)
def test_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Heartbeat(**wrong)


def test_longest_time_to_live() -> None:
    conn = in_traffic(heartbeat=Heartbeat(interval=1.0, ttl=6553.5))
    conn.on_timer(1.0)
    assert conn.data_to_send() == command(b"PING", b"\xff\xff")
