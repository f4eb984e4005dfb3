"""The states of a ZMTP connection, as a table that the code walks and the documentation draws."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a connection is; the value is what people read."""

    GREETING = "greeting"
    """Our greeting is on its way, the peer's is not complete."""
    HANDSHAKE = "handshake"
    """Both greetings agree; the mechanism's commands go to and fro."""
    PENDING = "pending"
    """The mechanism waits for a verdict that comes from elsewhere."""
    TRAFFIC = "traffic"
    """Messages and commands flow."""
    CLOSED = "closed"
    """The peer closed an agreed connection."""
    FAILED = "failed"
    """A rule was broken, by a byte or by silence."""


class Input(Enum):
    """What can happen to a connection; the value is what people read."""

    GREETED = "greeting accepted"
    COMMAND = "handshake command"
    VERDICT_NEEDED = "verdict needed"
    VERDICT_GIVEN = "verdict given"
    AGREED = "handshake complete"
    FRAME = "message or command"
    PEER_CLOSED = "closed by peer"
    VIOLATION = "violation or refusal"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.GREETING, Input.GREETED): State.HANDSHAKE,
    (State.GREETING, Input.PEER_CLOSED): State.FAILED,
    (State.GREETING, Input.VIOLATION): State.FAILED,
    (State.HANDSHAKE, Input.COMMAND): State.HANDSHAKE,
    (State.HANDSHAKE, Input.VERDICT_NEEDED): State.PENDING,
    (State.HANDSHAKE, Input.AGREED): State.TRAFFIC,
    (State.HANDSHAKE, Input.PEER_CLOSED): State.FAILED,
    (State.HANDSHAKE, Input.VIOLATION): State.FAILED,
    (State.PENDING, Input.VERDICT_GIVEN): State.HANDSHAKE,
    (State.PENDING, Input.PEER_CLOSED): State.FAILED,
    (State.TRAFFIC, Input.FRAME): State.TRAFFIC,
    (State.TRAFFIC, Input.PEER_CLOSED): State.CLOSED,
    (State.TRAFFIC, Input.VIOLATION): State.FAILED,
}
"""Every step that a connection can take. What is not here cannot happen."""


def step(state: State, what: Input) -> State:
    """The state after ``what`` happened in ``state``.

    Raises:
        RuntimeError: the table has no such step, which is an error of the caller and never of
            the peer.
    """
    try:
        return TRANSITIONS[state, what]
    except KeyError:
        raise RuntimeError(f"{what.value!r} cannot happen in state {state.value!r}") from None


def render_markdown() -> str:
    """The table as Markdown: a row for each state, a column for each input."""
    lines = [
        "| state | " + " | ".join(what.value for what in Input) + " |",
        "| --- |" + " --- |" * len(Input),
    ]
    for state in State:
        cells = (TRANSITIONS.get((state, what)) for what in Input)
        lines.append(f"| {state.value} | " + " | ".join(c.value if c else "" for c in cells) + " |")
    return "\n".join(lines) + "\n"


def render_mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.GREETING.value}"]
    for (state, what), after in TRANSITIONS.items():
        lines.append(f"    {state.value} --> {after.value}: {what.value}")
    lines += [f"    {final.value} --> [*]" for final in (State.CLOSED, State.FAILED)]
    return "\n".join(lines) + "\n"
