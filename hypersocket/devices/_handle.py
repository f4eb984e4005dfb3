"""What a device tells of itself, and how it is steered: the handle, the counters, the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import trio

from ..sockets import Socket

Kind: TypeAlias = Literal["proxy", "queue", "forwarder", "streamer"]
"""Which device it is."""

State: TypeAlias = Literal["running", "paused", "stopping", "stopped"]
"""What a device is at."""


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
        result: what became of everything, once it has stopped or was cancelled; None before.
    """

    name: str
    kind: Kind
    frontend: Socket
    backend: Socket
    capture: Socket | None
    control: Socket | None
    result: DeviceResult | None

    @property
    def state(self) -> State:
        """``"running"``, ``"paused"``, ``"stopping"`` or ``"stopped"``."""
        raise NotImplementedError

    def pause(self) -> None:
        """Take no more messages; what was taken is still handed on. Nothing, if it is stopping."""
        raise NotImplementedError

    def resume(self) -> None:
        """Take messages again. Nothing, unless it is paused."""
        raise NotImplementedError

    def stop_soon(self) -> None:
        """Begin a graceful stop, and return at once; the device's call returns when it is done."""
        raise NotImplementedError

    async def stop(self) -> DeviceResult:
        """Stop gracefully, and wait until that is done.

        Cancelled, the stop goes on.
        """
        raise NotImplementedError

    def stats(self) -> DeviceStats:
        """A snapshot of the counters."""
        raise NotImplementedError
