"""``hypersocket queue``, ``forwarder`` and ``streamer``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast, get_args

import click

from .. import Socket
from .._options import options_of
from . import _device, _signals
from ._command import Command
from ._device import Balance, Side
from ._logging import connections_option
from ._types import (
    Interval,
    check_address,
    check_endpoints,
    linger_option,
    read_options,
    socket_option,
    split_options,
)

F = TypeVar("F", bound=Callable[..., Any])
Work: TypeAlias = Callable[[], int]


def _common(who: str, whom: str) -> Callable[[F], F]:
    """What all devices have.

    Args:
        who: comes by the frontend.
        whom: comes by the backend.
    """

    def endpoints(name: str, text: str) -> Callable[[F], F]:
        return click.option(name, multiple=True, metavar="EP", help=f"{text} Repeatable.")

    def endpoint(name: str, text: str) -> Callable[[F], F]:
        return click.option(name, metavar="EP", help=text)

    decorators = [
        endpoints("--frontend", f"Where to listen for {who}."),
        endpoints("--backend", f"Where to listen for {whom}."),
        endpoints("--frontend-connect", f"Where to connect to for {who}."),
        endpoints("--backend-connect", f"Where to connect to for {whom}."),
        endpoint("--capture", "Where to publish a copy of every message (PUB)."),
        endpoint(
            "--control", "Where to take PAUSE, RESUME, TERMINATE and STATISTICS from a REQ (REP)."
        ),
        endpoint("--monitor", "Where to publish events and statistics (PUB), for hypersocket top."),
        click.option(
            "--metrics", metavar="HOST:PORT", help="Where to serve OpenMetrics over HTTP."
        ),
        click.option(
            "--interval",
            type=Interval(),
            default=1.0,
            show_default=True,
            metavar="S",
            help="How often to publish statistics.",
        ),
        click.option("--name", metavar="NAME", help="What the monitor and the metrics call it."),
        linger_option("5"),
        connections_option,
        socket_option(
            " It goes to each of the two sockets that has it; frontend.rcvhwm=5000 to one."
        ),
    ]

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _work(kind: str, given: dict[str, Any], balance: Balance = "round-robin") -> Work:
    for side in ("frontend", "backend"):
        if not given[side] and not given[f"{side}_connect"]:
            raise click.UsageError(f"expected --{side} or --{side}-connect, with an endpoint")
        check_endpoints(given[side], f"--{side}", binding=True)
        check_endpoints(given[f"{side}_connect"], f"--{side}-connect", binding=False)
    for name in ("capture", "control", "monitor"):
        if given[name] is not None:
            check_endpoints([given[name]], f"--{name}", binding=True)
    if given["metrics"] is not None:
        check_address(given["metrics"], "--metrics")
    if given["name"] is not None:
        _check_name(given["name"])
    options = split_options(given["options"])
    if given["linger"] is not None:
        options["linger"] = repr(given["linger"])
    front_type, back_type = _device.socket_types(kind, balance)
    front, back = _options_of_each(options, front_type, back_type)
    return partial(
        _signals.run,
        partial(
            _device.run,
            _device.Settings(
                kind=kind,
                name=given["name"] or kind,
                frontend=Side(
                    bind=given["frontend"], connect=given["frontend_connect"], options=front
                ),
                backend=Side(bind=given["backend"], connect=given["backend_connect"], options=back),
                balance=balance,
                capture=given["capture"],
                control=given["control"],
                monitor=given["monitor"],
                metrics=given["metrics"],
                interval=given["interval"],
                max_outstanding=given.get("max_outstanding"),
            ),
        ),
    )


def _check_name(name: str) -> None:
    from ..management._sources import check_name

    try:
        check_name("name", name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--name") from None


def _options_of_each(
    given: dict[str, str], front_type: type[Socket], back_type: type[Socket]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Which socket gets which option: the one that is named, or else all that have it."""
    types = {"frontend": front_type, "backend": back_type}
    texts: dict[str, dict[str, str]] = {"frontend": {}, "backend": {}}
    for name, value in given.items():
        side, dot, option = name.partition(".")
        if dot:
            if side not in types:
                raise click.BadParameter(
                    f"{name!r}: expected frontend.{option} or backend.{option}",
                    param_hint="--option",
                )
            texts[side][option] = value
            continue
        sides = [one for one, socket_type in types.items() if name in options_of(socket_type)]
        for one in sides or types:  # where neither has it, the socket says so
            texts[one].setdefault(name, value)
    return read_options(texts["frontend"], front_type), read_options(texts["backend"], back_type)


@click.command(
    cls=Command,
    examples={
        "hypersocket queue --frontend 'tcp://*:5555' --backend 'tcp://*:5556'": (
            "Clients (REQ) at 5555, workers (REP) at 5556"
        ),
        "hypersocket queue --frontend 'tcp://*:5555' --backend 'tcp://*:5556' \\\n"
        "    --balance least-outstanding --monitor tcp://127.0.0.1:5599": (
            "Spare slow workers, and let hypersocket top watch"
        ),
    },
)
@_common("clients", "workers")
@click.option(
    "--balance",
    type=click.Choice(get_args(Balance)),
    default="round-robin",
    show_default=True,
    help="Which worker gets the next request: the next in turn, or the one with the fewest that"
    " it has not answered.",
)
@click.option(
    "--max-outstanding",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many requests a worker may have that it has not answered, with --balance"
    " least-outstanding; 2 for a REP by default.",
)
def queue(balance: str, **given: Any) -> Work:
    """Share out the requests of many clients among many workers.

    Requests wait while no worker is there. It runs until SIGINT or SIGTERM, then hands on what it
    has accepted, and says what it could not deliver.
    """
    if given["max_outstanding"] is not None and balance != "least-outstanding":
        raise click.UsageError("--max-outstanding goes with --balance least-outstanding")
    return _work("queue", given, cast("Balance", balance))


@click.command(
    cls=Command,
    examples={
        "hypersocket forwarder --frontend 'tcp://*:5555' --backend 'tcp://*:5556'": (
            "Publishers (PUB) connect to 5555, subscribers (SUB) to 5556"
        ),
        "hypersocket forwarder --frontend-connect tcp://headquarters:5556 \\\n"
        "    --backend 'tcp://*:5556'": ("Bring what is wanted here over a slow line once"),
    },
)
@_common("publishers", "subscribers")
def forwarder(**given: Any) -> Work:
    """Hand on what publishers send to those who subscribe.

    Subscriptions travel upstream, so that publishers send only what somebody wants. It runs until
    SIGINT or SIGTERM, then hands on what it has accepted, and says what it could not deliver.
    """
    return _work("forwarder", given)


@click.command(
    cls=Command,
    examples={
        "hypersocket streamer --frontend 'tcp://*:5557' --backend 'tcp://*:5558'": (
            "Sources (PUSH) connect to 5557, sinks (PULL) to 5558"
        ),
        "hypersocket streamer --frontend 'tcp://*:5557' --backend 'tcp://*:5558' \\\n"
        "    --option frontend.rcvhwm=100 --option backend.sndhwm=100 --linger 60": (
            "Hold fewer messages, and wait longer for them at the end"
        ),
    },
)
@_common("sources", "sinks")
def streamer(**given: Any) -> Work:
    """Share out what sources push among those who pull.

    A sink that is full holds back the sources. It runs until SIGINT or SIGTERM, then hands on what
    it has accepted, and says what it could not deliver.
    """
    return _work("streamer", given)
