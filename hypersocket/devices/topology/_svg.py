"""Draws a picture of a topology as SVG, on a ground of its own, so that it prints.

Colour tells the pattern, and so do the marks at the ends of a line; the dash tells the transport.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from ._cards import CAPITALS, HEADER, LINE, NAME_SIZE, TEXT_SIZE, Card, Pattern, Row, shown
from ._layers import Box
from ._picture import Cable, Picture, picture_of
from ._spec import Topology

MARGIN, TITLE, COLUMN_GAP = 30.0, 34.0, 104.0
SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
TYPEWRITER = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"

COLOUR: dict[str, str] = {
    "request-reply": "#1d5fae",
    "publish-subscribe": "#0f7a5c",
    "pipeline": "#b8570c",
    "pair": "#8b3a9e",
}
OF_KIND = {
    "queue": COLOUR["request-reply"],
    "forwarder": COLOUR["publish-subscribe"],
    "streamer": COLOUR["pipeline"],
    "proxy": "#4c5866",
    "gateway": "#a02c52",
}
DASH = {"tcp": "", "ipc": "9 5", "inproc": "2 4", "pgm": "14 4 3 4", "epgm": "14 4 3 4"}
OTHER_DASH = "6 3 1 3 1 3"
BROKER_EDGE = ' stroke-dasharray="7 3"'
INK, QUIET, EDGE, GROUND, BAND = "#1f2933", "#5b6875", "#9aa5b1", "#ffffff", "#f2f5f8"
SENTENCE = {
    "request-reply": "request and reply",
    "publish-subscribe": "publish and subscribe",
    "pipeline": "pipeline",
    "pair": "pair",
}


def graph(topology: Topology) -> str:
    """The picture of a topology, as the text of an SVG file. The same topology gives the same."""
    return _Drawing(picture_of(topology)).svg()


class _Drawing:
    """Places on the canvas, and everything drawn at them."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._top = MARGIN + (TITLE if picture.title else 0.0)
        if picture.parts:
            self._top += 30.0
        boxes = [card.box for card in picture.cards]
        self._widths = [
            max((box.width for box in boxes if box.layer == layer), default=0.0)
            for layer in range(len(picture.layout.layers))
        ]
        self._lefts: list[float] = []
        x = MARGIN + (14.0 if picture.parts else 0.0)
        for width in self._widths:
            self._lefts.append(x)
            x += width + COLUMN_GAP
        self._right = x - COLUMN_GAP
        low = min((box.y - box.height / 2 for box in boxes), default=0.0)
        self._shift = self._top - low
        self._bottom = max((box.y + box.height / 2 for box in boxes), default=0.0) + self._shift

    def svg(self) -> str:
        picture = self._picture
        drawn = [
            *self._bands(),
            *(line for cable in picture.cables for line in self._cable(cable)),
            *(line for card in picture.cards for line in self._card(card)),
        ]
        bottom = self._bottom + (20.0 if picture.parts else 0.0)
        legend, legend_bottom, legend_right = self._legend(bottom + 30)
        extra = 14.0 if picture.parts else 0.0
        title_width = len(picture.title) * 11.5 + 2 * MARGIN
        width = max(self._right + MARGIN + extra, legend_right + MARGIN, title_width)
        height = legend_bottom + MARGIN / 2
        opening = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
            f' width="{width:.0f}" height="{height:.0f}" role="img" font-family="{SANS}">'
        )
        head = [
            opening,
            f"<title>{escape(picture.title or 'Topology')}</title>",
            f"<desc>{escape(_sentence(picture))}</desc>",
            f'<rect width="{width:.0f}" height="{height:.0f}" rx="12" fill="{GROUND}"/>',
        ]
        if picture.title:
            head.append(_text(MARGIN, MARGIN + 12, picture.title, 19, weight=700))
        return "\n".join([*head, *drawn, *legend, "</svg>", ""])

    # Places

    def _left(self, box: Box) -> float:
        return self._lefts[box.layer] + (self._widths[box.layer] - box.width) / 2

    def _y(self, box: Box) -> float:
        return box.y + self._shift

    # Parts

    def _bands(self) -> Iterator[str]:
        picture = self._picture
        for part in picture.parts:
            boxes = [card.box for card in picture.cards if card.part == part]
            top = min(self._y(box) - box.height / 2 for box in boxes)
            bottom = max(self._y(box) + box.height / 2 for box in boxes)
            left = min(self._left(box) for box in boxes)
            right = max(self._left(box) + box.width for box in boxes)
            if picture.in_columns:
                top, bottom = self._top, self._bottom
                left = min(self._lefts[box.layer] for box in boxes)
                right = max(self._lefts[box.layer] + self._widths[box.layer] for box in boxes)
            else:
                left, right = self._lefts[0], self._right
            yield (
                f'<rect x="{left - 18:.1f}" y="{top - 34:.1f}" width="{right - left + 36:.1f}"'
                f' height="{bottom - top + 50:.1f}" rx="14" fill="{BAND}" stroke="{EDGE}"'
                ' stroke-opacity="0.55"/>'
            )
            yield _text(left - 6, top - 15, part, 13, weight=700, fill=QUIET)

    # Boxes

    def _card(self, card: Card) -> Iterator[str]:
        x, y = self._left(card.box), self._y(card.box) - card.box.height / 2
        width, height = card.box.width, card.box.height
        if card.kind == "address":
            yield _rect(x, y, width, height, 13, GROUND, QUIET, ' stroke-dasharray="4 3"')
            middle = y + height / 2 + 4
            text = shown(card.name)
            yield _text(x + width / 2, middle, text, TEXT_SIZE, anchor="middle", mono=True)
            return
        colour = OF_KIND.get(card.kind, QUIET)
        if card.count > 1:
            for step in (8, 4):
                yield _rect(x + step, y + step, width, height, 9, GROUND, EDGE)
        if card.kind == "broker":
            yield _rect(x, y, width, height, 9, BAND, INK, BROKER_EDGE)
        else:
            yield _rect(x, y, width, height, 9, GROUND, colour if card.kind in OF_KIND else QUIET)
        yield from self._header(card, x, y, colour)
        if card.label:
            yield _text(x + 12, y + HEADER + 14, shown(card.label, 44), TEXT_SIZE, fill=QUIET)
        for row in card.rows:
            yield from self._row(row, x, y + row.y, width)

    def _header(self, card: Card, x: float, y: float, colour: str) -> Iterator[str]:
        width = card.box.width
        if card.kind in OF_KIND:
            yield (
                f'<path d="M{x:.1f},{y + HEADER - 3:.1f} v{-(HEADER - 12):.1f} a9,9 0 0 1 9,-9'
                f' h{width - 18:.1f} a9,9 0 0 1 9,9 v{HEADER - 12:.1f} z" fill="{colour}"/>'
            )
            yield from _glyph(card.kind, x + 18, y + HEADER / 2 - 1.5)
            ink, start = "#ffffff", x + 34
        else:
            ink, start = INK, x + 12
        name = shown(card.name)
        yield _text(start, y + 19, name, NAME_SIZE, weight=700, fill=ink)
        if card.corner:
            fill = ink if card.kind in OF_KIND else QUIET
            right = x + width - 12
            yield _text(right, y + 19, card.corner, TEXT_SIZE, anchor="end", fill=fill, weight=600)

    def _row(self, row: Row, x: float, y: float, width: float) -> Iterator[str]:
        at, anchor = (x + width, "end") if row.right else (x, "start")
        sign = -1 if row.right else 1
        yield f'<circle cx="{at:.1f}" cy="{y:.1f}" r="3.2" fill="{GROUND}" stroke="{QUIET}"/>'
        yield _text(
            at + sign * 12, y + 4, row.title, TEXT_SIZE, anchor=anchor, weight=700, fill=INK
        )
        after = sign * (12 + len(row.title) * TEXT_SIZE * CAPITALS + 6)
        for index, endpoint in enumerate(row.endpoints):
            yield _text(
                at + after,
                y + 4 + index * LINE,
                shown(endpoint),
                TEXT_SIZE,
                anchor=anchor,
                mono=True,
                fill=QUIET,
            )

    # Wires

    def _cable(self, cable: Cable) -> Iterator[str]:
        wire, chain = cable.wire, cable.wire.chain
        backwards = wire.reversed
        dys = (wire.target_dy, wire.source_dy) if backwards else (wire.source_dy, wire.target_dy)
        first, last = chain[0], chain[-1]
        start = (self._left(first) + first.width + 4, self._y(first) + dys[0])
        end = (self._left(last) - 4, self._y(last) + dys[1])
        if _stack_of(cable, first):
            start = (start[0] + 8, start[1])
        # Bends are between the columns alone, where there are no boxes to lie behind.
        at = (max(start[0], self._lefts[first.layer] + self._widths[first.layer]), start[1])
        path = f"M{start[0]:.1f},{start[1]:.1f} L{at[0]:.1f},{at[1]:.1f}"
        for place in chain[1:-1]:
            left, y = self._lefts[place.layer], self._y(place)
            path += _bend(at, (left, y))
            at = (left + self._widths[place.layer], y)
            path += f" L{at[0]:.1f},{at[1]:.1f}"
        path += _bend(at, (min(end[0], self._lefts[last.layer] - 4), end[1]))
        path += f" L{end[0]:.1f},{end[1]:.1f}"
        dash = DASH.get(cable.transport, OTHER_DASH)
        colour = COLOUR[cable.pattern]
        # A rim in the colour of the ground lets lines pass over each other visibly.
        yield f'<path d="{path}" fill="none" stroke="{GROUND}" stroke-width="5" opacity="0.8"/>'
        yield (
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"'
            + (f' stroke-dasharray="{dash}"' if dash else "")
            + "/>"
        )
        if backwards:
            yield from _ends(cable.pattern, end, 1.0, start, -1.0)
        else:
            yield from _ends(cable.pattern, start, -1.0, end, 1.0)

    # The legend

    def _legend(self, y: float) -> tuple[list[str], float, float]:
        entries: list[tuple[str, str]] = []
        used = {cable.pattern for cable in self._picture.cables}
        entries += [("pattern", name) for name in COLOUR if name in used]
        transports = {cable.transport for cable in self._picture.cables}
        known = [name for name in DASH if name in transports]
        entries += [("transport", name) for name in [*known, *sorted(transports - set(DASH))]]
        kinds = {card.kind for card in self._picture.cards}
        entries += [("kind", name) for name in OF_KIND if name in kinds]
        if "broker" in kinds:
            entries.append(("broker", "broker"))
        if "address" in kinds:
            entries.append(("address", "address outside this file"))
        lines: list[str] = []
        x, right, limit = MARGIN, MARGIN, max(self._right, 640.0)
        for what, name in entries:
            text = SENTENCE.get(name, name)
            width = 68 + len(text) * 6.9
            if x + width > limit and x > MARGIN:
                x, y = MARGIN, y + 24
            lines += _legend_entry(what, name, text, x, y)
            x += width
            right = max(right, x)
        return lines, y + 12, right


