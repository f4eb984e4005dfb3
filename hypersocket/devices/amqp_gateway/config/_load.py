"""Reading a gateway file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..._files._problems import NOTHING, ConfigurationError, Key, Problem
from ..._files._reader import Reader, needs_pydantic, read, read_text
from ._config import GatewayConfig
from ._hidden import hide_all_variables

_EMPTY: Mapping[str, str] = {}


def load(
    path: str | os.PathLike[str],
    *,
    variables: Mapping[str, str] = _EMPTY,
    environ: Mapping[str, str] = os.environ,
) -> GatewayConfig:
    """Read and check a gateway file.

    Args:
        path: the file.
        variables: values that go before those of the file and of its address maps.
        environ: the environment, for ``${env:NAME}`` and for passwords.

    Raises:
        ConfigurationError: the file cannot be read, or something in it is wrong; all that was
            found.
        ImportError: an extra is not installed.
    """
    text = read_text(path, ConfigurationError)
    return make(os.fspath(path), text, variables=variables, environ=environ)


def loads(
    text: str,
    *,
    file: str = "gateway.toml",
    variables: Mapping[str, str] = _EMPTY,
    environ: Mapping[str, str] = os.environ,
) -> GatewayConfig:
    """Read and check the text of a gateway file.

    Args:
        text: what the file would hold.
        file: the name for messages; what paths in the text are relative to.
        variables: as for :func:`load`.
        environ: likewise.

    Raises:
        ConfigurationError: something is wrong; all that was found.
        ImportError: an extra is not installed.
    """
    return make(file, text, variables=variables, environ=environ)


def make(
    file: str,
    text: str,
    *,
    variables: Mapping[str, str],
    environ: Mapping[str, str],
    inherited: Mapping[str, object] = _EMPTY,
    name: str | None = None,
) -> GatewayConfig:
    """Everything that reading does.

    Args:
        file: the name for messages; what paths in the text are relative to.
        text: what the file holds.
        variables: values that the caller gave.
        environ: the environment.
        inherited: values of a topology file, which need not be of use here.
        name: the gateway's name where the file has none; None for the file's name.
    """
    try:
        from ._broker_check import Context
        from ._check import GatewayChecker
        from ._model import GatewayFileTable
    except ModuleNotFoundError as error:
        raise needs_pydantic(error, "gateway files", "topology") from None
    reader = Reader(file, text, ConfigurationError, hide_all_variables)
    found = read(
        reader,
        GatewayFileTable,
        maps=None,
        variables=variables,
        inherited=inherited,
        environ=environ,
    )
    warnings: list[Problem] = []
    context = Context(
        take=reader.report,
        warn=partial(warn, reader, warnings),
        left_out=found.left_out,
        environ=environ,
        folder=Path(file).parent,
    )
    table = found.table
    name = table.gateway.name or name or _name_of(file, reader)
    checker = GatewayChecker(name, table.gateway, table.broker, table.routes, context)
    config = checker.config(("gateway",))
    reader.fail_if_wrong()
    return replace(config, warnings=tuple(warnings))


def warn(reader: Reader, warnings: list[Problem], key: Key, value: object, text: str) -> None:
    """Keep a warning."""
    warnings.append(reader.problem(key, value, f"warning: {text}"))


def _name_of(file: str, reader: Reader) -> str:
    name = Path(file).stem
    if re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        return name
    text = f"this is missing: the file's name, {name!r}, has more than letters, digits, . - and _"
    reader.report(("gateway", "name"), NOTHING, text)
    return "gateway"
