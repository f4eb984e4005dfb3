"""The table of ``hypersocket top``: what is known, as rows of text, and the rows as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, cast

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..management import DeviceView, Report, SocketView, View
from ._top_cells import amount, clean
from ._top_routes import gateway_state, route_rows, route_table
from ._top_watch import Watch, Watched, state_of

Level: TypeAlias = Literal["devices", "sockets", "peers", "routes", "events"]

LEVELS: tuple[Level, ...] = ("devices", "sockets", "peers", "routes", "events")

WIDE, WIDER = 104, 150
"""Columns of a terminal from which on there is room for bytes, and for where things are."""

RATES = ("messages_in", "messages_out", "bytes_in", "bytes_out")
"""The counters whose growth is shown; the last two where there is room."""

_STATE_STYLES = {
    "running": "green",
    "paused": "yellow",
    "stopping": "yellow",
    "stopped": "bright_black",
    "silent": "bold red",
    "lost": "bold red",
    "no broker": "bold red",
    "blocked": "yellow",
    "waiting": "yellow",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a device, a socket or a peer. Numbers that are not known are None."""

    depth: int
    name: str
    kind: str = ""
    state: str = ""
    rates: tuple[float | None, ...] = (None, None, None, None)  # in the order of RATES
    queued: int | None = None
    dropped: int | None = None
    dropping: bool = False
    peers: int | None = None
    where: str = ""


def rows(watch: Watch, level: Level, now: float) -> list[Row]:
    """Everything down to a level."""
    several = len(watch.places) > 1
    found: list[Row] = []
    for place in watch.places:
        found += _rows_of_place(place, level, now, several=several)
    return found


def _rows_of_place(place: Watched, level: Level, now: float, *, several: bool) -> Iterator[Row]:
    for name, device in sorted(place.snapshot.devices.items()):
        yield _device_row(place, name, device, now, where=place.endpoint if several else "")
        if level == "devices":
            continue
        for socket_name, socket in device.sockets.items():
            yield _socket_row(socket_name, socket)
            if level == "peers":
                for peer_name, peer in sorted(socket.peers.items()):
                    yield _peer_row(peer_name, peer)


def _device_row(place: Watched, name: str, device: DeviceView, now: float, *, where: str) -> Row:
    own = [socket.own for socket in device.sockets.values() if socket.own is not None]
    state = state_of(place, device, now)
    kind, held = "", 0
    if device.own is not None:
        kind = str(device.own.report.body.get("kind", ""))
        if state == "running":
            state = gateway_state(device.own) or state
        held = device.own.gauge("messages_held")
    quiet = state in {"stopped", "silent", "lost"}
    return Row(
        0,
        name,
        kind,
        state,
        tuple(None if quiet else _total(view.rate(one) for view in own) for one in RATES),
        queued=held + sum(_queued(view) for view in own),
        dropped=sum(_dropped(view) for view in own) + _undelivered(device),
        dropping=any(map(_dropping, own)),
        peers=sum(view.gauge("peers_connected") for view in own),
        where=where,
    )


def _undelivered(device: DeviceView) -> int:
    return 0 if device.own is None else device.own.counter("messages_undelivered")


def _socket_row(name: str, socket: SocketView) -> Row:
    view = socket.own
    if view is None:
        return Row(1, name)
    return Row(
        1,
        name,
        str(view.report.body.get("type", "")),
        "" if view.report.body.get("route_active", True) else "waiting",
        tuple(view.rate(one) for one in RATES),
        queued=_queued(view),
        dropped=_dropped(view),
        dropping=_dropping(view),
        peers=view.gauge("peers_connected"),
        where=", ".join(_texts(view.report.body.get("endpoints"))),
    )


def _peer_row(name: str, view: View) -> Row:
    body = view.report.body
    return Row(
        2,
        name,
        str(body.get("socket_type", "")),
        "" if body.get("connected") else "away",
        tuple(view.rate(one) for one in RATES),
        queued=_queued(view),
        dropped=view.counter("messages_dropped"),
        dropping=bool(view.rate("messages_dropped")),
        where=_routing_id(str(body.get("routing_id", ""))),
    )


_QUEUES = ("messages_queued_in", "messages_queued_out", "route_messages_pending")
_DROPS = ("messages_dropped", "route_messages_dropped")


def _queued(view: View) -> int:
    return sum(map(view.gauge, _QUEUES))


def _dropped(view: View) -> int:
    return sum(map(view.counter, _DROPS))


def _dropping(view: View) -> bool:
    return any(map(view.rate, _DROPS))


