"""The state machine: every state with every input."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hypersocket import _errors
from hypersocket.zmtp import (
    TRANSITIONS,
    Connection,
    Input,
    Progress,
    State,
    render_markdown,
    render_mermaid,
)
from hypersocket.zmtp.states import step

from .mechanisms import Xor, named
from .peers import GREETING_3_1, command, connection, frame, in_traffic, ready

XOR_GREETING = GREETING_3_1.replace(b"NULL", b"XOR\0")


def handshaking(*, ask: bool = False) -> Connection:
    conn = Connection("PULL", as_server=True, now=0.0, mechanism=Xor(ask=ask))
    conn.receive(XOR_GREETING, 0.0)
    assert conn.next_events() == []
    return conn


def initiate() -> bytes:
    metadata = ready("PUSH")[2 + 6 :]
    return command(b"INITIATE", Xor._mask(metadata))


def pending() -> Connection:
    conn = handshaking(ask=True)
    conn.receive(initiate(), 0.0)
    assert conn.next_events() == []
    return conn


def closed() -> Connection:
    conn = in_traffic()
    conn.receive(b"", 0.0)
    assert conn.next_events() == []
    return conn


def failed() -> Connection:
    conn = in_traffic()
    conn.receive(b"\xff", 0.0)
    with pytest.raises(_errors.ProtocolError):
        conn.next_events()
    return conn


MAKE: dict[State, Callable[[], Connection]] = {
    State.GREETING: connection,
    State.HANDSHAKE: handshaking,
    State.PENDING: pending,
    State.TRAFFIC: in_traffic,
    State.CLOSED: closed,
    State.FAILED: failed,
}

# The bytes that make an input happen in a state, for each step of the table. VERDICT_GIVEN is a
# call, and VERDICT_NEEDED takes a mechanism that asks.
BYTES: dict[tuple[State, Input], bytes] = {
    (State.GREETING, Input.GREETED): XOR_GREETING,
    (State.GREETING, Input.PEER_CLOSED): b"",
    (State.GREETING, Input.VIOLATION): b"GET / HTTP/1.1",
    (State.HANDSHAKE, Input.COMMAND): frame(named(b"HELLO"), 4),
    (State.HANDSHAKE, Input.VERDICT_NEEDED): initiate(),
    (State.HANDSHAKE, Input.AGREED): initiate(),
    (State.HANDSHAKE, Input.PEER_CLOSED): b"",
    (State.HANDSHAKE, Input.VIOLATION): command(b"ERROR", b"\2no"),
    (State.PENDING, Input.VERDICT_GIVEN): b"",
    (State.PENDING, Input.PEER_CLOSED): b"",
    (State.TRAFFIC, Input.FRAME): frame(b"hello"),
    (State.TRAFFIC, Input.PEER_CLOSED): b"",
    (State.TRAFFIC, Input.VIOLATION): b"\xff",
}

EVERY = [(state, what) for state in State for what in Input]


def names(value: object) -> str:
    return value.name.lower() if isinstance(value, (State, Input)) else str(value)


def test_every_step_of_the_table_has_bytes() -> None:
    assert set(BYTES) == set(TRANSITIONS)
    assert set(MAKE) == set(State)


@pytest.mark.parametrize("state", State, ids=names)
def test_state_is_reached_by_bytes(state: State) -> None:
    assert MAKE[state]().state is state


@pytest.mark.parametrize(("state", "what"), EVERY, ids=names)
def test_walk(state: State, what: Input, monkeypatch: pytest.MonkeyPatch) -> None:
    if (state, what) not in TRANSITIONS:
        with pytest.raises(RuntimeError, match="cannot happen"):
            step(state, what)
        return

    taken: list[tuple[State, Input]] = []

    def spy(before: State, happened: Input) -> State:
        taken.append((before, happened))
        return step(before, happened)

    if state is State.GREETING:
        conn = Connection("PULL", as_server=True, now=0.0, mechanism=Xor())
    elif what is Input.VERDICT_NEEDED:
        conn = handshaking(ask=True)
    else:
        conn = MAKE[state]()
    assert conn.state is state
    monkeypatch.setattr("hypersocket.zmtp.connection.step", spy)
    if what is Input.VERDICT_GIVEN:
        conn.resume_handshake()
    else:
        conn.receive(BYTES[state, what], 0.0)
        try:
            conn.next_events()
        except _errors.ProtocolError:
            assert TRANSITIONS[state, what] is State.FAILED
    assert (state, what) in taken
    assert conn.state is TRANSITIONS[taken[-1]]


@pytest.mark.parametrize("state", [State.CLOSED, State.FAILED], ids=names)
def test_ends_are_final(state: State) -> None:
    conn = MAKE[state]()
    conn.receive(XOR_GREETING + frame(b"x") + command(b"PING", b"\0\0"), 1.0)
    conn.receive(b"", 1.0)
    if state is State.FAILED:
        with pytest.raises(_errors.ProtocolError):
            conn.next_events()
    else:
        assert conn.next_events() == []
    assert conn.state is state
    assert conn.data_to_send() == b""


def test_a_verdict_may_come_at_the_very_start() -> None:
    class Instant(Xor):
        def receive(self, name: bytes, data: bytes) -> list[bytes]:
            answer = super().receive(name, data)
            if self.progress is Progress.PENDING:
                return self.resume()
            return answer

    conn = Connection("PULL", as_server=True, now=0.0, mechanism=Instant(ask=True))
    conn.receive(XOR_GREETING + initiate(), 0.0)
    assert len(conn.next_events()) == 1


def test_markdown_has_every_step() -> None:
    lines = render_markdown().splitlines()
    assert len(lines) == 2 + len(State)
    assert len({line.count("|") for line in lines}) == 1
    assert sum(cell.strip() != "" for line in lines[2:] for cell in line.split("|")[2:-1]) == len(
        TRANSITIONS
    )


def test_mermaid_has_every_step() -> None:
    text = render_mermaid()
    assert text.startswith("stateDiagram-v2\n    [*] --> greeting\n")
    for (state, what), after in TRANSITIONS.items():
        assert f"    {state.value} --> {after.value}: {what.value}\n" in text
    assert text.endswith("    closed --> [*]\n    failed --> [*]\n")
