"""Line plots as SVG, in colours that are readable on a light and on a dark page.

A picture cannot know which of the two its reader has chosen: so there is no background, text and
lines are of a middle grey, and every curve is told apart by its dashes and its label too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760.0, 440.0
LEFT, RIGHT, TOP, BOTTOM = 84.0, 178.0, 44.0, 58.0
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
TEXT, GRID = "#7b838d", "#7b838d"

_STYLES = {
    "hypersocket-pure": ("#e0683c", "7 4", 3.0),
    "hypersocket-compiled": ("#e0683c", "", 3.5),
    "pyzmq": ("#3f83d6", "", 2.0),
    "zmq.asyncio": ("#3f83d6", "3 4", 2.0),
    "pyomq": ("#2f9e74", "", 2.0),
    "pynng": ("#a566cc", "", 2.0),
    "libzmq": ("#b08a1e", "", 2.0),
    "bare": ("#84909c", "2 3", 2.0),
}
_OTHER = ("#cc5590", "5 2 1 2", 2.0)
_LABEL_HEIGHT = 17.0


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: what it shows, its scale, how its numbers are written."""

    title: str
    log: bool = False
    tick: Callable[[float], str] = str


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve, by ascending x."""

    label: str
    peer: str
    points: Sequence[tuple[float, float]]
    dots: bool = True


class _Scale:
    """From values to places along an axis."""

    def __init__(self, axis: Axis, values: Sequence[float], start: float, end: float) -> None:
        self._log = axis.log
        self._start, self._end = start, end
        least, most = min(values), max(values)
        if axis.log:
            self.low, self.high = least, most
            if self.low == self.high:
                self.low, self.high = least / 2, most * 2
        else:
            self.low, self.high = 0.0, most * 1.05 or 1.0

    def __call__(self, value: float) -> float:
        if self._log:
            low, high, at = math.log(self.low), math.log(self.high), math.log(value)
        else:
            low, high, at = self.low, self.high, value
        return self._start + (at - low) / (high - low) * (self._end - self._start)

    def ticks(self) -> list[float]:
        """Round values, from three to nine of them."""
        if not self._log:
            return _linear_ticks(self.high)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found: list[float] = []
        for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
            found = [d * 10.0**n for n in decades for d in digits]
            found = [v for v in found if self.low * 0.999 <= v <= self.high * 1.001]
            if len(found) >= 3:
                break
        return found


def _linear_ticks(high: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(high))
    for divisor in (1, 2, 5, 10):
        if high / (step / divisor) >= 4:
            step /= divisor
            break
    return [n * step for n in range(int(high / step) + 1)]


@dataclass(frozen=True, slots=True)
class Plot:
    """A title, a sentence for those who do not see it, two axes, and curves."""

    title: str
    sentence: str
    x: Axis
    y: Axis
    curves: Sequence[Curve]

    def svg(self) -> str:
        """The whole file."""
        xs = [x for curve in self.curves for x, _ in curve.points]
        ys = [y for curve in self.curves for _, y in curve.points]
        across = _Scale(self.x, xs, LEFT, WIDTH - RIGHT)
        up = _Scale(self.y, ys, HEIGHT - BOTTOM, TOP)
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}"'
                f' width="{WIDTH:g}" height="{HEIGHT:g}" role="img" font-family="{FONT}">'
            ),
            f"<title>{escape(self.title)}</title>",
            f"<desc>{escape(self.sentence)}</desc>",
            _text(LEFT, 22, self.title, size=16, weight=600),
            *self._x_axis(across, sorted(set(xs))),
            *self._y_axis(up),
            *(part for curve in self.curves for part in _draw(curve, across, up)),
            *_labels(self.curves, up),
        ]
        return "\n".join([*parts, "</svg>", ""])

    def _x_axis(self, scale: _Scale, xs: Sequence[float]) -> list[str]:
        ticks = xs if len(xs) <= 8 else scale.ticks()
        bottom = HEIGHT - BOTTOM
        parts = [_line(LEFT, bottom, WIDTH - RIGHT, bottom, opacity=0.9)]
        for value in ticks:
            parts.append(_line(scale(value), bottom, scale(value), bottom + 5, opacity=0.9))
            parts.append(_text(scale(value), bottom + 20, self.x.tick(value), anchor="middle"))
        middle = (LEFT + WIDTH - RIGHT) / 2
        return [*parts, _text(middle, HEIGHT - 14, self.x.title, anchor="middle")]

    def _y_axis(self, scale: _Scale) -> list[str]:
        parts: list[str] = []
        for value in scale.ticks():
            y = scale(value)
            parts.append(_line(LEFT, y, WIDTH - RIGHT, y, opacity=0.25))
            parts.append(_text(LEFT - 8, y + 4, self.y.tick(value), anchor="end"))
        x, y = 18.0, (TOP + HEIGHT - BOTTOM) / 2
        parts.append(
            f'<g transform="rotate(-90 {x:g} {y:g})">'
            + _text(x, y, self.y.title, anchor="middle")
            + "</g>"
        )
        return parts


def _draw(curve: Curve, across: _Scale, up: _Scale) -> list[str]:
    colour, dashes, width = _STYLES.get(curve.peer, _OTHER)
    places = [(across(x), up(y)) for x, y in curve.points]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    look = f'fill="none" stroke="{colour}" stroke-width="{width:g}" stroke-linejoin="round"'
    parts = [f'<polyline points="{points}" {look}{dashed}/>']
    if curve.dots:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"/>' for x, y in places]
    return parts


def _labels(curves: Sequence[Curve], up: _Scale) -> list[str]:
    """The curves' names beside their ends, in the order of these and none upon another."""
    ends = sorted((up(curve.points[-1][1]), index) for index, curve in enumerate(curves))
    if not any(curve.dots for curve in curves):
        ends = [(TOP + 12, index) for index in range(len(curves))]
    placed: list[float] = []
    for y, _ in ends:
        placed.append(max(y, placed[-1] + _LABEL_HEIGHT) if placed else max(y, TOP))
    over = placed[-1] - (HEIGHT - BOTTOM)
    if over > 0:
        placed[-1] -= over
        for n in range(len(placed) - 2, -1, -1):
            placed[n] = min(placed[n], placed[n + 1] - _LABEL_HEIGHT)
    parts: list[str] = []
    for (_, index), y in zip(ends, placed, strict=True):
        curve = curves[index]
        colour, dashes, width = _STYLES.get(curve.peer, _OTHER)
        x = WIDTH - RIGHT + 12
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        parts.append(
            f'<line x1="{x:g}" y1="{y:.1f}" x2="{x + 22:g}" y2="{y:.1f}" stroke="{colour}"'
            f' stroke-width="{width:g}"{dashed}/>'
        )
        parts.append(_text(x + 28, y + 4, curve.label))
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, *, opacity: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{GRID}"'
        f' stroke-opacity="{opacity:g}"/>'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: float = 12.5, weight: int = 400
) -> str:
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}"'
        f' fill="{TEXT}"{bold}>{escape(text)}</text>'
    )