def _legend_entry(what: str, name: str, text: str, x: float, y: float) -> list[str]:
    lines: list[str] = []
    if what == "kind":
        lines.append(_rect(x, y - 9, 30, 18, 5, OF_KIND[name], OF_KIND[name]))
        lines += _glyph(name, x + 15, y)
    elif what == "broker":
        lines.append(_rect(x, y - 8, 36, 16, 4, BAND, INK, BROKER_EDGE))
    elif what == "address":
        lines.append(_rect(x, y - 8, 36, 16, 8, GROUND, QUIET, ' stroke-dasharray="4 3"'))
    else:
        colour = COLOUR.get(name, QUIET)
        dash = DASH.get(name, OTHER_DASH) if what == "transport" else ""
        attribute = f' stroke-dasharray="{dash}"' if dash else ""
        lines.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x + 40:.1f}" y2="{y:.1f}" stroke="{colour}"'
            f' stroke-width="2"{attribute}/>'
        )
        if what == "pattern":
            lines += _ends(_pattern(name), (x, y), -1.0, (x + 40, y), 1.0)
    start = x + (38 if what == "kind" else 50)
    return [*lines, _text(start, y + 4, text, 11.5, fill=INK)]


def _pattern(name: str) -> Pattern:
    return next(one for one in _PATTERNS if one == name)


