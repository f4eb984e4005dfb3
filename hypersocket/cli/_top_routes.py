"""The routes of gateways in ``hypersocket top``: how messages fare between sockets and brokers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..management import View
from ._top_cells import amount, clean
from ._top_watch import Watch

WIDE = 104
"""Columns of a terminal from which on there is room for what seldom happens."""

RATES = (("FWD/s", "route_messages_forwarded"), ("CONF/s", "route_messages_confirmed"))
NOW = (("PENDING", "route_messages_pending"), ("CREDIT", "route_messages_credit"))
TOTALS = (("DEAD", "route_messages_dead_lettered"), ("DROPPED", "route_messages_dropped"))
MORE = (
    ("RETURNED", "route_messages_returned"),
    ("REQUEUED", "route_messages_requeued"),
    ("RETRIED", "route_messages_retried"),
)


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One line: a route, or above its routes a gateway."""

    name: str
    kind: str
    state: str
    view: View | None = None
    note: str = ""


def route_rows(watch: Watch) -> list[RouteRow]:
    """Every gateway that is known, with its routes."""
    found: list[RouteRow] = []
    for place in watch.places:
        for name, device in sorted(place.snapshot.devices.items()):
            routes = [
                RouteRow(f"  {route}", *_route(socket.own), socket.own)
                for route, socket in device.sockets.items()
                if socket.own is not None and "route_kind" in socket.own.report.body
            ]
            if routes and device.own is not None:
                found += [_gateway(name, device.own), *routes]
    return found


def gateway_state(view: View) -> str:
    """What keeps a gateway that runs from its work; empty where nothing does, or it is none."""
    body = view.report.body
    if "connected" not in body or body.get("state") != "running":
        return ""
    if not body["connected"]:
        return "no broker"
    return "blocked" if body.get("blocked") else ""


def _gateway(name: str, view: View) -> RouteRow:
    body = view.report.body
    again = view.counter("connections_remade")
    address, why = str(body.get("address", "")), str(body.get("blocked") or body.get("error") or "")
    notes = ["" if address in why else address, why]
    if again:
        notes.insert(1, f"reconnected {again} time{'' if again == 1 else 's'}")
    state = gateway_state(view) or str(body.get("state", ""))
    return RouteRow(name, "gateway", state, note="  ".join(filter(None, notes)))


def _route(view: View) -> tuple[str, str]:
    body = view.report.body
    return str(body["route_kind"]), "active" if body.get("route_active") else "waiting"


def route_table(found: Iterable[RouteRow], width: int, *, whole: bool = False) -> Group:
    """The rows, with as many columns as fit; what a gateway has to say stands below its name.

    Args:
        found: the rows.
        width: columns of the terminal.
        whole: whether what is said may take several lines; else its end is cut off.
    """
    columns = _columns(width)
    names = [name for _, name in columns]
    made = _table(columns, header=True)
    parts: list[RenderableType] = [made]
    for row in found:
        if made is not parts[-1]:
            made = _table(columns, header=False)
            parts.append(made)
        made.add_row(*_cells(row, names))
        why = row.note
        if row.view is not None and not row.view.report.body.get("route_active"):
            why = str(row.view.report.body.get("route_error", ""))
        if why:
            # Over all columns, which a table cannot: so another goes on below, of the same widths.
            said = Text(clean(why), style="dim", no_wrap=not whole, overflow="ellipsis")
            parts.append(Padding(said, (0, 0, 0, 4)))
    return Group(*parts)


def _table(columns: list[tuple[str, str]], *, header: bool) -> Table:
    made = Table(
        box=None,
        expand=True,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold reverse",
        show_header=header,
    )
    made.add_column("ROUTE", ratio=1, min_width=14, no_wrap=True, overflow="ellipsis")
    made.add_column("KIND", width=7, no_wrap=True)
    made.add_column("STATE", width=9, no_wrap=True)
    for title, _ in columns:
        made.add_column(title, justify="right", width=max(6, len(title)), no_wrap=True)
    return made


def _columns(width: int) -> list[tuple[str, str]]:
    return [*RATES, *NOW, *(MORE if width >= WIDE else ()), *TOTALS]


def _cells(row: RouteRow, names: list[str]) -> Iterator[Text]:
    yield Text(clean(row.name), style="bold" if row.view is None else "")
    yield Text(clean(row.kind), style="cyan" if row.view is not None else "")
    good = row.state in {"running", "active"}
    yield Text(clean(row.state), style="green" if good else "bold red")
    if row.view is None:
        return
    for name in names:
        if name in row.view.report.gauges:
            yield Text(amount(row.view.gauge(name), whole=True))
        elif name in {one for _, one in RATES}:
            yield Text(amount(row.view.rate(name)))
        else:
            number = row.view.counter(name)
            yield Text(amount(number, whole=True), style="red" if number else "dim")
