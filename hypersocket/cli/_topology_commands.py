"""``hypersocket run``, ``check`` and ``graph``: networks that are written down in a file."""

from __future__ import annotations

import logging
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click
import trio

from ._command import Command
from ._gateway_command import load as load_gateway
from ._gateway_command import tell_right, tell_warnings
from ._logging import verbose_option
from ._outcome import BAD_USAGE, FAILED, SUCCEEDED, Failed, say
from ._types import check_address, check_endpoints, split_options

if TYPE_CHECKING:
    from ..devices.topology import Topology

F = TypeVar("F", bound=Callable[..., Any])
Work: TypeAlias = Callable[[], int]


def _file(function: F) -> F:
    decorators = [
        click.argument("file", metavar="TOPOLOGY.toml"),
        click.option(
            "--set",
            "variables",
            multiple=True,
            metavar="NAME=VALUE",
            help="Give a variable of the file another value. Repeatable.",
        ),
    ]
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def _loaded(file: str, values: dict[str, str]) -> Topology:
    from ..devices import topology

    if "://" not in file:
        return topology.load(file, variables=values)
    endpoint, _, name = file.partition("#")
    say(f"asking {endpoint} for {name or 'its topology'}")  # who may not be there yet
    return trio.run(partial(topology.load_from, endpoint, name, variables=values))


def is_gateway(file: str) -> bool:
    """Whether a file is one of a gateway, and not of a topology, as far as can be seen."""
    try:
        tables = tomllib.loads(Path(file).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False  # what is wrong is told by who reads it
    return not tables.keys() & {"devices", "sockets", "gateways"} and bool(
        tables.keys() & {"gateway", "broker", "routes"}
    )


def _with_topology(
    work: Callable[[Topology], int],
    file: str,
    variables: tuple[str, ...],
    of_gateway: Callable[[dict[str, str]], int] | None = None,
    instead: str = "hypersocket gateway runs it",
) -> Work:
    """Load the file and work with it. A line for each mistake in it, and the exit status 2.

    Args:
        work: what to do with a topology.
        file: which.
        variables: as given on the command line.
        of_gateway: what to do with a gateway file; None where it is the wrong one.
        instead: what can be done with that.
    """
    values = split_options(variables, "--set")
    if "://" in file:
        check_endpoints([file.partition("#")[0]], "TOPOLOGY.toml", binding=False)

    def load_and_work() -> int:
        from ..devices import topology

        if is_gateway(file):
            if of_gateway is not None:
                return of_gateway(values)
            say(f"{file}: this is a gateway file: {instead}")
            return BAD_USAGE
        try:
            loaded = _loaded(file, values)
            for one in loaded.gateways.values():
                tell_warnings(one.config)
            return work(loaded)
        except topology.TopologyError as error:
            for problem in error.problems:
                say(str(problem))
            return BAD_USAGE
        except ImportError as error:
            raise Failed(str(error)) from error

    return load_and_work


async def _run(loaded: Topology, only: tuple[str, ...], metrics: str | None) -> int:
    from ..devices import topology

    # What it could not deliver it logs.
    async with trio.open_nursery() as nursery:
        running: topology.Running = await nursery.start(
            partial(topology.run, loaded, only=only, metrics=metrics)
        )
    return FAILED if running.interrupted else SUCCEEDED


@click.command(
    cls=Command,
    examples={
        "hypersocket run plant.toml": "Run all that the file describes",
        "hypersocket run plant.toml --only mixer --only packer": "Run two parts of it here",
        "hypersocket run plant.toml --verbose": "Be told too of what starts and stops",
        "kill -HUP PID": "Read the file again, and change only what has changed",
        "hypersocket run tcp://configuration:5550#plant": (
            "Ask a configuration service for the topology of that name"
        ),
    },
)
@_file
@click.option("--only", multiple=True, metavar="NAME", help="Run this part alone. Repeatable.")
@click.option("--metrics", metavar="HOST:PORT", help="Where to serve OpenMetrics over HTTP.")
@verbose_option(logging.INFO, "what starts, stops, and is read again")
def run(file: str, variables: tuple[str, ...], only: tuple[str, ...], metrics: str | None) -> Work:
    """Run the devices and gateways of a topology file, and look after them.

    In place of the file there may be the endpoint of a configuration service (REP), and after a #
    what to ask it for.

    SIGHUP reads the file again. SIGINT and SIGTERM end it, when all that was accepted is handed on.
    """
    if metrics is not None:
        check_address(metrics, "--metrics")

    def work(loaded: Topology) -> int:
        loaded.select(only)  # which raises for what is not there
        return trio.run(_run, loaded, only, metrics)

    return _with_topology(work, file, variables)


@click.command(
    cls=Command,
    examples={
        "hypersocket check plant.toml": "Say what is wrong with a file, or that nothing is",
        "hypersocket check bridge.toml": "The same, of a gateway file",
    },
)
@_file
def check(file: str, variables: tuple[str, ...]) -> Work:
    """Check a topology file, or a gateway file, without running it."""

    def work(loaded: Topology) -> int:
        counts = [_count(len(loaded.devices), "device")]
        if loaded.gateways:
            counts.append(_count(len(loaded.gateways), "gateway"))
        print(f"{file}: nothing is wrong with it ({', '.join(counts)})")
        return SUCCEEDED

    def of_gateway(values: dict[str, str]) -> int:
        config = load_gateway(file, values)
        return BAD_USAGE if config is None else tell_right(file, config)

    return _with_topology(work, file, variables, of_gateway)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@click.command(
    cls=Command,
    examples={
        "hypersocket graph plant.toml -o plant.svg": "Draw a picture",
        "hypersocket graph plant.toml | rsvg-convert > plant.png": "Make another kind of it",
    },
)
@_file
@click.option(
    "-o",
    "--output",
    metavar="FILE.svg",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Where to write it; standard output by default.",
)
def graph(file: str, variables: tuple[str, ...], output: str | None) -> Work:
    """Draw a topology file as SVG."""

    def work(loaded: Topology) -> int:
        from ..devices import topology

        picture = topology.graph(loaded)
        if output is None or output == "-":
            sys.stdout.write(picture)
        else:
            try:
                Path(output).write_text(picture, encoding="utf-8")
            except OSError as error:
                raise Failed(f"{output}: cannot write it: {error.strerror}") from None
        return SUCCEEDED

    named = f'[gateways.bridge] with config = "{file}" in a topology file is drawn'
    return _with_topology(work, file, variables, instead=named)