_PATTERNS: tuple[Pattern, ...] = ("request-reply", "publish-subscribe", "pipeline", "pair")


def _stack_of(cable: Cable, box: Box) -> bool:
    """Whether a wire starts at the right of a stack, whose cards stick out."""
    return any(card.box is box and card.count > 1 for card in (cable.source, cable.target))


def _bend(start: tuple[float, float], end: tuple[float, float]) -> str:
    reach = max(30.0, (end[0] - start[0]) * 0.5)
    return (
        f" C{start[0] + reach:.1f},{start[1]:.1f} {end[0] - reach:.1f},{end[1]:.1f}"
        f" {end[0]:.1f},{end[1]:.1f}"
    )


def _ends(
    pattern: Pattern,
    source: tuple[float, float],
    source_way: float,
    target: tuple[float, float],
    target_way: float,
) -> Iterator[str]:
    """The marks at both ends. A way of 1 points to the right, -1 to the left."""
    colour = COLOUR[pattern]
    if pattern == "request-reply":  # there and back
        yield _arrow(target, target_way, colour)
        yield _arrow(source, source_way, colour, hollow=True)
    elif pattern == "publish-subscribe":  # from a point to many
        yield _arrow(target, target_way, colour)
        yield _dot(source, colour)
    elif pattern == "pipeline":  # on and on
        yield _arrow(target, target_way, colour)
        yield _arrow((target[0] - target_way * 8, target[1]), target_way, colour)
    else:
        yield _diamond(source, colour)
        yield _diamond(target, colour)


