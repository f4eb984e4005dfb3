"""What a picture of a topology shows: boxes with rows of sockets, and wires between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias

from ._layers import Box, Layout, Wire
from ._links import End, links_of
from ._spec import SocketSpec, Topology

Pattern: TypeAlias = Literal["request-reply", "publish-subscribe", "pipeline", "pair"]

PATTERN_OF: dict[str, Pattern] = {
    **dict.fromkeys(("REQ", "REP", "DEALER", "ROUTER"), "request-reply"),
    **dict.fromkeys(("PUB", "SUB", "XPUB", "XSUB"), "publish-subscribe"),
    **dict.fromkeys(("PUSH", "PULL"), "pipeline"),
    "PAIR": "pair",
}
_UPSTREAM = frozenset({"REQ", "PUB", "XPUB", "PUSH"})
_DOWNSTREAM = frozenset({"REP", "SUB", "XSUB", "PULL"})

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


@dataclass(slots=True, eq=False)
class Cable:
    """A wire with what it carries."""

    wire: Wire
    source: Card
    target: Card
    pattern: Pattern
    transport: str


@dataclass(slots=True, eq=False)
class Picture:
    """Everything that is drawn."""

    title: str
    cards: list[Card]
    cables: list[Cable]
    layout: Layout
    parts: tuple[str, ...]
    in_columns: bool


def picture_of(topology: Topology) -> Picture:
    """Lay a topology out."""
    cards = _cards(topology)
    card_of = {row.end: (card, row) for card in cards for row in card.rows}
    flows = _flows(topology, cards, card_of)
    _choose_sides(cards, flows)
    for card in cards:
        card.measure()
    cables: list[Cable] = []
    for (source, source_row), (target, target_row), pattern, transport in flows:
        wire = Wire(source.name, target.name, _dy(source, source_row), _dy(target, target_row))
        cables.append(Cable(wire, source, target, pattern, transport))
    layout = Layout([card.box for card in cards], [cable.wire for cable in cables])
    in_columns = _parts_are_columns(cards, topology.parts)
    if not in_columns:
        for card in cards:
            card.box.band = topology.parts.index(card.part) + 1 if card.part else 0
    layout.arrange()
    cables = [cable for cable in cables if cable.wire.chain]
    return Picture(topology.title, cards, cables, layout, topology.parts, in_columns)


_Place: TypeAlias = tuple[Card, Row | None]
_Flow: TypeAlias = tuple[_Place, _Place, Pattern, str]


def _cards(topology: Topology) -> list[Card]:
    cards: list[Card] = []
    for device in topology.devices.values():
        rows = [_row((device.name, side), spec) for side, spec in device.sockets().items()]
        cards.append(
            Card(device.name, device.kind, device.kind, rows, device.part, device.label or "")
        )
    programs: dict[str, Card] = {}
    for socket in topology.sockets.values():
        row = _row((socket.name, ""), socket.socket)
        name = socket.program or socket.name
        if name in programs:
            card = programs[name]
            card.rows.append(row)
            card.count = max(card.count, socket.count)
            card.label = card.label or socket.label or ""
            continue
        corner = f"× {socket.count}" if socket.count > 1 else ""
        card = Card(name, "program", corner, [row], socket.part, socket.label or "", socket.count)
        cards.append(card)
        programs[name] = card
    for card in programs.values():
        card.corner = f"× {card.count}" if card.count > 1 else ""
    return cards


def _row(end: End, spec: SocketSpec) -> Row:
    side = end[1]
    title = spec.type if side in {"", "frontend", "backend"} else f"{side} {spec.type}"
    return Row(end, title, list(spec.bind))


def _flows(
    topology: Topology, cards: list[Card], card_of: dict[End, tuple[Card, Row]]
) -> list[_Flow]:
    addresses: dict[str, Card] = {}
    found: list[_Flow] = []
    for link in links_of(topology):
        ours = card_of[link.connecting]
        our_type = _spec(topology, link.connecting).type
        transport = link.endpoint.partition("://")[0]
        if link.binding is not None:
            theirs: _Place = card_of[link.binding]
            their_type = _spec(topology, link.binding).type
        else:
            if link.endpoint not in addresses:
                addresses[link.endpoint] = Card(link.endpoint, "address", "", [], ours[0].part)
                cards.append(addresses[link.endpoint])
            theirs, their_type = (addresses[link.endpoint], None), ""
        sends = _sends(link.connecting, our_type, link.binding, their_type)
        source, target = (ours, theirs) if sends else (theirs, ours)
        found.append((source, target, PATTERN_OF[our_type], transport))
    return found


def _spec(topology: Topology, end: End) -> SocketSpec:
    name, side = end
    owner = topology.devices[name].sockets() if side else None
    return owner[side] if owner is not None else topology.sockets[name].socket


def _sends(one: End, one_type: str, other: End | None, other_type: str) -> bool:
    """Whether what flows first, such as a request, flows from the one to the other."""
    if one_type in _UPSTREAM or other_type in _DOWNSTREAM:
        return True
    if one_type in _DOWNSTREAM or other_type in _UPSTREAM:
        return False
    if one[1] == "backend" or (other is not None and other[1] == "frontend"):
        return True
    if one[1] == "frontend" or (other is not None and other[1] == "backend"):
        return False
    return one_type != "ROUTER"


def _choose_sides(cards: list[Card], flows: list[_Flow]) -> None:
    """A socket that wires leave is at the right; one that they only come to is at the left."""
    leaving = {id(source[1]) for source, _, _, _ in flows}
    arriving = {id(target[1]) for _, target, _, _ in flows}
    for card in cards:
        for row in card.rows:
            leaves, arrives = id(row) in leaving, id(row) in arriving
            if leaves != arrives:
                row.right = leaves
            else:
                default = row.title in _UPSTREAM or row.title == "DEALER"
                row.right = row.end[1] == "backend" or (row.end[1] == "" and default)


def _dy(card: Card, row: Row | None) -> float:
    return 0.0 if row is None else row.y - card.box.height / 2


def _parts_are_columns(cards: list[Card], parts: tuple[str, ...]) -> bool:
    """Whether each part has layers of its own, so that parts can be drawn as columns."""
    spans: list[tuple[int, int]] = []
    for part in parts:
        layers = [card.box.layer for card in cards if card.part == part]
        spans.append((min(layers), max(layers)))
    for card in cards:
        inside = [low <= card.box.layer <= high for low, high in spans]
        if card.part is None and any(inside):
            return False
    spans.sort()
    return len(parts) > 1 and all(a[1] < b[0] for a, b in pairwise(spans))


def shown(text: str, longest: int = LONGEST) -> str:
    """A text, shortened in its middle where it is too long."""
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[: longest - 1 - half]}…{text[-half:]}"
