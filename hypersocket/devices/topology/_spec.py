"""A topology that has been read and checked: what is to run, and what is around it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias

from ... import sockets
from ...sockets import Socket
from .._balance import AddressedDealer
from .._files._problems import NOTHING, Problem, did_you_mean
from ..amqp_gateway.config._config import GatewayConfig
from ._errors import TopologyError

Kind: TypeAlias = Literal["queue", "forwarder", "streamer", "proxy"]
Balance: TypeAlias = Literal["round-robin", "least-outstanding"]
Restart: TypeAlias = Literal["backoff", "never"]
SocketClass: TypeAlias = type[Socket]

SOCKET_TYPES: Mapping[str, type[Socket]] = {
    one.socket_type: one
    for one in (
        *(sockets.Req, sockets.Rep, sockets.Dealer, sockets.Router),
        *(sockets.Pub, sockets.Sub, sockets.XPub, sockets.XSub),
        *(sockets.Push, sockets.Pull, sockets.Pair),
    )
}
"""The socket types by the names that ZMTP has for them."""

SIDES = ("frontend", "backend", "capture", "control", "monitor")
"""The sockets that a device may have, by their keys."""


@dataclass(frozen=True, slots=True)
class SocketSpec:
    """One socket.

    Attributes:
        type: ZMTP's name for the type, such as ``"ROUTER"``.
        bind: endpoints to listen at.
        connect: endpoints to connect to, references resolved.
        options: keyword arguments for the socket's class, ``subscribe`` included.
        addressed: whether it is a DEALER that knows its peers one by one, as a queue needs that
            balances by least outstanding requests.
    """

    type: str
    bind: tuple[str, ...] = ()
    connect: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    addressed: bool = False

    @property
    def socket_class(self) -> SocketClass:
        """The class to make it of."""
        return AddressedDealer if self.addressed else SOCKET_TYPES[self.type]

    def make(self, *, at_endpoints: bool = True, **options: Any) -> Socket:
        """The socket, not yet open.

        Args:
            at_endpoints: whether it binds and connects on entry.
            options: in place of, or beside, those of the file.
        """
        chosen = {**self.options, **options}
        if not at_endpoints:
            return self.socket_class(**chosen)
        return self.socket_class(bind=self.bind, connect=self.connect, **chosen)


class SocketLike(Protocol):
    """What has to be known of a socket to draw and to check it."""

    @property
    def type(self) -> str: ...
    @property
    def bind(self) -> tuple[str, ...]: ...
    @property
    def connect(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """One device. The attributes are the keys of its table; the reference describes them."""

    name: str
    kind: Kind
    frontend: SocketSpec
    backend: SocketSpec
    capture: SocketSpec | None = None
    control: SocketSpec | None = None
    monitor: SocketSpec | None = None
    monitor_interval: float = 1.0
    metrics: str | None = None
    balance: Balance = "round-robin"
    part: str | None = None
    host: str | None = None
    label: str | None = None
    restart: Restart = "backoff"
    restart_ivl: float = 0.5
    restart_ivl_max: float = 30.0

    def sockets(self) -> dict[str, SocketSpec]:
        """Its sockets by their keys."""
        found = {side: getattr(self, side) for side in SIDES}
        return {side: spec for side, spec in found.items() if spec is not None}

    def runs_as(self, other: Member) -> bool:
        """Whether the two run alike, so that one need not be stopped to have the other.

        What is only drawn, or only counts at a restart, makes no difference.
        """
        if not isinstance(other, DeviceSpec):
            return False
        same: dict[str, Any] = {"part": None, "host": None, "label": None}
        same |= {"restart": "backoff", "restart_ivl": 0.0, "restart_ivl_max": 0.0}
        return replace(self, **same) == replace(other, **same)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySpec:
    """One gateway. The attributes are the keys of its table; the reference describes them.

    Attributes:
        config: what its tables, or its own file, say.
    """

    name: str
    config: GatewayConfig
    part: str | None = None
    host: str | None = None
    label: str | None = None
    restart: Restart = "backoff"
    restart_ivl: float = 0.5
    restart_ivl_max: float = 30.0

    @property
    def kind(self) -> Literal["gateway"]:
        """It is none of the devices."""
        return "gateway"

    @property
    def metrics(self) -> str | None:
        """Where its counters are served."""
        return self.config.metrics

    def sockets(self) -> Mapping[str, SocketLike]:
        """Its sockets: each route's by its name, and ``monitor``."""
        return self.config.sockets()

    def runs_as(self, other: Member) -> bool:
        """Whether the two run alike, so that one need not be stopped to have the other."""
        if not isinstance(other, GatewaySpec) or self.name != other.name:
            return False
        return self.config.identity == other.config.identity


