"""Routes of gateways in ``hypersocket top``: what is said of them can be read."""

from __future__ import annotations

import pytest
from rich.console import Console

from hypersocket.cli._top_routes import RouteRow, route_table

WHY = "rabbit.example:5672 cannot be reached: " + "Connection refused, " * 5 + "and that is all"


def lines(width: int, *, whole: bool) -> list[str]:
    rows = [
        RouteRow("bridge", "gateway", "no broker", note=WHY),
        RouteRow("other", "gateway", "running", note="rabbit.example:5673"),
        RouteRow("third", "gateway", "running"),
    ]
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(route_table(rows, width, whole=whole))
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize("width", [80, 130])
def test_why_there_is_no_broker_is_told_over_the_whole_width(width: int) -> None:
    said = lines(width, whole=True)
    assert " ".join(said[2:-3]).split() == WHY.split()
    assert all(line.startswith("    ") for line in said[2:-3])
    assert [line.split() for line in said[-3:]] == [
        ["other", "gateway", "running"],
        ["rabbit.example:5673"],
        ["third", "gateway", "running"],
    ]
    states = {
        line.index(word) for word in ("running", "no broker") for line in said if word in line
    }
    assert states == {said[0].index("STATE")}


def test_on_the_screen_it_is_one_line() -> None:
    said = lines(80, whole=False)
    assert len(said) == 6
    assert len(said[2]) == 80
    assert said[2].endswith("…")
