"""From tables that have the right shape to a topology that can run: everything is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...zmtp import COMPATIBLE
from .._files._checks import endpoint_problem, metrics_problem, option_value
from .._files._problems import NOTHING, Key, a, did_you_mean
from .._files._reader import Read
from .._pairing import CAPTURES, CONTROLS, KINDS, PairingError, check_pairing
from ._gateways import GatewayMembers
from ._links import End, ends_of, links_of, reachable
from ._model import DeviceTable, PlainSocketTable, SocketTable, TopologyTable
from ._spec import (
    SIDES,
    SOCKET_TYPES,
    DeviceSpec,
    ProgramSpec,
    SocketSpec,
    Topology,
)

_ATTACHED = {
    "capture": ("PUB", CAPTURES),
    "control": ("REP", CONTROLS),
    "monitor": ("XPUB", ("XPUB", "PUB")),
}
"""The type that each has by default, and those that it may have."""


class Checker:
    """Makes a topology of a file's tables, and reports all that is wrong.

    Args:
        found: the file.
        environ: the environment, for gateways.
        folder: what paths in the file are relative to; None where there is none.
    """

    def __init__(
        self, found: Read[TopologyTable], environ: Mapping[str, str], folder: Path | None
    ) -> None:
        self._found = found
        self._table = found.table
        self._report = found.reader.report
        self._left_out = found.left_out
        self._gateways = GatewayMembers(found, environ, folder, self._connected)

    def topology(self, file: str) -> Topology:
        """The topology; to be thrown away where something was reported."""
        self._check_names()
        self._gateways.load()
        topology = Topology(
            file=file,
            title=self._table.title,
            devices={name: self._device(name, one) for name, one in self._table.devices.items()},
            sockets={name: self._program(name, one) for name, one in self._table.sockets.items()},
            gateways=self._gateways.members(),
            variables=self._found.used,
        )
        self._check_bound_once(topology)
        self._check_peers(topology)
        return topology

    def _check_names(self) -> None:
        table = self._table
        run = {**dict.fromkeys(table.devices, "device"), **dict.fromkeys(table.gateways, "gateway")}
        for name in table.gateways:
            if name in table.devices:
                text = f"a device has the name {name!r} already: names are for all to refer to"
                self._report(("gateways", name), NOTHING, text)
        for name, entry in table.sockets.items():
            if name in run:
                text = f"a {run[name]} has the name {name!r} already: names are for all to refer to"
                self._report(("sockets", name), NOTHING, text)
            if entry.program in run:
                text = f"a {run[entry.program]} has this name already"
                self._report(("sockets", name, "program"), entry.program, text)
        parts = [
            ((what, name, "part"), one.part)
            for what in ("devices", "gateways", "sockets")
            for name, one in getattr(table, what).items()
        ]
        for key, part in parts:
            if part in run or part in table.sockets:
                text = "a device or socket has this name already, and --only takes both"
                self._report(key, part, text)

    # Devices

    def _device(self, name: str, table: DeviceTable) -> DeviceSpec:
        key: Key = ("devices", name)
        front, back = self._pair(key, table)
        if table.balance != "round-robin" and table.kind != "queue":
            text = f"a {table.kind} has nothing to balance: only a queue does"
            self._report((*key, "balance"), table.balance, text)
        if table.metrics is not None:
            self._check_metrics((*key, "metrics"), table.metrics)
        if table.restart_ivl_max < table.restart_ivl:
            text = f"expected at least restart_ivl, which is {table.restart_ivl:g}"
            self._report((*key, "restart_ivl_max"), table.restart_ivl_max, text)
        return DeviceSpec(
            name=name,
            kind=table.kind,
            frontend=self._socket((*key, "frontend"), table.frontend, front),
            backend=self._socket(
                (*key, "backend"), table.backend, back, table.balance == "least-outstanding"
            ),
            capture=self._attached(key, "capture", table.capture),
            control=self._attached(key, "control", table.control),
            monitor=self._attached(key, "monitor", table.monitor),
            monitor_interval=table.monitor_interval,
            metrics=table.metrics,
            balance=table.balance,
            part=table.part,
            host=table.host,
            label=table.label,
            restart=table.restart,
            restart_ivl=table.restart_ivl,
            restart_ivl_max=table.restart_ivl_max,
        )

    def _pair(self, key: Key, table: DeviceTable) -> tuple[str, str]:
        """The types of frontend and backend; empty where they are missing."""
        default = KINDS.get(table.kind, ("", ""))
        balance = table.balance if table.kind == "queue" else "round-robin"
        front, back = table.frontend.type or default[0], table.backend.type or default[1]
        for side, type_ in (("frontend", front), ("backend", back)):
            if not type_:
                text = "this is missing: a proxy takes any two types that fit, so name them"
                self._report((*key, side, "type"), NOTHING, text)
        if front and back:
            try:
                check_pairing(front, back, table.kind, balance)
            except PairingError as error:
                given = [
                    (side, one.type)
                    for side, one in (("frontend", table.frontend), ("backend", table.backend))
                    if one.type is not None
                ]
                if len(given) == 1:
                    self._report((*key, given[0][0], "type"), given[0][1], str(error))
                else:
                    self._report(key, NOTHING, str(error))
                return default  # so that what follows from the mistake is not told too
        return front, back

    def _attached(self, key: Key, side: str, table: SocketTable | None) -> SocketSpec | None:
        if table is None:
            return None
        default, allowed = _ATTACHED[side]
        if table.type is not None and table.type not in allowed:
            text = f"a {side} socket is one of {', '.join(allowed)}"
            self._report((*key, side, "type"), table.type, text)
            table = table.model_copy(update={"type": None})
        spec = self._socket((*key, side), table, table.type or default)
        if side == "monitor" and spec.type == "XPUB":
            # So that each new subscriber is told at once how things are.
            spec = replace(spec, options={"xpub_verbose": True, **spec.options})
        return spec

    def _check_metrics(self, key: Key, address: str) -> None:
        text = metrics_problem(address)
        if text:
            self._report(key, address, text)

    # Sockets

    def _program(self, name: str, table: PlainSocketTable) -> ProgramSpec:
        return ProgramSpec(
            name=name,
            socket=self._socket(("sockets", name), table, table.type),
            part=table.part,
            host=table.host,
            label=table.label,
            count=table.count,
            program=table.program,
        )

    def _socket(
        self,
        key: Key,
        table: SocketTable | PlainSocketTable,
        type_: str,
        addressed: bool = False,
    ) -> SocketSpec:
        were_wrong = self._left_out & {(*key, "bind"), (*key, "connect")}
        if not (table.bind or table.connect or were_wrong):
            text = "it binds nothing and connects to nothing: give it bind or connect"
            self._report(key, NOTHING, text)
        for index, endpoint in enumerate(table.bind):
            self._check_endpoint((*key, "bind", index), endpoint, "bind")
        connect = tuple(
            self._connected((*key, "connect", index), endpoint)
            for index, endpoint in enumerate(table.connect)
        )
        spec = SocketSpec(type_, table.bind, connect, {}, addressed)
        return replace(spec, options=self._options(key, spec, table)) if type_ else spec

    def _check_endpoint(self, key: Key, endpoint: str, how: str) -> None:
        text = endpoint_problem(endpoint, how)
        if text:
            self._report(key, endpoint, text)

    def _connected(self, key: Key, endpoint: str) -> str:
        """An endpoint to connect to, or what a reference stands for."""
        name, dot, side = endpoint.partition(".")
        if "://" in endpoint or ":" in endpoint or "/" in endpoint:
            self._check_endpoint(key, endpoint, "connect")
            return endpoint
        target_key: Key = ("devices", name, side) if dot else ("sockets", name)
        if self._left_out & {target_key, (*target_key, "bind"), target_key[:2]}:
            return endpoint  # what it means cannot be known, for a mistake that was told
        gateway = self._table.gateways.get(name)
        if gateway is not None:
            if not self._gateways.known(name, side):
                return endpoint  # likewise
            bound = self._gateways.bound(name, side)
            if bound is None:
                self._report(key, endpoint, self._gateways.choice(name))
                return endpoint
            return self._refer(key, endpoint, bound, gateway.host)
        device, program = self._table.devices.get(name), self._table.sockets.get(name)
        if device is not None:
            target = getattr(device, side, None) if side in SIDES else None
            if side not in SIDES or target is None:
                there = [one for one in SIDES if getattr(device, one) is not None]
                text = f"{name!r} is a device: say which of its sockets, "
                text += " or ".join(f"{name}.{one}" for one in there)
                self._report(key, endpoint, text)
                return endpoint
            return self._refer(key, endpoint, target.bind, device.host)
        if program is not None and not dot:
            return self._refer(key, endpoint, program.bind, program.host)
        known = [f"{one}.{s}" for one in self._table.devices for s in ("frontend", "backend")]
        known += [*self._table.sockets, *self._gateways.names()]
        text = "this is neither an endpoint, such as tcp://127.0.0.1:5555, nor the name of a socket"
        self._report(key, endpoint, text + did_you_mean(endpoint, known))
        return endpoint

    def _refer(self, key: Key, name: str, bound: tuple[str, ...], host: str | None) -> str:
        if not bound:
            text = f"{name} binds nothing that one could connect to: name an endpoint"
            self._report(key, name, text)
            return name
        for endpoint in bound:
            found = reachable(endpoint, host)
            if found is not None:
                return found
        owner = name.partition(".")[0]
        text = (
            f"{name} is bound to {bound[0]}, which does not say where it can be reached: give"
            f" {owner!r} a host, and its endpoint a port"
        )
        self._report(key, name, text)
        return name

    def _options(self, key: Key, spec: SocketSpec, table: Any) -> dict[str, Any]:
        cls = spec.socket_class
        found: dict[str, Any] = {}
        for name, value in table.options.items():
            try:
                found[name] = option_value(cls, name, value)
            except (TypeError, ValueError) as error:
                self._report((*key, "options", name), value, str(error))
        if table.subscribe:
            if spec.type == "SUB":
                found["subscribe"] = table.subscribe
            else:
                text = f"only a SUB has subscriptions of its own, and this is {a(spec.type)}"
                self._report((*key, "subscribe"), NOTHING, text)
        return found

    # All together

    def _check_bound_once(self, topology: Topology) -> None:
        seen: dict[tuple[str, str | None], End] = {}
        for end, spec, owner in ends_of(topology):
            for index, endpoint in enumerate(spec.bind):
                if endpoint.endswith((":*", "://*")):
                    continue
                before = seen.setdefault((endpoint, owner.part), end)
                if before != end or spec.bind.index(endpoint) != index:
                    text = f"{_name(before)} is bound to this endpoint already"
                    self._report((*_key_of(end, topology), "bind", index), endpoint, text)

    def _check_peers(self, topology: Topology) -> None:
        types = {end: spec.type for end, spec, _ in ends_of(topology)}
        for link in links_of(topology):
            if link.binding is None:
                continue
            ours, theirs = types[link.connecting], types[link.binding]
            if ours and theirs and theirs not in COMPATIBLE[ours]:
                fitting = ", ".join(sorted(COMPATIBLE[ours] & set(SOCKET_TYPES)))
                text = (
                    f"{_name(link.binding)} is there, {a(theirs)}, and {a(ours)} cannot talk to it,"
                    f" but only to {fitting}"
                )
                key = (*_key_of(link.connecting, topology), "connect")
                self._report(key, link.endpoint, text)


def _name(end: End) -> str:
    return ".".join(part for part in end if part)


def _key_of(end: End, topology: Topology) -> Key:
    name, side = end
    if name in topology.gateways:
        route, dot, _ = side.partition(".dead-letters")
        if side == "monitor":
            return ("gateways", name, side)
        return ("gateways", name, "routes", route, *(("dead_letters",) if dot else ()), "socket")
    return ("devices", name, side) if name in topology.devices and side else ("sockets", name)
