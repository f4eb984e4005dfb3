"""What a device tells of itself, and how it is steered: the handle, the counters, the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import trio

from ..sockets import Socket

Kind: TypeAlias = Literal["proxy", "queue", "forwarder", "streamer"]
"""Which device it is."""

State: TypeAlias = Literal["running", "paused", "stopping", "stopped"]
"""What a device is at."""


REST = 1.0
"""Seconds of linger that sockets have, at most, when a device has waited for as long as it may.

So much, too, have those of who looks on, by a capture or a monitor. The other peers get what was
written for them meanwhile.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideStats:
    """What a device has taken from one of its sockets, and handed to it.

    Attributes:
        messages_in: messages that the device took from the socket.
        bytes_in: their bytes, frames only.
        messages_out: messages that the device handed to the socket, which accepted them.
        bytes_out: their bytes, frames only.
    """

    messages_in: int
    bytes_in: int
    messages_out: int
    bytes_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStats:
    """A worker behind a queue that balances by least outstanding requests.

    Attributes:
        routing_id: what the backend knows it by.
        address: where it is; empty where its transport has no addresses.
        outstanding: requests that it was given and has not answered.
        answered: replies that came from it.
    """

    routing_id: bytes
    address: str
    outstanding: int
    answered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStats:
    """A device since it was started; the sockets' own counters are in :meth:`Socket.stats`.

    Every message that came in on one side was handed to the other, or is in ``held`` or in
    ``undelivered``.

    Attributes:
        name: the device's name.
        kind: ``"proxy"``, ``"queue"``, ``"forwarder"`` or ``"streamer"``.
        state: ``"running"``, ``"paused"``, ``"stopping"`` or ``"stopped"``.
        frontend: messages and bytes through the frontend.
        backend: messages and bytes through the backend.
        held: messages taken from one side that wait to be accepted by the other.
        undelivered: messages taken from one side that could not be handed to the other.
        reasons: the same by reason, in words.
        captured: copies that the capture socket accepted.
        capture_missed: copies that it had no room for.
        outstanding: requests at workers that have not been answered; 0 unless the queue balances
            by least outstanding requests.
        forgotten: requests that were with workers which went away, so that no reply can come.
        workers: the workers, in the order of their coming; likewise.
    """

    name: str
    kind: Kind
    state: State
    frontend: SideStats
    backend: SideStats
    held: int
    undelivered: int
    reasons: Mapping[str, int]
    captured: int
    capture_missed: int
    outstanding: int
    forgotten: int
    workers: tuple[WorkerStats, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceResult:
    """What became of what a device had accepted, when it has stopped.

    Attributes:
        stats: the device's counters at the end.
        undelivered: messages that the device had taken and could not hand on.
        unread: messages that were received by its sockets, and that it has not taken.
        unwritten: messages that its sockets accepted from it, and had not written when their
            ``linger`` was over; they get what is left to them when the socket is left.
    """

    stats: DeviceStats
    undelivered: int
    unread: int
    unwritten: int

    @property
    def complete(self) -> bool:
        """Whether everything was delivered."""
        return not (self.undelivered or self.unread or self.unwritten)


class Device:
    """The handle of a running device, which ``nursery.start`` returns.

    It may be used from any task of the same :func:`trio.run`.

    Attributes:
        name: for logs, statistics and monitors.
        kind: ``"proxy"``, ``"queue"``, ``"forwarder"`` or ``"streamer"``.
        frontend: the socket that it was given as such.
        backend: likewise.
        capture: likewise, or None.
        control: likewise, or None.
        result: what became of everything, once it has stopped, failed or was cancelled; None
            before.
    """

    kind: Kind

    def __init__(
        self,
        name: str,
        kind: Kind,
        frontend: Socket,
        backend: Socket,
        capture: Socket | None,
        control: Socket | None,
        engine: Engine,
    ) -> None:
        self.name = name
        self.kind = kind
        self.frontend = frontend
        self.backend = backend
        self.capture = capture
        self.control = control
        self.result: DeviceResult | None = None
        self._engine = engine
        self._ended = trio.Event()

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r} {self.state}>"

    def __str__(self) -> str:
        return self.name if self.name == self.kind else f"{self.kind} {self.name}"

    @property
    def state(self) -> State:
        """``"running"``, ``"paused"``, ``"stopping"`` or ``"stopped"``."""
        return self._engine.state

    def pause(self) -> None:
        """Take no more messages; what was taken is still handed on. Nothing, if it is stopping.

        Messages then wait in the sockets, and behind those with the peers.
        """
        self._engine.pause()

    def resume(self) -> None:
        """Take messages again. Nothing, unless it is paused."""
        self._engine.resume()

    def stop_soon(self) -> None:
        """Begin a graceful stop, and return at once; the device's call returns when it is done.

        The device takes no more messages than its sockets have received already. A socket that
        only receives (PULL, SUB, XSUB) is unbound and disconnected, so that its peers keep what
        they have not sent. A queue waits for the replies to what its workers were given. Then
        everything is written. All this takes at most as long as the longer ``linger`` of the two
        sockets.
        """
        self._engine.stop_soon()

    async def stop(self) -> DeviceResult:
        """Stop gracefully as :meth:`stop_soon` does, and wait until that is done.

        Returns:
            What became of everything, as the device's own call does.

        Cancelled, the stop goes on.
        """
        self.stop_soon()
        await self._ended.wait()
        assert self.result is not None
        return self.result

    def stats(self) -> DeviceStats:
        """A snapshot of the counters."""
        return self._engine.stats(self.name, self.kind)

    def _has_ended(self, result: DeviceResult) -> None:
        self.result = result
        self._ended.set()


class Engine(Protocol):
    """What runs a device; see :mod:`hypersocket.devices._engine`."""

    @property
    def state(self) -> State:
        """What it is at."""
        ...

    def pause(self) -> None:
        """Take no more messages."""
        ...

    def resume(self) -> None:
        """Take messages again."""
        ...

    def stop_soon(self) -> None:
        """Begin to stop."""
        ...

    def stats(self, name: str, kind: Kind) -> DeviceStats:
        """The counters."""
        ...