Member: TypeAlias = DeviceSpec | GatewaySpec
"""What :func:`run` runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSpec:
    """A socket of a program that is not run from the file, but is drawn, checked and looked up."""

    name: str
    socket: SocketSpec
    part: str | None = None
    host: str | None = None
    label: str | None = None
    count: int = 1
    program: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a topology came from, so that it can be read again.

    Attributes:
        path: of a file, or the endpoint of a configuration service.
        name: what a configuration service was asked for; None for a file.
        variables: what the caller gave.
        environ: the environment.
        timeout: seconds to wait for a configuration service.
    """

    path: str
    name: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    environ: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Devices, and the sockets of the programs around them.

    Attributes:
        file: the name for messages.
        title: for the picture.
        devices: what :func:`run` runs, by name, in the order of the file.
        sockets: sockets of other programs, by name, in the order of the file.
        gateways: what :func:`run` runs besides, by name, in the order of the file.
        variables: the variables that were used, with their values.
        source: where it came from; None for a text.
    """

    file: str
    title: str = ""
    devices: Mapping[str, DeviceSpec]
    sockets: Mapping[str, ProgramSpec]
    gateways: Mapping[str, GatewaySpec] = field(default_factory=dict[str, GatewaySpec])
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    source: Source | None = None

    @property
    def members(self) -> dict[str, Member]:
        """Devices and gateways, by name."""
        return {**self.devices, **self.gateways}

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts, in the order of the file."""
        every: list[Member | ProgramSpec] = [*self.members.values(), *self.sockets.values()]
        return tuple(dict.fromkeys(one.part for one in every if one.part is not None))

    def select(self, only: Collection[str]) -> dict[str, Member]:
        """The devices and gateways of these names, and of the parts of these names; all for none.

        Raises:
            TopologyError: there is nothing of that name, or nothing to run.
        """
        problems: list[Problem] = []
        members = self.members
        for name in only:
            if name in self.sockets:
                text = "this is a socket of another program: only devices and gateways are run"
                problems.append(Problem(self.file, "only", name, text))
            elif name not in members and name not in self.parts:
                hint = did_you_mean(name, [*members, *self.parts])
                text = f"no device, gateway or part has this name{hint}"
                problems.append(Problem(self.file, "only", name, text))
        found = {
            name: member
            for name, member in members.items()
            if not only or name in only or member.part in only
        }
        if not found and not problems:
            value = ", ".join(only) if only else NOTHING
            text = "there is no device in it" if only else "there is no device or gateway to run"
            problems.append(Problem(self.file, "only" if only else "devices", value, text))
        if problems:
            raise TopologyError(problems)
        return found

    def socket(self, name: str, **options: Any) -> Socket:
        """A socket of the file, not yet open, for the program whose socket it is.

        ::

            async with topology.socket("worker") as worker:
                async for request in worker:
                    ...

        Args:
            name: as in ``[sockets.NAME]``.
            options: in place of, or beside, those of the file.

        Raises:
            TopologyError: there is no socket of that name.
        """
        if name not in self.sockets:
            text = f"no socket has this name{did_you_mean(name, list(self.sockets))}"
            raise TopologyError([Problem(self.file, "sockets", name, text)])
        return self.sockets[name].socket.make(**options)
