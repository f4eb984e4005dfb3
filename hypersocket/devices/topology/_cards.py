"""What is drawn of a picture: boxes, the rows in them, and what flows between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ._layers import Box
from ._links import End

Pattern: TypeAlias = Literal["request-reply", "publish-subscribe", "pipeline", "pair"]

HEADER, ROW, LINE, FOOT = 30.0, 21.0, 15.0, 8.0
NAME_SIZE, TEXT_SIZE = 14.0, 11.0
MONO, BOLD, CAPITALS, PLAIN = 0.61, 0.7, 0.77, 0.62
"""The widths of characters, of the size of the font; generous, for the reader has the font."""
LONGEST = 34
"""Characters that are shown of a name or an endpoint."""


@dataclass(slots=True, eq=False)
class Row:
    """A socket in a box.

    Attributes:
        end: which socket it is.
        title: its type, or what it is for.
        endpoints: what it is bound to.
        right: whether its wires are at the right.
        y: of its first line, from the top of the box.
    """

    end: End
    title: str
    endpoints: list[str]
    right: bool = False
    y: float = 0.0


@dataclass(slots=True, eq=False)
class Card:
    """A box with what is written in it."""

    name: str
    kind: str  # of a device; "program", or "address" for an endpoint that nobody here is bound to
    corner: str
    rows: list[Row]
    part: str | None
    label: str = ""
    count: int = 1
    box: Box = field(default_factory=lambda: Box("", 0, 0))

    def measure(self) -> None:
        """Find out how large it is, and where its rows are."""
        if self.kind == "address":
            self.box = Box(self.name, len(shown(self.name)) * TEXT_SIZE * MONO + 26, 26)
            return
        name = len(shown(self.name)) * NAME_SIZE * BOLD
        widths = [name + len(self.corner) * TEXT_SIZE * BOLD + 50]
        y = HEADER
        if self.label:
            y += LINE + 3
            widths.append(len(shown(self.label, 44)) * TEXT_SIZE * PLAIN + 24)
        for row in self.rows:
            row.y = y + ROW / 2 + 3
            lines = max(1, len(row.endpoints))
            y += ROW + (lines - 1) * LINE
            longest = max((len(shown(one)) for one in row.endpoints), default=0)
            widths.append(len(row.title) * TEXT_SIZE * CAPITALS + longest * TEXT_SIZE * MONO + 32)
        width = max(widths)
        self.box = Box(self.name, round(width), y + FOOT)


Place: TypeAlias = tuple[Card, Row | None]
Flow: TypeAlias = tuple[Place, Place, Pattern, str]
"""From where, to where, what, and over what."""


def shown(text: str, longest: int = LONGEST) -> str:
    """A text, shortened in its middle where it is too long."""
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[: longest - 1 - half]}…{text[-half:]}"
