"""``hypersocket top``: a live table of what devices and sockets tell of themselves."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeAlias

import click
import trio
from rich.console import Console
from rich.live import Live

from . import _signals
from ._command import Command
from ._outcome import FAILED, SUCCEEDED, say
from ._top_rows import plain
from ._top_screen import Screen, keys, reading_keys
from ._top_watch import Watch, as_json
from ._types import Seconds, check_endpoints

Work: TypeAlias = Callable[[], int]

SHORTEST = 0.1
"""Seconds between two pictures, at least."""


@click.command(
    cls=Command,
    examples={
        "hypersocket top tcp://127.0.0.1:5599": "Watch a device that runs with --monitor",
        "hypersocket top tcp://10.0.0.7:5599 tcp://10.0.0.8:5599": "Watch two places at once",
        "hypersocket top --once --json tcp://127.0.0.1:5599 | jq .": "One snapshot, for a script",
    },
)
@click.argument("endpoints", metavar="ENDPOINT...", nargs=-1, required=True)
@click.option(
    "--interval",
    type=Seconds(),
    default=1.0,
    show_default=True,
    metavar="S",
    help="How often to show anew what is known; devices tell at an interval of their own.",
)
@click.option("--once", is_flag=True, help="Print one snapshot, with rates, and end.")
@click.option("--json", "as_lines", is_flag=True, help="Print each snapshot as one line of JSON.")
@click.option(
    "--timeout",
    type=Seconds(),
    default=5.0,
    show_default=True,
    metavar="S",
    help="With --once: how long to wait for endpoints that are not there, and for rates.",
)
def top(
    endpoints: tuple[str, ...], interval: float, once: bool, as_lines: bool, timeout: float
) -> Work:
    """Watch devices and sockets by what they publish at their monitor endpoints.

    At a terminal it is a live table: rates, queues, what was dropped, peers and events, by device.
    Elsewhere it prints a snapshot at each interval. An endpoint that is not there is shown as such,
    until it comes. q or Ctrl-C ends it.

    With --once the exit status is 1 if an endpoint told nothing.
    """
    check_endpoints(endpoints, "ENDPOINT", binding=False)
    if not SHORTEST <= interval < float("inf"):
        raise click.BadParameter(
            f"{interval:g}: expected {SHORTEST} seconds or more", param_hint="--interval"
        )
    watch = Watch(endpoints)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _width())
    if once:
        return partial(_signals.run, partial(_once, watch, timeout, as_lines, console))
    if as_lines or not console.is_terminal or console.is_dumb_terminal:
        return partial(_signals.run, partial(_print, watch, interval, as_lines, console))
    return partial(_signals.run, partial(_live, watch, interval, console))


def _width() -> int | None:
    # A pipe has no width. 120 columns show everything but where things are.
    return None if "COLUMNS" in os.environ else 120


async def _once(
    watch: Watch, timeout: float, as_lines: bool, console: Console, stop: _signals.Stop
) -> int:
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.run)
        with stop.ends(), trio.move_on_after(timeout):
            await watch.wait_settled()
        _print_one(watch, as_lines, console)
        nursery.cancel_scope.cancel()
    untold = [place for place in watch.places if not place.heard]
    for place in untold:
        why = place.detail or place.strange_why
        say(f"{place.endpoint}: {place.state}{f': {why}' if why else ''}")
    return FAILED if untold else SUCCEEDED


async def _print(
    watch: Watch, interval: float, as_lines: bool, console: Console, stop: _signals.Stop
) -> int:
    with stop.ends() as until:
        async with trio.open_nursery() as nursery:
            await nursery.start(watch.run)
            while not until.cancel_called:
                await trio.sleep(interval)
                _print_one(watch, as_lines, console)
                if not as_lines:
                    console.print()
                sys.stdout.flush()
    return SUCCEEDED


def _print_one(watch: Watch, as_lines: bool, console: Console) -> None:
    now = trio.current_time()
    watch.forget(now)
    if as_lines:
        print(json.dumps(as_json(watch, now, time.time())))
    else:
        when = datetime.now().astimezone().isoformat(" ", "seconds")
        console.print(plain(watch, now, when, console))


async def _live(watch: Watch, interval: float, console: Console, stop: _signals.Stop) -> int:
    screen = Screen(watch)
    with (
        stop.ends() as until,
        reading_keys() as descriptor,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):

        def draw() -> None:
            live.update(screen.render(console, trio.current_time()), refresh=True)

        async def press(scope: trio.CancelScope) -> None:
            assert descriptor is not None
            async for name in keys(descriptor):
                if not screen.key(name):
                    scope.cancel()
                draw()

        async def resize() -> None:
            with trio.open_signal_receiver(signal.SIGWINCH) as resized:
                async for _ in resized:
                    draw()

        async with trio.open_nursery() as nursery:
            await nursery.start(watch.run)
            if descriptor is not None:
                nursery.start_soon(press, nursery.cancel_scope)
            if hasattr(signal, "SIGWINCH"):
                nursery.start_soon(resize)
            while not until.cancel_called:
                draw()
                await trio.sleep(interval)
    return SUCCEEDED
