"""What can be watched: sockets, and a device that owns them, under names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from .._stats import PeerStats
from ..sockets import Socket
from ._topics import MAX_NAME


class SideStatsLike(Protocol):
    """What a device took from one of its sockets and gave to it; bytes are those of frames."""

    @property
    def messages_in(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def messages_out(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...


class WorkerStatsLike(Protocol):
    """A worker of a queue that counts what each has to do."""

    @property
    def routing_id(self) -> bytes: ...
    @property
    def address(self) -> str: ...
    @property
    def outstanding(self) -> int: ...
    @property
    def answered(self) -> int: ...


class DeviceStatsLike(Protocol):
    """What :class:`hypersocket.devices.DeviceStats` has of what is told."""

    @property
    def state(self) -> str: ...
    @property
    def frontend(self) -> SideStatsLike: ...
    @property
    def backend(self) -> SideStatsLike: ...
    @property
    def held(self) -> int: ...
    @property
    def undelivered(self) -> int: ...
    @property
    def reasons(self) -> Mapping[str, int]: ...
    @property
    def captured(self) -> int: ...
    @property
    def capture_missed(self) -> int: ...
    @property
    def outstanding(self) -> int: ...
    @property
    def forgotten(self) -> int: ...
    @property
    def workers(self) -> Sequence[WorkerStatsLike]: ...


class RouteStatsLike(Protocol):
    """What :class:`hypersocket.devices.amqp_gateway.RouteStats` has of what is told."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def active(self) -> bool: ...
    @property
    def error(self) -> str: ...
    @property
    def received(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def forwarded(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def confirmed(self) -> int: ...
    @property
    def returned(self) -> int: ...
    @property
    def rejected(self) -> int: ...
    @property
    def requeued(self) -> int: ...
    @property
    def retried(self) -> int: ...
    @property
    def redelivered(self) -> int: ...
    @property
    def expired(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def malformed(self) -> int: ...
    @property
    def looped(self) -> int: ...
    @property
    def damaged(self) -> int: ...
    @property
    def dead_lettered(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def drops(self) -> Mapping[str, int]: ...
    @property
    def pending(self) -> int: ...
    @property
    def credit(self) -> int: ...
    @property
    def bindings(self) -> int: ...
    @property
    def overdue(self) -> int: ...


@runtime_checkable
class GatewayStatsLike(Protocol):
    """What :class:`hypersocket.devices.amqp_gateway.GatewayStats` has of what is told."""

    @property
    def state(self) -> str: ...
    @property
    def protocol(self) -> str: ...
    @property
    def connected(self) -> bool: ...
    @property
    def address(self) -> str: ...
    @property
    def blocked(self) -> str: ...
    @property
    def connects(self) -> int: ...
    @property
    def reconnects(self) -> int: ...
    @property
    def error(self) -> str: ...
    @property
    def routes(self) -> Sequence[RouteStatsLike]: ...


class DeviceLike(Protocol):
    """What has to be known of a device, or of a gateway.

    :class:`hypersocket.devices.Device` and
    :class:`hypersocket.devices.amqp_gateway.AmqpGateway` are such.
    """

    @property
    def kind(self) -> str:
        """What it is, such as ``"queue"`` or ``"gateway"``."""
        ...

    def stats(self) -> DeviceStatsLike | GatewayStatsLike:
        """A snapshot of its counters; may not wait."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """Sockets, and perhaps the device or gateway that has them, under the names to tell them by.

    Attributes:
        name: of the device, or of the program that has the sockets.
        sockets: by name, such as ``{"frontend": pull, "backend": push}``.
        device: the handle of the device, or the gateway, if there is one.

    Raises:
        ValueError: a name is empty or too long, or no text that could be encoded.
        TypeError: what is given as a socket is none.
    """

    name: str
    sockets: Mapping[str, Socket]
    device: DeviceLike | None = field(default=None)

    def __post_init__(self) -> None:
        check_name("name", self.name)
        for name, socket in self.sockets.items():
            check_name("a socket's name", name)
            if not isinstance(socket, Socket):
                raise TypeError(f"sockets[{name!r}]={socket!r}: expected a socket")
        if not self.sockets and self.device is None:
            raise ValueError(f"{self.name!r} has neither sockets nor a device to tell of")

    @property
    def kind(self) -> str:
        """The device's, or ``"program"``."""
        return self.device.kind if self.device is not None else "program"


def check_name(what: str, name: object) -> None:
    """Raise where something cannot be called this."""
    if not isinstance(name, str):
        raise TypeError(f"{what}={name!r}: expected a str")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what}={name!r}: cannot be encoded as UTF-8") from None
    if not 1 <= size <= MAX_NAME:
        raise ValueError(f"{what}={name!r}: expected 1 to {MAX_NAME} bytes of UTF-8")


def peer_name(endpoint: str, address: str, bound: Collection[str]) -> str:
    """What a peer is called.

    One that we connect to keeps the endpoint's name through all reconnections; one that connected
    to us is known by its address. Where a transport has no addresses, the endpoint has to do.
    """
    return (address or endpoint) if endpoint in bound else endpoint


def named_peers(peers: Iterable[PeerStats], bound: Collection[str]) -> list[tuple[str, PeerStats]]:
    """Each peer with its name; a number tells apart those of the same name."""
    named: dict[str, PeerStats] = {}
    counts: dict[str, int] = {}
    for peer in peers:
        name = base = peer_name(peer.endpoint, peer.address, bound)
        while name in named:
            counts[base] = counts.get(base, 1) + 1
            name = f"{base}#{counts[base]}"
        named[name] = peer
    return list(named.items())
