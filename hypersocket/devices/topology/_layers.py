"""A layered layout: boxes in columns by the way messages take, with few crossings.

The steps are those of Sugiyama, Tagawa and Toda (1981): break cycles, give each box a layer, let
long edges pass through a place of their own in each layer between, order each layer by the places
of its neighbours, and then move boxes towards those. Everything goes by the order of the input, so
that the same input gives the same picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 24
MOVES = 90
GAP = 26.0
"""Between two boxes of a layer."""
LANE = 16.0
"""The height of the place that a passing edge has in a layer."""


@dataclass(slots=True, eq=False)
class Box:
    """Something with a place.

    Attributes:
        name: what edges call it.
        width: in pixels, as all that follows.
        height: likewise.
        band: the horizontal band that it has to stay in.
        layer: its column; set by the layout.
        y: of its middle; set by the layout.
        passing: whether it is no box, but the place where an edge passes.
    """

    name: str
    width: float
    height: float
    band: int = 0
    layer: int = 0
    y: float = 0.0
    passing: bool = False


@dataclass(slots=True, eq=False)
class Wire:
    """An edge from one box to another.

    Attributes:
        source: the name of a box.
        target: likewise.
        source_dy: where it leaves, from the middle of the box.
        target_dy: where it arrives, likewise.
        reversed: whether it goes against the layers, to close a cycle; set by the layout.
        chain: the boxes from left to right, with the places in between; set by the layout.
    """

    source: str
    target: str
    source_dy: float = 0.0
    target_dy: float = 0.0
    reversed: bool = False
    chain: list[Box] = field(default_factory=list[Box])


class Layout:
    """Gives every box its layer and height, and every wire its way.

    Args:
        boxes: in the order of the input, which decides where nothing else does.
        wires: likewise. Those from a box to itself are left alone.
    """

    def __init__(self, boxes: Sequence[Box], wires: Sequence[Wire]) -> None:
        self.boxes = {box.name: box for box in boxes}
        self.wires = [wire for wire in wires if wire.source != wire.target]
        self.layers: list[list[Box]] = []
        self._segments: list[tuple[Box, Box, float, float]] = []
        self._break_cycles()
        self._assign_layers()

    def arrange(self) -> None:
        """Decide on order and heights, within the bands that boxes have by now."""
        self._pass_through_layers()
        self._order()
        self._place()

    # Layers

    def _break_cycles(self) -> None:
        outgoing: dict[str, list[Wire]] = {name: [] for name in self.boxes}
        for wire in self.wires:
            outgoing[wire.source].append(wire)
        done: set[str] = set()
        within: set[str] = set()

        def visit(name: str) -> None:
            within.add(name)
            for wire in outgoing[name]:
                if wire.target in within:
                    wire.reversed = True
                elif wire.target not in done:
                    visit(wire.target)
            within.discard(name)
            done.add(name)

        targets = {wire.target for wire in self.wires}
        first = [name for name in self.boxes if name not in targets]
        for name in [*first, *self.boxes]:
            if name not in done:
                visit(name)

    def _assign_layers(self) -> None:
        pairs = [_ends(wire) for wire in self.wires]
        for _ in self.boxes:  # longest paths, of which none has more steps than there are boxes
            moved = False
            for left, right in pairs:
                if self.boxes[right].layer <= self.boxes[left].layer:
                    self.boxes[right].layer = self.boxes[left].layer + 1
                    moved = True
            if not moved:
                break
        for box in reversed(self.boxes.values()):
            if not any(right == box.name for _, right in pairs):
                after = [self.boxes[right].layer for left, right in pairs if left == box.name]
                box.layer = max(0, min(after, default=1) - 1)  # beside what it belongs to

    def _pass_through_layers(self) -> None:
        self.layers = [
            [] for _ in range(1 + max((box.layer for box in self.boxes.values()), default=0))
        ]
        for box in self.boxes.values():
            self.layers[box.layer].append(box)
        for number, wire in enumerate(self.wires):
            left, right = (self.boxes[name] for name in _ends(wire))
            wire.chain = [left]
            for layer in range(left.layer + 1, right.layer):
                band = (
                    left.band
                    if layer - left.layer <= (right.layer - left.layer) / 2
                    else right.band
                )
                place = Box(f"{number}:{layer}", 0, LANE, band, layer, passing=True)
                self.layers[layer].append(place)
                wire.chain.append(place)
            wire.chain.append(right)
            dys = (wire.source_dy, wire.target_dy)
            left_dy, right_dy = dys[::-1] if wire.reversed else dys
            for one, other in pairwise(wire.chain):
                at_one = left_dy if one is left else 0.0
                at_other = right_dy if other is right else 0.0
                self._segments.append((one, other, at_one, at_other))

    # Order

    def _order(self) -> None:
        for layer in self.layers:
            layer.sort(key=lambda box: box.band)
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(SWEEPS):
            forwards = sweep % 2 == 0
            for layer in self.layers if forwards else reversed(self.layers):
                self._sort_by_neighbours(layer, forwards)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best

    def _sort_by_neighbours(self, layer: list[Box], forwards: bool) -> None:
        places = self._places()
        wanted: dict[Box, list[float]] = {}
        for one, other, at_one, at_other in self._segments:
            box, near, dy = (other, one, at_one) if forwards else (one, other, at_other)
            wanted.setdefault(box, []).append(places[near] + dy / (near.height + 1))
        means = {
            box: sum(wanted[box]) / len(wanted[box]) if box in wanted else places[box]
            for box in layer
        }
        layer.sort(key=lambda box: (box.band, means[box]))

    def _places(self) -> dict[Box, float]:
        return {
            box: (place + 0.5) / len(layer) * 100
            for layer in self.layers
            for place, box in enumerate(layer)
        }

    def _crossings(self) -> int:
        places = {box: place for layer in self.layers for place, box in enumerate(layer)}
        by_layer: dict[int, list[tuple[float, float]]] = {}
        for one, other, at_one, at_other in self._segments:
            ends = (
                places[one] + at_one / (one.height + 1),
                places[other] + at_other / (other.height + 1),
            )
            by_layer.setdefault(one.layer, []).append(ends)
        return sum(
            (a[0] - b[0]) * (a[1] - b[1]) < 0
            for ends in by_layer.values()
            for i, a in enumerate(ends)
            for b in ends[:i]
        )

    # Heights

    def _place(self) -> None:
        bands = sorted({box.band for box in self.boxes.values()})
        tops: dict[int, float] = {}
        heights: dict[int, float] = {}
        top = 0.0
        for band in bands:
            tops[band] = top
            heights[band] = max(
                _total([box for box in layer if box.band == band]) for layer in self.layers
            )
            top += heights[band] + BAND_GAP
        for layer in self.layers:
            for band in bands:
                members = [box for box in layer if box.band == band]
                y = tops[band] + (heights[band] - _total(members)) / 2
                for box in members:
                    box.y = y + box.height / 2
                    y += box.height + GAP
        for sweep in range(MOVES):
            forwards = sweep % 2 == 0
            for layer in self.layers if forwards else reversed(self.layers):
                wanted = self._wanted(sweep, forwards)
                for band in bands:
                    members = [box for box in layer if box.band == band]
                    _move(members, wanted, tops[band], tops[band] + heights[band])

    def _wanted(self, sweep: int, forwards: bool) -> dict[Box, float]:
        """Where each box would have its wires straight: in the last sweeps, with both sides."""
        sums: dict[Box, tuple[float, float]] = {}
        both = sweep >= MOVES - 40

        def wish(box: Box, y: float, weight: float) -> None:
            total, weights = sums.get(box, (0.0, 0.0))
            sums[box] = (total + y * weight, weights + weight)

        for one, other, at_one, at_other in self._segments:
            # What passes through several layers should do so straight.
            weight = (
                1.0
                + 2.0 * one.passing
                + 2.0 * other.passing
                + 8.0 * (one.passing and other.passing)
            )
            if forwards or both:
                wish(other, one.y + at_one - at_other, weight)
            if not forwards or both:
                wish(one, other.y + at_other - at_one, weight)
        return {box: total / weights for box, (total, weights) in sums.items()}


BAND_GAP = 66.0
"""Between two bands, for the edges of their frames and a heading."""


def _ends(wire: Wire) -> tuple[str, str]:
    """The boxes at the left and at the right."""
    return (wire.target, wire.source) if wire.reversed else (wire.source, wire.target)


def _total(boxes: Iterable[Box]) -> float:
    heights = [box.height for box in boxes]
    return sum(heights) + GAP * max(0, len(heights) - 1)


def _move(boxes: list[Box], wanted: dict[Box, float], top: float, bottom: float) -> None:
    """Move boxes, keeping their order and distances, as near to the wanted heights as they can be.

    Pools of adjacent violators: boxes that would overlap are moved as one block, to the mean.
    """
    if not boxes:
        return
    offsets: list[float] = []
    offset = 0.0
    for before, box in zip([None, *boxes], boxes, strict=False):
        if before is not None:
            offset += before.height / 2 + GAP + box.height / 2
        offsets.append(offset)
    blocks: list[tuple[float, int]] = []  # the mean of each block, and how many are in it
    for box, offset in zip(boxes, offsets, strict=True):
        mean, count = wanted.get(box, box.y) - offset, 1
        while blocks and blocks[-1][0] > mean:
            last, size = blocks.pop()
            mean, count = (mean * count + last * size) / (count + size), count + size
        blocks.append((mean, count))
    lowest, highest = top + boxes[0].height / 2, bottom - boxes[-1].height / 2 - offsets[-1]
    means = [mean for mean, count in blocks for _ in range(count)]
    for box, offset, mean in zip(boxes, offsets, means, strict=True):
        box.y = max(lowest, min(mean, highest)) + offset
