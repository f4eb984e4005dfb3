"""Draws the pictures of the documentation from short descriptions.

A picture is boxes on a grid and arrows between them. Colours carry no meaning that the words do not
carry too, and every one is readable on a light and on a dark page, because a picture cannot know
which of the two its reader has chosen.

    python docs/_pictures.py docs/pictures
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

BOX_WIDTH, BOX_HEIGHT = 146.0, 60.0
COLUMN, ROW = 272.0, 88.0
MARGIN = 14.0
LANE = 15.0  # how far apart the two arrows of a pair run
GAP = 5.0  # between an arrow's end and the box it points to
LABEL_HEIGHT = 21.0

FILL = {"socket": "#2f6db5", "device": "#7a4fb0", "quiet": "#5d6b7c"}
LINE = "#7d8996"
PILL, PILL_EDGE, PILL_TEXT = "#eef2f7", "#c3ccd8", "#253041"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Node:
    """A box: the socket type in bold, what it is for beneath, at a place on the grid."""

    label: str
    caption: str
    column: float
    row: float
    kind: str = "socket"

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the box."""
        return (
            MARGIN + BOX_WIDTH / 2 + self.column * COLUMN,
            MARGIN + BOX_HEIGHT / 2 + self.row * ROW,
        )


@dataclass(frozen=True)
class Arrow:
    """What flows from one box to another; dashed for what steers, not carries, messages.

    Arrows of a pair keep apart by their lane: 1 runs to the left of its own direction, 0 in the
    middle. A label sits ``at`` a fraction of the way.
    """

    source: str
    target: str
    label: str = ""
    lane: int = 0
    dashed: bool = False
    both_ways: bool = False
    at: float = 0.5


@dataclass(frozen=True)
class Picture:
    """A name for the file, a sentence for those who do not see it, and what is to be seen."""

    name: str
    sentence: str
    nodes: dict[str, Node]
    arrows: tuple[Arrow, ...]

    def svg(self) -> str:
        """The whole file."""
        width = 2 * MARGIN + BOX_WIDTH + COLUMN * max(n.column for n in self.nodes.values())
        height = 2 * MARGIN + BOX_HEIGHT + ROW * max(n.row for n in self.nodes.values())
        title = escape(self.name.replace("-", " ").capitalize())
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
                f' width="{width:g}" height="{height:g}" role="img" font-family="{FONT}">'
            ),
            f"<title>{title}</title>",
            f"<desc>{escape(self.sentence)}</desc>",
        ]
        lines = [(arrow, *self._line(arrow)) for arrow in self.arrows]
        parts += [_draw_arrow(arrow, start, end) for arrow, start, end in lines]
        parts += [_draw_node(node) for node in self.nodes.values()]
        parts += [_draw_label(arrow, start, end) for arrow, start, end in lines if arrow.label]
        return "\n".join([*parts, "</svg>", ""])

    def _line(self, arrow: Arrow) -> tuple[tuple[float, float], tuple[float, float]]:
        """Where an arrow starts and ends: on the line of the centres, from border to border."""
        start, end = self.nodes[arrow.source].centre, self.nodes[arrow.target].centre
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy)
        ux, uy = dx / length, dy / length
        shift = (uy * LANE * arrow.lane, -ux * LANE * arrow.lane)
        first = _out_of_box(ux, uy, shift) + GAP
        last = _out_of_box(-ux, -uy, shift) + GAP
        return (
            (start[0] + shift[0] + ux * first, start[1] + shift[1] + uy * first),
            (end[0] + shift[0] - ux * last, end[1] + shift[1] - uy * last),
        )


def _out_of_box(ux: float, uy: float, shift: tuple[float, float]) -> float:
    """How far to go from a box's centre, shifted, along a direction until the border is met."""
    across = (math.copysign(BOX_WIDTH / 2, ux) - shift[0]) / ux if ux else math.inf
    down = (math.copysign(BOX_HEIGHT / 2, uy) - shift[1]) / uy if uy else math.inf
    return min(across, down)


def _draw_node(node: Node) -> str:
    x, y = node.centre
    label_y, caption = (y - 4, node.caption) if node.caption else (y + 5, "")
    drawn = [
        (
            f'<rect x="{x - BOX_WIDTH / 2:g}" y="{y - BOX_HEIGHT / 2:g}" width="{BOX_WIDTH:g}"'
            f' height="{BOX_HEIGHT:g}" rx="10" fill="{FILL[node.kind]}"/>'
        ),
        (
            f'<text x="{x:g}" y="{label_y:g}" text-anchor="middle" font-size="16" font-weight="700"'
            f' letter-spacing="0.6" fill="#ffffff">{escape(node.label)}</text>'
        ),
    ]
    if caption:
        drawn.append(
            f'<text x="{x:g}" y="{y + 16:g}" text-anchor="middle" font-size="13"'
            f' fill="#ffffff">{escape(caption)}</text>'
        )
    return "\n".join(drawn)


def _draw_arrow(arrow: Arrow, start: tuple[float, float], end: tuple[float, float]) -> str:
    dash = ' stroke-dasharray="6 5"' if arrow.dashed else ""
    heads = [_head(start, end)]
    if arrow.both_ways:
        heads.append(_head(end, start))
    return "\n".join(
        [
            (
                f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
                f' stroke="{LINE}" stroke-width="2.5"{dash}/>'
            ),
            *heads,
        ]
    )


