"""The live screen of ``hypersocket top``: what of the table is shown, and the keys."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime

import trio
from rich.console import Console, Group, RenderableType
from rich.text import Text

from ._top_routes import route_rows, route_table
from ._top_rows import LEVELS, Level, event_line, heading, rows, table, troubles
from ._top_watch import Watch

_KEYS = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"k": "up",
    b"\x1b[B": "down", b"\x1bOB": "down", b"j": "down",
    b"\x1b[5~": "page up", b"b": "page up",
    b"\x1b[6~": "page down", b" ": "page down",
    b"\x1b[H": "home", b"\x1b[1~": "home", b"g": "home",
    b"\x1b[F": "end", b"\x1b[4~": "end", b"G": "end",
    b"q": "quit", b"Q": "quit", b"\x04": "quit",
    **{level[0].encode(): level for level in LEVELS},
}  # fmt: skip

_SEQUENCES = re.compile(rb"\x1b[\[O][0-9;]*[@-~]|.", re.DOTALL)
"""One key: an escape sequence as ECMA-48 has them, or a byte."""

HELP = (
    "q quit",
    "d devices",
    "s sockets",
    "p peers",
    "r routes",
    "e events",
    "up down page home end",
)


class Screen:
    """What is looked at.

    Args:
        watch: what is known.
        level: down to which level; None for sockets, if all of them fit.
    """

    def __init__(self, watch: Watch, level: Level | None = None) -> None:
        self._watch = watch
        self._level: Level | None = level
        self._top = 0  # the first row that is shown
        self._page = 1

    def key(self, name: str) -> bool:
        """Do what a key asks for; False for the end."""
        if name == "quit":
            return False
        chosen: list[Level] = [level for level in LEVELS if level == name]
        if chosen:
            self._level, self._top = chosen[0], 0
        moves = {"up": -1, "down": 1, "page up": -self._page, "page down": self._page}
        self._top += moves.get(name, 0)
        if name in {"home", "end"}:
            self._top = 0 if name == "home" else sys.maxsize
        return True

    def render(self, console: Console, now: float) -> RenderableType:
        """The whole screen."""
        width, height = console.size
        self._watch.forget(now)
        when = datetime.now().astimezone().strftime("%H:%M:%S")
        head = heading(self._watch, width, when)
        room = max(height - 3, 1)  # but the heading, the table's, and the keys
        if self._level == "events":
            return self._render_events(head, width, room + 1)
        if self._level == "routes":
            return self._render_routes(head, width, room)
        trouble = troubles(self._watch)[: room // 2]
        room -= len(trouble)
        found = rows(self._watch, self._level or "sockets", now)
        if self._level is None and len(found) > room:
            found = rows(self._watch, "devices", now)
        first, last = self._window(len(found), room)
        parts: list[RenderableType] = [head, *trouble, table(found[first:last], width)]
        spare = room - (last - first)
        if spare >= 4 and self._watch.events:
            parts += self._latest(width, spare)
        else:
            parts += [Text("")] * spare
        parts.append(_foot(width, first, last, len(found)))
        return Group(*parts)

    def _render_events(self, head: Text, width: int, room: int) -> RenderableType:
        lines = [event_line(report) for report in reversed(self._watch.events)]
        first, last = self._window(len(lines), room)
        shown: list[RenderableType] = [*lines[first:last]]
        if not lines:
            shown = [Text("nothing has happened since", style="dim", no_wrap=True)]
        blank = [Text("")] * (room - len(shown))
        return Group(head, *shown, *blank, _foot(width, first, last, len(lines)))

    def _render_routes(self, head: Text, width: int, room: int) -> RenderableType:
        found = route_rows(self._watch)
        first, last = self._window(len(found), room // 2)  # a row may have a line below it
        parts: list[RenderableType] = [head, route_table(found[first:last], width)]
        if not found:
            parts.append(Text("there is no gateway", style="dim", no_wrap=True))
        return Group(*parts, _foot(width, first, last, len(found)))

    def _latest(self, width: int, spare: int) -> Iterator[RenderableType]:
        latest = list(self._watch.events)[-(spare - 2) :]
        yield Text("")
        yield Text("LATEST EVENTS".ljust(width), style="bold reverse", no_wrap=True)
        yield from (event_line(report) for report in reversed(latest))
        yield from [Text("")] * (spare - 2 - len(latest))

    def _window(self, count: int, room: int) -> tuple[int, int]:
        self._page = max(room - 1, 1)
        self._top = max(0, min(self._top, count - room))
        return self._top, min(self._top + room, count)


def _foot(width: int, first: int, last: int, count: int) -> Text:
    place = f"{first + 1}-{last} of {count}" if last - first < count else ""
    shown = list(HELP)
    while len(shown) > 1 and len("   ".join(shown)) + len(place) + 2 > width:
        shown.pop()
    text = "   ".join(shown).ljust(width - len(place)) + place
    return Text(text, style="reverse", no_wrap=True)


@contextmanager
def reading_keys() -> Generator[int | None, None, None]:
    """Let keys be read one by one; gives the descriptor to read, None where there is none."""
    try:
        import termios
        import tty
    except ModuleNotFoundError:  # not POSIX
        yield None
        return
    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (OSError, ValueError, AttributeError, termios.error):  # not a terminal
        yield None
        return
    tty.setcbreak(descriptor)
    try:
        yield descriptor
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


async def keys(descriptor: int) -> AsyncIterator[str]:
    """The names of the keys that are pressed, until there is no more to read."""
    while True:
        await trio.lowlevel.wait_readable(descriptor)
        pressed = os.read(descriptor, 64)
        if not pressed:
            return
        for name in split_keys(pressed):
            yield name


def split_keys(pressed: bytes) -> Iterator[str]:
    """Name each key in what was read at once; those that mean nothing are passed over."""
    for sequence in _SEQUENCES.findall(pressed):
        if sequence in _KEYS:
            yield _KEYS[sequence]
