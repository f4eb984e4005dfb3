"""The other side of the feed: reads its messages, and keeps the last of each kind."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ._bodies import SCHEMA
from ._topics import STATS, FeedError, Topic, parse_topic, short

MAX_BODY = 1024 * 1024
"""Bytes of a body that are read at most. The largest that are published have some 10 KiB."""


@dataclass(frozen=True, slots=True)
class Report:
    """One message of a feed, read and checked.

    Attributes:
        topic: what it is about.
        body: the whole JSON object.
    """

    topic: Topic
    body: Mapping[str, Any]

    @property
    def run(self) -> str:
        """Which run of the feed this is of; with the next, counters begin again."""
        return cast("str", self.body["run"])

    @property
    def time(self) -> float:
        """Seconds since 1970-01-01 UTC, by the publisher's clock."""
        return float(self.body["time"])

    @property
    def monotonic(self) -> float:
        """Seconds of the publisher's monotonic clock; for differences within a run."""
        return float(self.body["monotonic"])

    @property
    def interval(self) -> float:
        """Seconds from one statistics to the next."""
        return float(self.body["interval_seconds"])

    @property
    def counters(self) -> Mapping[str, int]:
        """What only grows; empty for an event."""
        return cast("Mapping[str, int]", self.body.get("counters", {}))

    @property
    def gauges(self) -> Mapping[str, int]:
        """What goes up and down; empty for an event."""
        return cast("Mapping[str, int]", self.body.get("gauges", {}))