def _head(start: tuple[float, float], end: tuple[float, float], size: float = 10.0) -> str:
    """A filled triangle whose tip is the end of the line."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    corners = [end] + [
        (end[0] - size * math.cos(angle + turn), end[1] - size * math.sin(angle + turn))
        for turn in (0.45, -0.45)
    ]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return f'<polygon points="{points}" fill="{LINE}" stroke="{LINE}" stroke-width="1.5"/>'


def _draw_label(arrow: Arrow, start: tuple[float, float], end: tuple[float, float]) -> str:
    x = start[0] + (end[0] - start[0]) * arrow.at
    y = start[1] + (end[1] - start[1]) * arrow.at
    width = 7.2 * len(arrow.label) + 18  # generous: the font is the reader's own
    return (
        f'<rect x="{x - width / 2:.1f}" y="{y - LABEL_HEIGHT / 2:.1f}" width="{width:.1f}"'
        f' height="{LABEL_HEIGHT:g}" rx="{LABEL_HEIGHT / 2:g}" fill="{PILL}"'
        f' stroke="{PILL_EDGE}"/>\n'
        f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" font-size="12.5"'
        f' fill="{PILL_TEXT}">{escape(arrow.label)}</text>'
    )


PICTURES = (
    Picture(
        "request-reply",
        "A REQ socket sends a request to a REP socket, which sends back one reply.",
        {"req": Node("REQ", "client", 0, 0), "rep": Node("REP", "server", 1, 0)},
        (
            Arrow("req", "rep", "1 request", lane=1),
            Arrow("rep", "req", "2 reply", lane=1),
        ),
    ),
    Picture(
        "publish-subscribe",
        "SUB sockets send subscriptions to a PUB socket, which sends each message to those SUB"
        " sockets that hold a matching prefix.",
        {
            "pub": Node("PUB", "publisher", 0, 1),
            "a": Node("SUB", "weather", 1.35, 0),
            "b": Node("SUB", "everything", 1.35, 1),
            "c": Node("SUB", "sport", 1.35, 2),
        },
        (
            Arrow("pub", "a", "weather, rain", at=0.6),
            Arrow("pub", "b", "weather, rain", lane=1),
            Arrow("b", "pub", "subscribe", lane=1, dashed=True),
            Arrow("c", "pub", "subscribe", dashed=True, at=0.4),
        ),
    ),
    Picture(
        "pipeline",
        "A PUSH socket deals messages out to PULL sockets in turn; the workers behind them push"
        " their results to one PULL socket that collects.",
        {
            "source": Node("PUSH", "source", 0, 0.5),
            "one": Node("PULL → PUSH", "worker", 1, 0),
            "two": Node("PULL → PUSH", "worker", 1, 1),
            "sink": Node("PULL", "sink", 2, 0.5),
        },
        (
            Arrow("source", "one", "1, 3, 5 …"),
            Arrow("source", "two", "2, 4, 6 …"),
            Arrow("one", "sink"),
            Arrow("two", "sink"),
        ),
    ),
    Picture(
        "pair",
        "Two PAIR sockets, connected to each other alone, send in both directions at any time.",
        {"a": Node("PAIR", "one side", 0, 0), "b": Node("PAIR", "other side", 1, 0)},
        (Arrow("a", "b", "messages", both_ways=True),),
    ),
    Picture(
        "router-dealer",
        "DEALER sockets send to a ROUTER socket at any time; the ROUTER puts the sender's routing"
        " id before each message, and sends by routing id.",
        {
            "a": Node("DEALER", "routing id A", 0, 0),
            "b": Node("DEALER", "routing id B", 0, 1.2),
            "router": Node("ROUTER", "server", 1.6, 0.6),
        },
        (
            Arrow("a", "router", "job", at=0.22),
            Arrow("router", "a", "A, job", at=0.24),
            Arrow("b", "router", "answer", at=0.22),
            Arrow("router", "b", "B, answer", at=0.24),
        ),
    ),
    Picture(
        "queue",
        "REQ sockets of clients send requests to a device's ROUTER; its DEALER deals them to the"
        " REP sockets of workers, and the replies go back the same way.",
        {
            "a": Node("REQ", "client", 0, 0),
            "b": Node("REQ", "client", 0, 1),
            "queue": Node("ROUTER → DEALER", "queue", 1, 0.5, "device"),
            "one": Node("REP", "worker", 2, 0),
            "two": Node("REP", "worker", 2, 1),
        },
        (
            Arrow("a", "queue", both_ways=True),
            Arrow("b", "queue", both_ways=True),
            Arrow("queue", "one", both_ways=True),
            Arrow("queue", "two", both_ways=True),
        ),
    ),
)


def write_all(directory: Path) -> list[Path]:
    """Write every picture that is not there yet, or has changed, and return all their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for picture in PICTURES:
        path, svg = directory / f"{picture.name}.svg", picture.svg()
        if not path.exists() or path.read_text(encoding="utf-8") != svg:
            path.write_text(svg, encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    for written_path in write_all(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")):
        print(written_path)