def _arrow(at: tuple[float, float], way: float, colour: str, *, hollow: bool = False) -> str:
    x, y = at
    points = f"{x:.1f},{y:.1f} {x - way * 10:.1f},{y - 4.6:.1f} {x - way * 10:.1f},{y + 4.6:.1f}"
    fill = GROUND if hollow else colour
    return f'<polygon points="{points}" fill="{fill}" stroke="{colour}" stroke-width="1.4"/>'


def _dot(at: tuple[float, float], colour: str) -> str:
    return f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4.6" fill="{colour}"/>'


def _diamond(at: tuple[float, float], colour: str) -> str:
    x, y = at
    points = f"{x - 6:.1f},{y:.1f} {x:.1f},{y - 5:.1f} {x + 6:.1f},{y:.1f} {x:.1f},{y + 5:.1f}"
    return f'<polygon points="{points}" fill="{colour}"/>'


def _glyph(kind: str, x: float, y: float) -> Iterator[str]:
    """The sign of a device: what it does, in a few strokes."""
    strokes = {
        "queue": "M-7,-3 H6 M3,-6 L6,-3 L3,0 M7,3 H-6 M-3,6 L-6,3 L-3,0",
        "forwarder": "M-7,0 H-1 M-1,0 L6,-5 M-1,0 L6,5 M-1,0 H7",
        "streamer": "M-7,-5 L-2,0 L-7,5 M-1,-5 L4,0 L-1,5 M5,-5 V5",
        "proxy": "M-7,0 H7 M-4,-3 L-7,0 L-4,3 M4,-3 L7,0 L4,3",
        "gateway": "M-7,6 V-2 A7,5 0 0 1 7,-2 V6 M-7,2 H7",
    }
    yield (
        f'<path transform="translate({x:.1f},{y:.1f})" d="{strokes[kind]}" fill="none"'
        ' stroke="#ffffff" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round"/>'
    )


def _rect(
    x: float,
    y: float,
    width: float,
    height: float,
    radius: float,
    fill: str,
    stroke: str,
    more: str = "",
) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:g}"'
        f' fill="{fill}" stroke="{stroke}" stroke-width="1.4"{more}/>'
    )


def _text(
    x: float,
    y: float,
    text: str,
    size: float,
    *,
    anchor: str = "start",
    weight: int = 400,
    fill: str = INK,
    mono: bool = False,
) -> str:
    family = f' font-family="{TYPEWRITER}"' if mono else ""
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    bold = "" if weight == 400 else f' font-weight="{weight}"'
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{anchored}{bold} fill="{fill}"{family}>'
        f"{escape(text)}</text>"
    )


def _sentence(picture: Picture) -> str:
    """The picture in words, for those who do not see it."""
    wires = [
        f"{cable.source.name} to {cable.target.name} ({cable.transport})"
        for cable in picture.cables
    ]
    kinds = [f"{card.kind} {card.name}" for card in picture.cards if card.kind in OF_KIND]
    return f"Devices: {', '.join(kinds) or 'none'}. Wires: {'; '.join(wires) or 'none'}."
