"""Reading a topology: from a file, from text, from a configuration service."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .._files._reader import Reader, needs_pydantic, read, read_text
from ..amqp_gateway.config._hidden import hide
from ._errors import TopologyError
from ._spec import Source, Topology

_EMPTY: Mapping[str, str] = {}


def load(
    path: str | os.PathLike[str],
    *,
    variables: Mapping[str, str] = _EMPTY,
    environ: Mapping[str, str] = os.environ,
) -> Topology:
    """Read and check a topology file.

    Args:
        path: the file.
        variables: values that go before those of the file and of its address maps.
        environ: the environment, for ``${env:NAME}``.

    Raises:
        TopologyError: the file cannot be read, or something in it is wrong; all that was found.
        ImportError: the extra ``topology`` is not installed.
    """
    source = Source(path=os.fspath(path), variables=dict(variables), environ=environ)
    text = read_text(path, TopologyError)
    return replace(_make(os.fspath(path), text, None, variables, environ), source=source)


def loads(
    text: str,
    *,
    file: str = "topology",
    maps: Sequence[str] = (),
    variables: Mapping[str, str] = _EMPTY,
    environ: Mapping[str, str] = os.environ,
) -> Topology:
    """Read and check the text of a topology file.

    Args:
        text: what the file would hold.
        file: the name for messages.
        maps: the texts of address maps, in place of the files that ``include`` names.
        variables: as for :func:`load`.
        environ: likewise.

    Raises:
        TopologyError: something is wrong; all that was found.
        ImportError: the extra ``topology`` is not installed.
    """
    return _make(file, text, maps, variables, environ)


def _make(
    file: str,
    text: str,
    maps: Sequence[str] | None,
    variables: Mapping[str, str],
    environ: Mapping[str, str],
) -> Topology:
    """Everything that reading does. ``maps`` is None where ``include`` names files."""
    try:
        from ._check import Checker
        from ._model import TopologyTable
    except ModuleNotFoundError as error:
        raise needs_pydantic(error, "topology files", "topology") from None
    found = read(
        Reader(file, text, TopologyError, hide),
        TopologyTable,
        maps=maps,
        variables=variables,
        environ=environ,
    )
    folder = Path(file).parent if maps is None else None
    topology = Checker(found, environ, folder).topology(file)
    found.reader.fail_if_wrong()
    return topology
