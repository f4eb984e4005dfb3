"""The reference says what is published: every field, no less and no more."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
import trio

import hypersocket as hs
from hypersocket import events, management
from hypersocket.management import _bodies, _measures, _metrics

from .watching import ours, read, until

PAGE = (Path(__file__).parents[2] / "docs/reference/monitor-feed.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    _, _, rest = PAGE.partition(f"\n### {title}\n")
    assert rest, title
    return rest.partition("\n#")[0]


def documented(title: str) -> set[str]:
    """The fields in the tables of a section."""
    return set(re.findall(r"^\| `([^`]+)` \|", section(title), re.MULTILINE))


def paths(body: Any, prefix: str = "") -> set[str]:
    """The fields of a body, those of objects with dots. The keys of totals by reason are data."""
    found: set[str] = set()
    for name, value in body.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and not name.endswith("_by_reason"):
            found |= paths(value, f"{path}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            found |= paths(value[0], f"{path}[].")
        else:
            found.add(path)
    return found


async def test_statistics_have_the_fields_that_are_documented() -> None:
    async with (
        hs.Router(bind="inproc://front") as front,
        hs.devices.AddressedDealer(bind="inproc://back") as back,
        hs.Rep(connect="inproc://back"),
        hs.Req(connect="inproc://front"),
        trio.open_nursery() as nursery,
    ):
        await back.wait_connected()
        device = await nursery.start(
            partial(hs.devices.queue, front, back, balance="least-outstanding")
        )
        feed = await nursery.start(
            partial(
                management.publish_monitor,
                "inproc://monitor",
                name="d",
                sockets={"in": front, "out": back},
                device=device,
                interval=0.01,
            )
        )
        common = documented("Every message")
        async with ours(feed.endpoints[0]) as sub:
            told = await until(sub, lambda report: bool(report.body.get("workers")))
            assert paths(told.body) == common | documented("Statistics of a device")
            told = await until(sub, lambda report: report.topic.socket == "in")
            assert paths(told.body) == common | documented("Statistics of a socket")
            told = await until(sub, lambda report: report.topic.peer != "")
            assert paths(told.body) == common | documented("Statistics of a peer")
            for name in ("device", "socket", "peer", "event"):
                assert told.body[name] == getattr(told.topic, name)
            feed.stop()
            told = await until(sub, lambda report: report.topic.event == "stopped")
            assert paths(told.body) == common
        nursery.cancel_scope.cancel()


async def test_a_program_without_a_device_has_fewer() -> None:
    sockets = {"in": hs.Pull()}
    async with (
        management.monitor_feed("inproc://monitor", name="d", sockets=sockets) as feed,
        ours(feed.endpoints[0]) as sub,
    ):
        told = await read(sub)
        devices = {f"{one.sort}.{one.name}" for one in _measures.DEVICE}
        more = {name for name in documented("Statistics of a device") if name.startswith("workers")}
        assert paths(told.body) == documented("Every message") | (
            documented("Statistics of a device")
            - devices
            - more
            - {"messages_undelivered_by_reason"}
        )


def rows_of_events() -> dict[str, list[str]]:
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", section("Events"), re.MULTILINE)
    return {event: re.findall(r"`(\w+)`", fields) for event, fields in rows}


@pytest.mark.parametrize("kind", get_args(events.MonitorEvent), ids=lambda kind: kind.__name__)
def test_events_have_the_fields_that_are_documented(kind: type[hs.events.Event]) -> None:
    samples: dict[str, Any] = {
        "float": 1.5, "int": 3, "str": "text", "bytes": b"\xff",
        "Reason": hs.Reason.CLOSED_BY_PEER, "DropReason": hs.DropReason.LINGER,
    }  # fmt: skip
    made: Any = kind(**{field.name: samples[str(field.type)] for field in dataclasses.fields(kind)})
    topic, body = _bodies.event_told("d", "s", made, ())
    assert rows_of_events()[topic.event] == list(body)
    assert _bodies.encode(body)


def test_there_are_no_other_events() -> None:
    names = {_bodies.event_name(kind) for kind in get_args(events.MonitorEvent)}
    assert set(rows_of_events()) == names | {"stopped"}


@pytest.mark.parametrize(
    ("what", "title", "measures"),
    [
        ("device", "Statistics of a device", _measures.DEVICE),
        ("socket", "Statistics of a socket", _measures.SOCKET),
        ("peer", "Statistics of a peer", _measures.PEER),
        ("gateway", "Statistics of a gateway", _measures.GATEWAY),
        ("route", "Statistics of a route", _measures.ROUTE),
    ],
)
def test_every_measure_is_documented_with_its_metric(
    what: str, title: str, measures: tuple[_measures.Measure[Any], ...]
) -> None:
    for one in measures:
        total = "_total" if one.sort == "counters" else ""
        metric = f"{_metrics.PREFIX}_{what}_{one.metric}{total}"
        row = f"| `{one.sort}.{one.name}` | {one.unit} | {one.doc} | `{metric}` |\n"
        assert row in section(title)
    assert len({one.name for one in measures}) == len({one.metric for one in measures})


def test_everything_public_is_in_the_reference() -> None:
    found = set(re.findall(r"^\.\. auto\w+:: hypersocket\.management\.(\w+)", PAGE, re.MULTILINE))
    assert found == set(management.__all__)
