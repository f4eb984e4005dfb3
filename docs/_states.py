"""The picture of a ZMTP connection's states, drawn from the table that the code walks.

A state that is new in the table has no place here yet, and fails the build until it gets one.
"""

from __future__ import annotations

from pathlib import Path

from _pictures import Arrow, Node, Picture

from hypersocket.zmtp import TRANSITIONS, State

PLACES = {
    State.GREETING: (0.0, 2.0),
    State.HANDSHAKE: (1.25, 2.0),
    State.PENDING: (1.25, 0.0),
    State.TRAFFIC: (2.5, 2.0),
    State.FAILED: (1.25, 3.5),
    State.CLOSED: (2.5, 3.5),
}


def picture() -> Picture:
    """States as boxes, steps as arrows; dashed ones, without a label, lead to failure."""
    nodes = {}
    for state, (column, row) in PLACES.items():
        final = not any(before is state for before, _ in TRANSITIONS)
        kind = "quiet" if final else "device" if state is State.PENDING else "socket"
        nodes[state.name] = Node(state.value, "", column, row, kind)
    steps: dict[tuple[State, State], list[str]] = {}
    for (before, what), after in TRANSITIONS.items():
        # What changes nothing, and the way from PENDING past a box to FAILED, are in the table.
        if before is not after and (before, after) != (State.PENDING, State.FAILED):
            steps.setdefault((before, after), []).append(what.value)
    arrows = [
        Arrow(
            before.name,
            after.name,
            label="" if after is State.FAILED else ", ".join(labels),
            lane=2 if (after, before) in steps else 0,
            dashed=after is State.FAILED,
            at=0.32 if (after, before) in steps else 0.5,
        )
        for (before, after), labels in steps.items()
    ]
    return Picture(
        "zmtp-states",
        "A connection goes from greeting to handshake to traffic; each of them may fail.",
        nodes,
        tuple(arrows),
    )


def table() -> str:
    """Every step, a row for each."""
    lines = ["| a connection in | when there is | goes to |", "| --- | --- | --- |"]
    lines += [
        f"| {before.value} | {what.value} | {after.value if after is not before else 'stays'} |"
        for (before, what), after in TRANSITIONS.items()
    ]
    return "\n".join([*lines, ""])


def write(pictures: Path, generated: Path) -> None:
    """Write the picture, and the table as Markdown."""
    pictures.mkdir(parents=True, exist_ok=True)
    generated.mkdir(parents=True, exist_ok=True)
    (pictures / "zmtp-states.svg").write_text(picture().svg(), encoding="utf-8")
    (generated / "zmtp-states.md").write_text(table(), encoding="utf-8")
