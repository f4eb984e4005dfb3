"""What ``hypersocket top`` hears: the feeds at several endpoints, and whether they are there."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from .. import Sub, events
from ..management import DeviceView, FeedError, Report, Snapshot, View, topic_prefix

MAX_EVENTS = 500
"""Events that are kept for the list of them."""

MAX_MESSAGE = 4 * 1024 * 1024
"""Bytes of a message of whoever is at the other end."""

LEAVING = 0.1
"""Seconds for publishers to hear that they are not listened to any more."""

FORGET = 600.0
"""Seconds without a word after which a device is no longer shown."""

PATIENCE = 3.0
"""Intervals without statistics after which a device counts as silent."""


@dataclass(slots=True)
class Watched:
    """One endpoint.

    Attributes:
        endpoint: as it was given.
        snapshot: what is known of its devices.
        connected: whether the connection stands.
        detail: if not, why.
        heard: whether anything of a feed has come yet.
        strange: messages that were none of a feed.
        strange_why: what the last of them was.
    """

    endpoint: str
    snapshot: Snapshot = field(default_factory=Snapshot)
    connected: bool = False
    detail: str = "no answer yet"
    heard: bool = False
    strange: int = 0
    strange_why: str = ""

    @property
    def state(self) -> str:
        """How it is, in a word or two."""
        if not self.connected:
            return "not there"
        if self.heard:
            return "connected"
        return "no feed" if self.strange else "connected, and silent"

    @property
    def settled(self) -> bool:
        """Whether all its devices have told rates."""
        devices = self.snapshot.devices.values()
        return bool(devices) and all(device.settled or device.stopped for device in devices)


class Watch:
    """The feeds at several endpoints.

    Attributes:
        places: the endpoints, in the order that they were given in.
        events: the latest events, the oldest first.
    """

    def __init__(self, endpoints: Sequence[str]) -> None:
        self.places = [Watched(endpoint) for endpoint in dict.fromkeys(endpoints)]
        self.events: deque[Report] = deque(maxlen=MAX_EVENTS)
        self._changed = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled."""
        async with trio.open_nursery() as nursery:
            for place in self.places:
                await nursery.start(self._listen, place)
            task_status.started()

    def forget(self, now: float) -> None:
        """Forget devices that have been silent for long."""
        for place in self.places:
            place.snapshot.forget(now - FORGET)

    async def wait_changed(self) -> None:
        """Wait until something more was heard."""
        await self._changed.wait()

    async def wait_settled(self) -> None:
        """Wait until all endpoints are there, and have told rates."""
        while not all(place.settled for place in self.places):
            await self.wait_changed()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _listen(
        self, place: Watched, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        sub = Sub(subscribe=topic_prefix(), rcvhwm=10_000, maxmsgsize=MAX_MESSAGE)
        async with sub.monitor() as monitor, sub, trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, place, monitor)
            await sub.connect(place.endpoint)
            task_status.started()
            try:
                async for frames in sub.multipart():
                    self._take(place, frames)
            finally:
                await self._leave(sub)

    async def _leave(self, sub: Sub) -> None:
        # What is still on its way would reset the connection, for which each publisher would have
        # a warning in its log.
        with trio.CancelScope(shield=True), trio.move_on_after(LEAVING):
            sub.unsubscribe(topic_prefix())
            async for _ in sub.multipart():
                pass

    async def _follow(self, place: Watched, monitor: events.Monitor) -> None:
        async for event in monitor:
            if isinstance(event, events.HandshakeSucceeded):
                place.connected, place.detail = True, ""
            elif isinstance(event, events.HandshakeFailed):
                place.connected, place.detail = False, event.detail
            elif isinstance(event, (events.Disconnected, events.ConnectRetried)):
                place.connected, place.detail = False, str(event.reason)
            self._change()

    def _take(self, place: Watched, frames: list[bytes]) -> None:
        try:
            report = place.snapshot.take(frames, trio.current_time())
        except FeedError as error:
            place.strange += 1
            place.strange_why = str(error)
        else:
            place.heard = True
            if report.topic.event != "stats":
                self.events.append(report)
        self._change()


def state_of(place: Watched, device: DeviceView, now: float) -> str:
    """What a device is at: what it said, unless it says nothing any more."""
    if device.stopped:
        return "stopped"
    if device.own is None:
        return "unknown"
    interval = max(device.own.report.interval, 1.0)
    if now - device.own.heard > PATIENCE * interval:
        return "silent" if place.connected else "lost"
    return str(device.own.report.body.get("state", "unknown"))


def as_json(watch: Watch, now: float, wall: float) -> dict[str, Any]:
    """Everything that is known, for scripts."""
    return {
        "schema": 1,
        "time": wall,
        "endpoints": [
            {
                "endpoint": place.endpoint,
                "state": place.state,
                "detail": place.detail or place.strange_why,
                "messages_not_understood": place.strange,
                "devices": [
                    _device_json(place, name, device, now)
                    for name, device in place.snapshot.devices.items()
                ],
            }
            for place in watch.places
        ],
    }


def _device_json(place: Watched, name: str, device: DeviceView, now: float) -> dict[str, Any]:
    return {
        "device": name,
        **_view_json(device.own),
        "state": state_of(place, device, now),
        "sockets": [
            {
                "socket": socket_name,
                **_view_json(socket.own),
                "peers": [
                    {"peer": peer_name, **_view_json(peer)}
                    for peer_name, peer in socket.peers.items()
                ],
            }
            for socket_name, socket in device.sockets.items()
        ],
    }


_NOT_REPEATED = {"schema", "device", "socket", "peer", "event", "sockets"}


def _view_json(view: View | None) -> dict[str, Any]:
    if view is None:
        return {}
    told = {name: value for name, value in view.report.body.items() if name not in _NOT_REPEATED}
    rates = {name: view.rate(name) for name in view.report.counters}
    return told | {"per_second": rates}
