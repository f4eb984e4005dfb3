"""``hypersocket gateway``: a gateway to a broker, from a file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import click
import trio

from ..amqp import AmqpError
from . import _signals
from ._command import Command
from ._logging import verbose_option
from ._outcome import BAD_USAGE, SUCCEEDED, Failed, messages, say
from ._types import check_address, check_endpoints, split_options

if TYPE_CHECKING:
    from ..devices.amqp_gateway import AmqpGateway, GatewayConfig
    from ..sockets import Socket

Work: TypeAlias = Callable[[], int]


@click.command(
    cls=Command,
    examples={
        "hypersocket gateway bridge.toml": "Run the gateway that the file describes",
        "hypersocket gateway bridge.toml --check": "Say what is wrong with it, or that nothing is",
        "hypersocket gateway bridge.toml --set host=rabbit.example": "Give a variable a value",
        "hypersocket gateway bridge.toml --monitor tcp://127.0.0.1:5599\n"
        "hypersocket top tcp://127.0.0.1:5599": "Watch it, and elsewhere see it",
    },
)
@click.argument("file", metavar="CONFIG.toml")
@click.option("--check", is_flag=True, help="Check the file, and do not run it.")
@click.option(
    "--set",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="Give a variable of the file another value. Repeatable.",
)
@click.option(
    "--monitor",
    metavar="EP",
    help="Where to publish events and statistics (PUB), for hypersocket top.",
)
@click.option("--metrics", metavar="HOST:PORT", help="Where to serve OpenMetrics over HTTP.")
@verbose_option(logging.INFO, "connections to the broker, and of routes that work again")
def gateway(
    file: str,
    check: bool,
    variables: tuple[str, ...],
    monitor: str | None,
    metrics: str | None,
) -> Work:
    """Run an AMQP gateway: ZeroMQ sockets on one side, a broker on the other.

    SIGINT and SIGTERM end it, when what it has taken is settled; what could not be is said.
    A broker that is not there is tried again. One that refuses, at the start, is an error.
    """
    if monitor is not None:
        check_endpoints([monitor], "--monitor", binding=True)
    if metrics is not None:
        check_address(metrics, "--metrics")
    values = split_options(variables, "--set")

    def work() -> int:
        config = load(file, values)
        if config is None:
            return BAD_USAGE
        if check:
            return tell_right(file, config)
        tell_warnings(config)
        chosen = config if metrics is None else replace(config, metrics=metrics)
        if monitor is not None:
            from ..devices.amqp_gateway import RouteSocket

            socket = RouteSocket(type="XPUB", bind=(monitor,), options={"xpub_verbose": True})
            chosen = replace(chosen, monitor=socket)
        return _signals.run(partial(_run, chosen))

    return work


def load(file: str, values: dict[str, str]) -> GatewayConfig | None:
    """The file; None where it is wrong, which is told in a line for each mistake."""
    from ..devices import ConfigurationError, amqp_gateway

    try:
        return amqp_gateway.load(file, variables=values)
    except ConfigurationError as error:
        for problem in error.problems:
            say(str(problem))
        return None
    except ImportError as error:
        raise Failed(str(error)) from error


def tell_right(file: str, config: GatewayConfig) -> int:
    """Say that nothing is wrong with a file; returns the exit status."""
    tell_warnings(config)
    number = len(config.spec.routes)
    print(f"{file}: nothing is wrong with it ({number} route{'' if number == 1 else 's'})")
    return SUCCEEDED


def tell_warnings(config: GatewayConfig) -> None:
    """Say what is unwise in a file."""
    for problem in config.warnings:
        say(str(problem))


async def _run(config: GatewayConfig, stop: _signals.Stop) -> int:
    from ..devices.amqp_gateway import AmqpGateway, run_gateway

    try:
        gateway = AmqpGateway(config.spec)
    except ImportError as error:
        raise Failed(str(error)) from error
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_when_asked, gateway, stop)

            async def carry(task_status: trio.TaskStatus[dict[str, Socket]]) -> None:
                await run_gateway(gateway, config, task_status=task_status)
                nursery.cancel_scope.cancel()

            # A stop need not wait for a broker that does not answer.
            with stop.ends() as starting:
                sockets = await nursery.start(carry)
            if starting.cancelled_caught:
                nursery.cancel_scope.cancel()
            else:
                _tell_endpoints(sockets)
                await _serve_metrics(nursery, gateway, config)
    except* AmqpError as group:
        raise Failed(_words(group)) from None
    _tell_kept(gateway)
    return SUCCEEDED


def _words(group: BaseExceptionGroup[AmqpError]) -> str:
    """What the first of them says."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first)


async def _stop_when_asked(gateway: AmqpGateway, stop: _signals.Stop) -> None:
    await stop.requested.wait()
    gateway.stop_soon()


def _tell_endpoints(sockets: dict[str, Socket]) -> None:
    for name, socket in sockets.items():
        for endpoint in socket.endpoints:
            say(f"{name} listening at {endpoint}")


async def _serve_metrics(
    nursery: trio.Nursery, gateway: AmqpGateway, config: GatewayConfig
) -> None:
    if config.metrics is None:
        return
    from .. import management

    sources = [management.Source(gateway.name, gateway.sockets, gateway)]
    try:
        server: management.MetricsServer = await nursery.start(
            management.serve_metrics, config.metrics, sources
        )
    except ModuleNotFoundError as error:
        raise Failed(str(error)) from error
    for url in server.urls:
        say(f"metrics listening at {url}")


def _tell_kept(gateway: AmqpGateway) -> None:
    """What the broker will deliver again; what was lost the gateway has logged."""
    if gateway.result is None:
        return
    for name, number in gateway.result.returned.items():
        if number:
            say(
                f"{gateway.name}, route {name}: {messages(number)} not settled: the broker has them"
            )
