"""Monitor events: what happens to a socket's endpoints and connections, told as it happens."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

import trio

from ._reasons import DropReason, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event says.

    Attributes:
        time: :func:`trio.current_time` when it happened, in seconds.
        endpoint: ours, as :attr:`Socket.endpoints` or ``connect`` has it.
    """

    time: float
    endpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerEvent(Event):
    """An event about one connection.

    Attributes:
        address: the peer's address, as its transport writes it; empty where there is none.
        socket_type: the peer's, such as ``"DEALER"``; empty before it has told.
        routing_id: the peer's; empty where it has none.
    """

    address: str = ""
    socket_type: str = ""
    routing_id: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening(Event):
    """``bind`` succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BindFailed(Event):
    """``bind`` failed; the call raises the same."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(PeerEvent):
    """A peer connected to us; its handshake begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptFailed(Event):
    """The system could not accept a connection, for want of descriptors for instance.

    Accepting goes on after ``retry_in`` seconds.
    """

    error: str
    retry_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected(PeerEvent):
    """We reached a peer; the handshake begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectRetried(Event):
    """There is no connection; the next attempt comes after ``retry_in`` seconds."""

    reason: Reason
    detail: str
    retry_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeSucceeded(PeerEvent):
    """Both sides agreed; messages may flow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeFailed(PeerEvent):
    """The two sides did not agree; the connection is closed."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected(PeerEvent):
    """A connection that had shaken hands has ended."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesDropped(PeerEvent):
    """Messages of one peer are being dropped for one reason, told when it begins.

    The running count is in :meth:`Socket.stats`.
    """

    reason: DropReason
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(Event):
    """An endpoint was unbound or disconnected, or its socket closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsMissed(Event):
    """The monitor was not read in time: ``count`` events are missing here."""

    count: int


MonitorEvent: TypeAlias = (
    Listening
    | BindFailed
    | Accepted
    | AcceptFailed
    | Connected
    | ConnectRetried
    | HandshakeSucceeded
    | HandshakeFailed
    | Disconnected
    | MessagesDropped
    | Closed
    | EventsMissed
)

Make: TypeAlias = Callable[[], MonitorEvent]
"""Makes an event; called only when there is somebody to tell."""


class Monitor:
    """The events of one socket from the moment of entering on, as an async iterator.

    Made by :meth:`Socket.monitor`. The iteration ends when the socket has closed. At most
    ``max_events`` wait to be read; then the oldest make room, and :class:`EventsMissed` says
    how many.
    """

    def __init__(self, monitors: Monitors, max_events: int) -> None:
        self._monitors = monitors
        self._events: deque[MonitorEvent] = deque()
        self._max_events = max_events
        self._missed = 0
        self._missed_at = 0.0
        self._ended = False
        self._parked = trio.lowlevel.ParkingLot()

    async def __aenter__(self) -> Self:
        self._monitors.add(self)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._monitors.remove(self)
        self.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MonitorEvent:
        """Wait for the next event; a cancelled wait loses none."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._events and not self._missed:
            if self._ended:
                await trio.lowlevel.cancel_shielded_checkpoint()
                raise StopAsyncIteration
            await self._parked.park()
        await trio.lowlevel.cancel_shielded_checkpoint()
        if self._missed:
            missed, self._missed = self._missed, 0
            return EventsMissed(time=self._missed_at, endpoint="", count=missed)
        return self._events.popleft()

    def put(self, event: MonitorEvent) -> None:
        """Take one event, in place of the oldest when there are too many."""
        if len(self._events) >= self._max_events:
            self._events.popleft()
            self._missed += 1
            self._missed_at = event.time
        self._events.append(event)
        self._parked.unpark()

    def end(self) -> None:
        """There will be no more events."""
        self._ended = True
        self._parked.unpark_all()


class Monitors:
    """The monitors that are open on one socket."""

    def __init__(self) -> None:
        self._open: list[Monitor] = []
        self._ended = False

    def add(self, monitor: Monitor) -> None:
        """Start telling ``monitor``."""
        self._open.append(monitor)
        if self._ended:
            monitor.end()

    def remove(self, monitor: Monitor) -> None:
        """Stop telling ``monitor``."""
        self._open.remove(monitor)

    def tell(self, make: Make) -> None:
        """Give every monitor the event, which is made only if there is one."""
        if self._open:
            event = make()
            for monitor in self._open:
                monitor.put(event)

    def end(self) -> None:
        """The socket has closed."""
        self._ended = True
        for monitor in self._open:
            monitor.end()
