"""Gateways as members of a topology: their tables, or files of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from .._files._problems import ConfigurationError, Key, Problem
from .._files._reader import Read, read_text
from ..amqp_gateway.config._broker_check import Context
from ..amqp_gateway.config._check import GatewayChecker
from ..amqp_gateway.config._config import GatewayConfig
from ..amqp_gateway.config._load import make, warn
from ..amqp_gateway.config._socket_check import Resolve
from ._model import GatewayMemberTable, TopologyTable
from ._spec import GatewaySpec

_OWN = {"name", "linger", "monitor", "monitor_interval", "metrics", "broker", "routes"}
"""Keys of a gateway that its own file has, where it has one."""


class GatewayMembers:
    """Makes the gateways of a topology.

    Args:
        found: the topology file.
        environ: the environment.
        folder: what paths are relative to; None where there is none.
        resolve: makes an endpoint of what is to be connected to.
    """

    def __init__(
        self,
        found: Read[TopologyTable],
        environ: Mapping[str, str],
        folder: Path | None,
        resolve: Resolve,
    ) -> None:
        self._found = found
        self._tables = found.table.gateways
        self._report = found.reader.report
        self._environ = environ
        self._folder = folder
        self._resolve = resolve
        self._loaded: dict[str, GatewayConfig] = {}

    def load(self) -> None:
        """Read the files that gateways have of their own."""
        for name, table in self._tables.items():
            if table.config is None:
                continue
            key: Key = ("gateways", name)
            twice = sorted(table.model_fields_set & _OWN)
            for own in twice:
                text = f"it stands in {table.config}: a gateway has a file, or tables here"
                self._report((*key, own), getattr(table, own), text)
            if self._folder is None:
                text = "this topology is from no folder: write the tables here"
                self._report((*key, "config"), table.config, text)
                continue
            if twice:
                continue
            path = self._folder / table.config
            try:
                self._loaded[name] = make(
                    str(path),
                    read_text(path, ConfigurationError),
                    variables={},
                    environ=self._environ,
                    inherited=self._found.values,
                    name=name,
                )
            except ConfigurationError as error:
                self._found.reader.problems.extend(error.problems)

    def members(self) -> dict[str, GatewaySpec]:
        """All gateways; to be thrown away where something was reported."""
        found: dict[str, GatewaySpec] = {}
        for name, table in self._tables.items():
            if table.restart_ivl_max < table.restart_ivl:
                key, value = ("gateways", name, "restart_ivl_max"), table.restart_ivl_max
                self._report(
                    key, value, f"expected at least restart_ivl, which is {table.restart_ivl:g}"
                )
            config = self._inline(name, table) if table.config is None else self._loaded.get(name)
            if config is not None:
                found[name] = GatewaySpec(
                    name=name,
                    config=config,
                    part=table.part,
                    host=table.host,
                    label=table.label,
                    restart=table.restart,
                    restart_ivl=table.restart_ivl,
                    restart_ivl_max=table.restart_ivl_max,
                )
        return found

    def _inline(self, name: str, table: GatewayMemberTable) -> GatewayConfig:
        key: Key = ("gateways", name)
        warnings: list[Problem] = []
        context = Context(
            take=self._report,
            warn=partial(warn, self._found.reader, warnings),
            left_out=self._found.left_out,
            environ=self._environ,
            folder=self._folder,
            key=key,
        )
        checker = GatewayChecker(
            table.name or name, table, table.broker, table.routes, context, self._resolve
        )
        return replace(checker.config(key), warnings=tuple(warnings))

    # For those who refer to them

    def known(self, name: str, side: str) -> bool:
        """Whether it is known what sockets a gateway has; not after a mistake that was told."""
        if self._tables[name].config is not None:
            return name in self._loaded
        where: Key = ("gateways", name, "routes", side, "socket")
        return not any(where[: len(one)] == one for one in self._found.left_out)

    def bound(self, name: str, side: str) -> tuple[str, ...] | None:
        """What a socket of a gateway is bound to; None where it has no such socket."""
        if name in self._loaded:
            socket: Any = self._loaded[name].sockets().get(side)
        elif side == "monitor":
            socket = self._tables[name].monitor
        else:
            route = self._tables[name].routes.get(side)
            socket = None if route is None else route.socket
        return None if socket is None else socket.bind

    def choice(self, name: str) -> str:
        """What to say where no socket of a gateway is meant."""
        names = " or ".join(f"{name}.{side}" for side in self._sides(name)) or "it has none"
        return f"{name!r} is a gateway: say which of its routes, {names}"

    def names(self) -> list[str]:
        """What can be referred to."""
        return [f"{name}.{side}" for name in self._tables for side in self._sides(name)]

    def _sides(self, name: str) -> list[str]:
        if name in self._loaded:
            return list(self._loaded[name].sockets())
        return list(self._tables[name].routes)
