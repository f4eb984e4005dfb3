"""What a picture of a topology shows: boxes with rows of sockets, and wires between them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ._broker_picture import broker_flows
from ._cards import Card, Flow, Pattern, Place, Row
from ._layers import Layout, Wire
from ._links import End, links_of
from ._spec import SocketLike, Topology

PATTERN_OF: dict[str, Pattern] = {
    **dict.fromkeys(("REQ", "REP", "DEALER", "ROUTER"), "request-reply"),
    **dict.fromkeys(("PUB", "SUB", "XPUB", "XSUB"), "publish-subscribe"),
    **dict.fromkeys(("PUSH", "PULL"), "pipeline"),
    "PAIR": "pair",
}
_UPSTREAM = frozenset({"REQ", "PUB", "XPUB", "PUSH"})
_DOWNSTREAM = frozenset({"REP", "SUB", "XSUB", "PULL"})


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


def _cards(topology: Topology) -> list[Card]:
    cards: list[Card] = []
    for one in topology.members.values():
        rows = [_row((one.name, side), spec) for side, spec in one.sockets().items()]
        cards.append(Card(one.name, one.kind, one.kind, rows, one.part, one.label or ""))
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


def _row(end: End, spec: SocketLike) -> Row:
    side = end[1]
    title = spec.type if side in {"", "frontend", "backend"} else f"{side} {spec.type}"
    return Row(end, title, list(spec.bind))


def _flows(
    topology: Topology, cards: list[Card], card_of: dict[End, tuple[Card, Row]]
) -> list[Flow]:
    addresses: dict[str, Card] = {}
    found: list[Flow] = []
    for link in links_of(topology):
        ours = card_of[link.connecting]
        our_type = _spec(topology, link.connecting).type
        transport = link.endpoint.partition("://")[0]
        if link.binding is not None:
            theirs: Place = card_of[link.binding]
            their_type = _spec(topology, link.binding).type
        else:
            if link.endpoint not in addresses:
                addresses[link.endpoint] = Card(link.endpoint, "address", "", [], ours[0].part)
                cards.append(addresses[link.endpoint])
            theirs, their_type = (addresses[link.endpoint], None), ""
        sends = _sends(link.connecting, our_type, link.binding, their_type)
        source, target = (ours, theirs) if sends else (theirs, ours)
        found.append((source, target, PATTERN_OF[our_type], transport))
    return found + broker_flows(topology, cards, card_of)


def _spec(topology: Topology, end: End) -> SocketLike:
    name, side = end
    return topology.members[name].sockets()[side] if side else topology.sockets[name].socket


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


def _choose_sides(cards: list[Card], flows: list[Flow]) -> None:
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