def _total(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _texts(value: object) -> list[str]:
    return [str(one) for one in cast("list[object]", value)] if isinstance(value, list) else []


def _routing_id(written: str) -> str:
    try:
        raw = bytes.fromhex(written)
    except ValueError:
        return ""
    text = raw.decode("ascii", "replace")
    return text if text.isprintable() and "\ufffd" not in text else written


def table(found: Iterable[Row], width: int) -> Table:
    """The rows, with as many columns as fit."""
    made = Table(
        box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold reverse"
    )
    if width >= WIDER:
        made.add_column("NAME", no_wrap=True, width=40, overflow="ellipsis")
    else:
        made.add_column("NAME", no_wrap=True, ratio=1, min_width=14, overflow="ellipsis")
    made.add_column("KIND", no_wrap=True, width=9)
    made.add_column("STATE", no_wrap=True, width=9, overflow="ellipsis")
    made.add_column("IN/s", justify="right", no_wrap=True, width=6)
    made.add_column("OUT/s", justify="right", no_wrap=True, width=6)
    if width >= WIDE:
        made.add_column("IN B/s", justify="right", no_wrap=True, width=7)
        made.add_column("OUT B/s", justify="right", no_wrap=True, width=7)
    made.add_column("QUEUED", justify="right", no_wrap=True, width=6)
    made.add_column("DROPPED", justify="right", no_wrap=True, width=7)
    made.add_column("PEERS", justify="right", no_wrap=True, width=5)
    if width >= WIDER:
        made.add_column("WHERE", no_wrap=True, ratio=1, overflow="ellipsis")
    for row in found:
        made.add_row(*_cells(row, width))
    return made


def _cells(row: Row, width: int) -> Iterator[Text]:
    name = Text("  " * row.depth + clean(row.name), style=("bold", "", "dim")[row.depth])
    yield name
    yield Text(clean(row.kind), style="" if row.depth == 0 else "cyan")
    yield Text(clean(row.state), style=_STATE_STYLES.get(row.state, "yellow"))
    for rate in row.rates if width >= WIDE else row.rates[:2]:
        yield Text(amount(rate), style="" if rate else "dim")
    yield Text(amount(row.queued, whole=True), style="yellow" if row.queued else "dim")
    style = "bold red" if row.dropping else "red" if row.dropped else "dim"
    yield Text(amount(row.dropped, whole=True), style=style)
    yield Text("" if row.peers is None else amount(row.peers, whole=True))
    if width >= WIDER:
        yield Text(clean(row.where), style="dim")


_QUIET = {
    "schema", "run", "time", "monotonic", "interval_seconds", "event", "device", "socket", "peer",
    "endpoint", "address", "socket_type", "routing_id", "reason", "detail", "error",
}  # fmt: skip


def event_line(report: Report) -> Text:
    """One event: when, of whom, what, why."""
    topic = report.topic
    try:
        when = datetime.fromtimestamp(report.time).astimezone().strftime("%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        when = "--:--:--"
    of = "/".join(one for one in (topic.device, topic.socket) if one)
    line = Text(f"{when} ", style="dim", no_wrap=True, overflow="ellipsis")
    line.append(clean(of), style="bold")
    line.append(f" {clean(topic.event)}", style=_event_style(topic.event))
    if topic.peer:
        line.append(f" {clean(topic.peer)}", style="cyan")
    line.append(f"  {clean(_details(report))}", style="dim")
    return line


def _details(report: Report) -> str:
    """Why, and what else is told."""
    body = report.body
    why = [str(body[name]) for name in ("reason", "detail", "error") if body.get(name)]
    rest = [f"{name}={value}" for name, value in body.items() if name not in _QUIET]
    if body.get("endpoint") and body["endpoint"] != report.topic.peer:
        rest.append(f"at {body['endpoint']}")
    return "  ".join([": ".join(dict.fromkeys(why)), *rest]).strip()


def _event_style(event: str) -> str:
    if event in {"listening", "accepted", "connected", "handshake_succeeded"}:
        return "green"
    if event in {"closed", "disconnected", "stopped"}:
        return "yellow"
    return "red"


def heading(watch: Watch, width: int, when: str) -> Text:
    """One line of what there is altogether."""
    devices = sum(len(place.snapshot.devices) for place in watch.places)
    there = sum(place.connected for place in watch.places)
    line = Text("hypersocket top", style="bold", no_wrap=True, overflow="ellipsis")
    line.append(f"   {_count(devices, 'device')}", style="not bold")
    line.append(
        f"   {there} of {_count(len(watch.places), 'endpoint')}",
        style="not bold" if there == len(watch.places) else "bold red",
    )
    strange = sum(place.strange for place in watch.places)
    if strange:
        line.append(f"   {strange} messages not understood", style="bold red")
    line.append(" " * max(1, width - line.cell_len - len(when)) + when, style="dim")
    return line


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def troubles(watch: Watch) -> list[Text]:
    """A line for each endpoint of which nothing is heard, and why."""
    lines: list[Text] = []
    for place in watch.places:
        if place.connected and place.heard:
            continue
        line = Text(clean(place.endpoint), style="bold", no_wrap=True, overflow="ellipsis")
        line.append(f"  {place.state}", style="yellow" if place.connected else "bold red")
        why = place.detail or place.strange_why
        if why:
            line.append(f": {clean(why)}", style="not bold")
        lines.append(line)
    return lines


def plain(watch: Watch, now: float, when: str, console: Console) -> RenderableType:
    """Everything down to the sockets, and the routes of gateways, to be printed."""
    width = console.width
    found = rows(watch, "sockets", now)
    parts: list[RenderableType] = [
        heading(watch, width, when),
        *troubles(watch),
        table(found, width),
    ]
    routes = route_rows(watch)
    if routes:
        parts += [Text(""), route_table(routes, width, whole=True)]
    return Group(*parts)
