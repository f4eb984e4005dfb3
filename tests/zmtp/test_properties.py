"""What holds for any bytes at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hypersocket import _errors
from hypersocket._message import Message
from hypersocket.zmtp import COMPATIBLE, Connection, Event, Heartbeat, Limits, State

from .peers import (
    GREETING_3_0,
    GREETING_3_1,
    MATCH,
    TIGHT,
    command,
    encoded,
    feed,
    frame,
    handshake,
    in_traffic,
)

bits = st.sampled_from(
    [
        GREETING_3_1,
        GREETING_3_0,
        frame(b"a"),
        frame(b"a", 1),
        frame(b"\1topic"),
        frame(b"x" * 400),
        frame(b"x" * 9000),
        command(b"PING", b"\0\1ctx"),
        command(b"PONG"),
        command(b"SUBSCRIBE", b"t"),
        command(b"CANCEL", b"t" * 30),
        command(b"READY"),
        command(b"ERROR", b"\1n"),
        command(b"NEWS"),
        *(handshake(ours)[64:] for ours in MATCH),
    ]
)
wires = st.lists(st.one_of(bits, st.binary(max_size=12)), max_size=8).map(b"".join)
types = st.sampled_from(sorted(MATCH))

Outcome = tuple[list[Event], object, bytes, State]


def play(ours: str, pieces: list[bytes], at_once: int, tight: bool) -> Outcome:
    limits = TIGHT if tight else Limits()
    heartbeat = Heartbeat(interval=1.0)
    conn = Connection(ours, as_server=True, now=0.0, heartbeat=heartbeat, limits=limits)
    events: list[Event] = []
    end: object = None
    sent = b""
    try:
        for piece in [*pieces, b""]:
            conn.receive(piece, 0.0)
            while conn.has_pending_input:
                new = conn.next_events(at_once)
                assert len(new) <= at_once
                events += new
                sent += conn.data_to_send()
    except _errors.ProtocolError as error:
        end = type(error), error.reason, str(error)
        sent += conn.data_to_send()
    assert conn.state in (State.CLOSED, State.FAILED)
    return events, end, sent, conn.state


def split(data: bytes, places: list[int]) -> list[bytes]:
    cuts = sorted(place % (len(data) + 1) for place in places)
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


@given(types, wires, st.lists(st.integers(0, 1 << 20), max_size=5), st.booleans())
def test_however_split_from_the_start(
    ours: str, wire: bytes, places: list[int], tight: bool
) -> None:
    whole = play(ours, split(wire, []), 1 << 30, tight)
    assert play(ours, [wire[i : i + 1] for i in range(len(wire))], 1, tight) == whole
    assert play(ours, split(wire, places), 2, tight) == whole


@given(types, wires, st.lists(st.integers(0, 1 << 20), max_size=5), st.booleans())
def test_however_split_after_a_good_handshake(
    ours: str, wire: bytes, places: list[int], tight: bool
) -> None:
    wire = handshake(ours) + wire
    whole = play(ours, split(wire, []), 1 << 30, tight)
    assert whole[0]
    assert play(ours, [wire[i : i + 1] for i in range(len(wire))], 1, tight) == whole
    assert play(ours, split(wire, places), 2, tight) == whole


@given(st.binary(max_size=100), st.sampled_from(sorted(COMPATIBLE)))
def test_any_bytes(data: bytes, ours: str) -> None:
    play(ours, [data] if data else [], 1 << 30, False)
    play(ours, [GREETING_3_1 + data], 1 << 30, False)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=300), st.lists(st.binary(max_size=300), min_size=2, max_size=4)
        ),
        max_size=6,
    ),
    st.lists(st.integers(0, 1 << 20), max_size=5),
)
def test_what_was_encoded_is_decoded(messages: list[Message], places: list[int]) -> None:
    wire = encoded(in_traffic("PUSH"), messages)
    assert feed(in_traffic("PULL"), *split(wire, places)) == messages