def parse_report(frames: Sequence[bytes]) -> Report:
    """Read one message of a feed.

    Raises:
        FeedError: it is none, or of another version; the text says why.
    """
    if len(frames) != 2:
        raise FeedError(f"a message of a feed has a topic and a body, not {len(frames)} frames")
    topic = parse_topic(frames[0])
    if len(frames[1]) > MAX_BODY:
        raise FeedError(f"a body of {len(frames[1])} bytes, where {MAX_BODY} are the most")
    try:
        body = json.loads(frames[1], parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FeedError(f"the body of {short(frames[0])} is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise FeedError(f"the body of {short(frames[0])} is not a JSON object")
    fields = cast("dict[str, Any]", body)
    _check_body(topic, fields)
    return Report(topic, fields)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _check_body(topic: Topic, body: dict[str, Any]) -> None:
    def refuse(name: str, expected: str) -> None:
        given = reprlib.repr(body.get(name))
        raise FeedError(f"{name}={given} in the body of {short(bytes(topic))}: expected {expected}")

    if body.get("schema") != SCHEMA:
        refuse("schema", f"{SCHEMA}, which is understood")
    if not isinstance(body.get("run"), str):
        refuse("run", "a str")
    for name in ("time", "monotonic", "interval_seconds"):
        if not _is_number(body.get(name)):
            refuse(name, "a number")
    for name in ("counters", "gauges"):
        numbers: object = body.get(name, {})
        if not isinstance(numbers, dict) or not all(
            _is_number(number) for number in cast("dict[str, object]", numbers).values()
        ):
            refuse(name, "an object of numbers")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and _finite(value)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


@dataclass(slots=True)
class View:
    """The last statistics of a device, socket or peer, and those before.

    Attributes:
        report: the last.
        before: the ones before, of the same run; None where there are none.
        heard: when the last came, by the clock of who listens.
    """

    report: Report
    heard: float
    before: Report | None = None

    def take(self, report: Report, now: float) -> None:
        """The next statistics."""
        self.heard = now
        if report.run != self.report.run:
            self.before = None
        elif report.monotonic - self.report.monotonic >= self.report.interval / 2:
            self.before = self.report
        # Else somebody has subscribed between two intervals, and was answered: two that are so
        # close would make poor rates, so those before stay.
        self.report = report

    def counter(self, name: str) -> int:
        """A counter; 0 where it is not told."""
        return self.report.counters.get(name, 0)

    def gauge(self, name: str) -> int:
        """A gauge; 0 where it is not told."""
        return self.report.gauges.get(name, 0)

    def rate(self, name: str) -> float | None:
        """How much a counter grows in a second; None until that is known."""
        if self.before is None:
            return None
        elapsed = self.report.monotonic - self.before.monotonic
        if elapsed <= 0:
            return None
        grown = self.report.counters.get(name, 0) - self.before.counters.get(name, 0)
        return max(grown / elapsed, 0.0)


@dataclass(slots=True)
class SocketView:
    """A socket: its own statistics, and its peers' by name."""

    own: View | None = None
    peers: dict[str, View] = field(default_factory=dict[str, View])


@dataclass(slots=True)
class DeviceView:
    """A device or program: its own statistics, and its sockets' by name.

    Attributes:
        stopped: it said that it has stopped, and nothing since.
    """

    own: View | None = None
    sockets: dict[str, SocketView] = field(default_factory=dict[str, SocketView])
    stopped: bool = False

    @property
    def settled(self) -> bool:
        """Whether the rates of the device and of its sockets are known."""
        if self.own is None or self.own.before is None:
            return False
        sockets = [self.sockets.get(name) for name in _names(self.own.report)]
        return all(
            socket is not None and socket.own is not None and socket.own.before is not None
            for socket in sockets
        )


def _names(report: Report) -> list[str]:
    """The sockets that a device says it has."""
    names = report.body.get("sockets")
    return list(map(str, cast("list[object]", names))) if isinstance(names, list) else []


class Snapshot:
    """What is known of all devices that a subscriber hears of.

    ::

        snapshot = Snapshot()
        async for frames in sub.multipart():
            snapshot.take(frames, trio.current_time())
            print(snapshot.devices["orders"].sockets["in"].own.rate("messages_in"))

    Args:
        max_views: how many devices, sockets and peers are kept at most; what is told of more is
            counted in ``refused``.

    Attributes:
        devices: by name, in the order of their coming.
        refused: messages that would have been of one too many.
    """

    def __init__(self, max_views: int = 50_000) -> None:
        self.devices: dict[str, DeviceView] = {}
        self.refused = 0
        self._max_views = max_views
        self._views = 0

    def take(self, frames: Sequence[bytes], now: float) -> Report:
        """Take in one message, which came at ``now``.

        Raises:
            FeedError: it is none of a feed.
        """
        report = parse_report(frames)
        topic = report.topic
        if topic.event == STATS:
            self._take_stats(report, now)
        elif topic.event == "stopped" and topic.device in self.devices:
            self.devices[topic.device].stopped = True
        return report

    def forget(self, silent_since: float) -> None:
        """Forget the devices of which nothing came after ``silent_since``."""
        for name, device in tuple(self.devices.items()):
            views = [device.own, *(socket.own for socket in device.sockets.values())]
            if all(view is None or view.heard < silent_since for view in views):
                del self.devices[name]
                self._views -= sum(view is not None for view in views)
                self._views -= sum(len(socket.peers) for socket in device.sockets.values())

    def _take_stats(self, report: Report, now: float) -> None:
        topic = report.topic
        if self._views >= self._max_views and self._find(topic) is None:
            self.refused += 1
            return
        device = self.devices.setdefault(topic.device, DeviceView())
        device.stopped = False
        if not topic.socket:
            device.own = self._update(device.own, report, now)
            self._keep_sockets(device, report)
            return
        socket = device.sockets.setdefault(topic.socket, SocketView())
        if not topic.peer:
            socket.own = self._update(socket.own, report, now)
            self._forget_peers(socket, now, 3 * max(report.interval, 1.0))
            return
        socket.peers[topic.peer] = self._update(socket.peers.get(topic.peer), report, now)

    def _update(self, view: View | None, report: Report, now: float) -> View:
        if view is None:
            self._views += 1
            return View(report, now)
        view.take(report, now)
        return view

    def _find(self, topic: Topic) -> View | None:
        device = self.devices.get(topic.device)
        if device is None or not topic.socket:
            return device.own if device else None
        socket = device.sockets.get(topic.socket)
        if socket is None or not topic.peer:
            return socket.own if socket else None
        return socket.peers.get(topic.peer)

    def _keep_sockets(self, device: DeviceView, report: Report) -> None:
        for name in set(device.sockets).difference(_names(report)):
            gone = device.sockets.pop(name)
            self._views -= len(gone.peers) + (gone.own is not None)

    def _forget_peers(self, socket: SocketView, now: float, age: float) -> None:
        gone = [name for name, view in socket.peers.items() if now - view.heard > age]
        for name in gone:
            del socket.peers[name]
        self._views -= len(gone)
