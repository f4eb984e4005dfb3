"""``hypersocket top``: what it hears, how it looks, how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from collections.abc import AsyncGenerator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from rich.console import Console

import hypersocket as hs
from hypersocket import management
from hypersocket.cli import _top_cells, _top_rows, _top_screen, _top_watch

from ..cli.commands import ANY_PORT, Running, Start, run
from .test_snapshot import message

HERE = "inproc://monitor"


# The screen, from real feeds


@asynccontextmanager
async def watching(*endpoints: str) -> AsyncGenerator[_top_watch.Watch, None]:
    watch = _top_watch.Watch(endpoints)
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.run)
        yield watch
        nursery.cancel_scope.cancel()


def console(width: int, height: int) -> Console:
    return Console(
        width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None,
        legacy_windows=False, _environ={},
    )  # fmt: skip


def shown(screen: _top_screen.Screen, width: int = 80, height: int = 24) -> list[str]:
    """The lines of a screen, as a terminal of that size has them."""
    on = console(width, height)
    with on.capture() as capture:
        on.print(screen.render(on, trio.current_time()), end="")
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in capture.get().split("\n")]
    if lines[-1] == "":
        lines.pop()
    return lines


@asynccontextmanager
async def devices(count: int, monitor: str = HERE) -> AsyncGenerator[list[hs.Pull], None]:
    """As many programs with a socket each, which tell at one endpoint."""
    xpub = hs.XPub(bind=monitor, xpub_verbose=True)
    async with xpub, trio.open_nursery() as nursery:
        pulls = [hs.Pull(bind=f"inproc://{number}") for number in range(count)]
        for number, pull in enumerate(pulls):
            feed = management.monitor_feed(xpub, name=f"device-{number:02}", sockets={"in": pull})
            await nursery.start(hold, pull, feed)
        yield pulls
        nursery.cancel_scope.cancel()


async def hold(pull: Any, feed: Any, *, task_status: trio.TaskStatus[None]) -> None:
    async with pull, feed:
        task_status.started()
        await trio.sleep_forever()


async def test_one_device_with_its_sockets(autojump_clock: Any) -> None:
    async with (
        devices(1) as (pull,),
        hs.Push(connect="inproc://0") as push,
        watching(HERE) as watch,
    ):
        await trio.sleep(0.5)  # between two statistics
        for _ in range(100):
            await push.send(b"x" * 100)
        await trio.sleep(1)
        head, columns, device, socket, *rest = shown(_top_screen.Screen(watch))
        assert head.startswith("hypersocket top   1 device   1 of 1 endpoint ")
        assert columns.split() == [
            *("NAME", "KIND", "STATE", "IN/s", "OUT/s", "QUEUED", "DROPPED", "PEERS"),
        ]  # fmt: skip
        assert device.split() == ["device-00", "program", "running", "100", "0", "100", "0", "1"]
        assert socket.split() == ["in", "PULL", "100", "0", "100", "0", "1"]
        assert rest[-1].startswith("q quit   d devices   s sockets   p peers")
        wide = shown(_top_screen.Screen(watch), 200, 50)
        assert "IN B/s" in wide[1]
        assert "WHERE" in wide[1]
        assert wide[3].split() == [
            *("in", "PULL", "100", "0", "10.0k", "0", "100", "0", "1", "inproc://0"),
        ]  # fmt: skip
        assert await pull.recv()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (40, 10), (20, 5), (1, 1)])
@pytest.mark.parametrize("level", [None, *_top_rows.LEVELS])
async def test_every_screen_fits(
    width: int, height: int, level: _top_rows.Level | None, autojump_clock: Any
) -> None:
    async with devices(20), watching(HERE, "inproc://nowhere") as watch:
        await trio.sleep(5)
        lines = shown(_top_screen.Screen(watch, level), width, height)
        assert len(lines) <= max(height, 4)
        assert all(len(line) <= width for line in lines)


async def test_twenty_devices_are_on_a_terminal_of_24_lines(autojump_clock: Any) -> None:
    async with devices(20), watching(HERE) as watch:
        await watch.wait_settled()
        screen = _top_screen.Screen(watch)
        lines = shown(screen)
        names = [line.split()[0] for line in lines[2:-2]]
        assert names == [f"device-{number:02}" for number in range(20)]
        screen.key("sockets")
        lines = shown(screen)
        assert lines[-1].endswith("1-21 of 40")
        assert [line.split()[0] for line in lines[2:5]] == ["device-00", "in", "device-01"]
        for key, first in (
            ("down", "in"), ("up", "device-00"), ("page down", "in"), ("end", "in"),
            ("up", "device-09"), ("home", "device-00"), ("up", "device-00"),
            ("down", "in"), ("devices", "device-00"),
        ):  # fmt: skip
            assert screen.key(key)
            assert shown(screen)[2].split()[0] == first
        assert not screen.key("quit")


async def test_peers_and_events(autojump_clock: Any) -> None:
    async with devices(1), watching(HERE) as watch:
        await watch.wait_settled()
        async with hs.Push(connect="inproc://0"):
            await trio.sleep(2)
            screen = _top_screen.Screen(watch, "peers")
            assert shown(screen)[4].split()[:2] == ["inproc://0", "PUSH"]
            latest = [line for line in shown(screen) if "handshake_succeeded" in line]
            assert len(latest) == 1
        await trio.sleep(0.5)
        screen.key("events")
        first, second, third, *_ = shown(screen)[1:]
        assert "device-00/in disconnected inproc://0" in first
        assert first.endswith("disconnected inproc://0  closed by peer")
        assert "handshake_succeeded" in second
        assert "accepted" in third


async def test_what_is_not_there_is_shown_and_comes_when_it_comes(autojump_clock: Any) -> None:
    async with watching("tcp://127.0.0.1:1", HERE) as watch:
        while not watch.places[0].detail.startswith("connection"):
            await watch.wait_changed()
        screen = _top_screen.Screen(watch)
        lines = shown(screen)
        assert lines[0].startswith("hypersocket top   0 devices   0 of 2 endpoints ")
        assert lines[1].rstrip() == "tcp://127.0.0.1:1  not there: connection refused"
        assert lines[2].startswith(f"{HERE}  not there")
        async with devices(1):
            await trio.sleep(5)
            assert shown(screen)[3].split()[:3] == ["device-00", "program", "running"]
        await trio.sleep(5)
        assert shown(screen)[4].split()[:3] == ["device-00", "program", "stopped"]
        async with devices(1):
            await trio.sleep(5)
            assert shown(screen)[3].split()[:3] == ["device-00", "program", "running"]
        await trio.sleep(700)
        assert not any(line.startswith("device-00") for line in shown(screen))


async def test_silence_and_loss_are_told_apart(autojump_clock: Any) -> None:
    """As of a device that was killed: it says nothing of its end."""
    async with hs.Pub(bind=HERE) as pub, watching(HERE) as watch:
        await pub.wait_subscribed(b"hs1/")
        await pub.send_multipart(message("d", kind="queue", state="running"))
        await watch.wait_changed()
        screen = _top_screen.Screen(watch)
        for seconds, state in ((2.5, "running"), (1, "silent")):
            await trio.sleep(seconds)
            assert shown(screen)[2].split() == ["d", "queue", state, *"..000"]
        await pub.aclose()
        await trio.sleep(1)
        assert shown(screen)[1].startswith(f"{HERE}  not there: closed by peer")
        assert shown(screen)[3].split()[2] == "lost"


async def test_what_is_no_feed_is_told(autojump_clock: Any) -> None:
    async with hs.Pub(bind=HERE) as pub, watching(HERE) as watch:
        await pub.wait_subscribed(b"hs1/")
        await pub.send(b"hs1/weather rain")
        await watch.wait_changed()
        lines = shown(_top_screen.Screen(watch), 120)
        assert "1 messages not understood" in lines[0]
        assert lines[1].startswith(f"{HERE}  no feed: a message of a feed has a topic and a body")


async def test_a_peer_cannot_write_to_the_terminal(autojump_clock: Any) -> None:
    evil = "\x1b[2J\x1b]0;title\x07\u202e[red]"
    async with (
        management.monitor_feed(HERE, name=evil, sockets={evil: hs.Pull()}),
        watching(HERE) as watch,
    ):
        await watch.wait_settled()
        for level in _top_rows.LEVELS:
            text = "".join(shown(_top_screen.Screen(watch, level)))
            assert all(char.isprintable() or char == "\ufffd" for char in text)
            assert ("[red]" in text) == (level not in {"events", "routes"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "."), (0, "0"), (0.04, "0.0"), (3, "3"), (3.14159, "3.1"), (99.94, "99.9"),
        (99.96, "100"), (999.4, "999"), (999.5, "1.0k"), (12_345, "12.3k"), (999_499, "999k"),
        (999_500, "1.0M"), (5e9, "5.0G"), (5e13, "50.0T"), (5e17, "500000T"),
    ],
)  # fmt: skip
def test_amounts(value: float | None, text: str) -> None:
    assert _top_cells.amount(value) == text


def test_keys() -> None:
    assert list(_top_screen.split_keys(b"q")) == ["quit"]
    assert list(_top_screen.split_keys(b"jk\x1b[A\x1bOB\x1b[5~x")) == [
        "down", "up", "up", "down", "page up",
    ]  # fmt: skip
    # What means nothing is passed over whole: the arrow to the right holds no key of ours.
    assert list(_top_screen.split_keys(b"\x1b[C\x1b[1;5d\x1b")) == []


# The command, as a user has it

PATIENT = ("--timeout", "25")
"""Far more than it needs until it has heard everything, which is when it ends."""


def test_one_snapshot_for_a_script(streamer: tuple[Running, str]) -> None:
    done = run("top", "--once", "--json", *PATIENT, streamer[1])
    assert (done.returncode, done.stderr) == (0, b"")
    (line,) = done.stdout.splitlines()
    (place,) = json.loads(line)["endpoints"]
    assert (place["endpoint"], place["state"]) == (streamer[1], "connected")
    (device,) = place["devices"]
    assert (device["device"], device["kind"], device["state"]) == ("orders", "streamer", "running")
    assert device["per_second"]["frontend_messages_in"] == 0.0
    assert [one["socket"] for one in device["sockets"]] == ["frontend", "backend"]
    assert device["sockets"][0]["counters"]["messages_in"] == 0
    assert [one["per_second"]["messages_in"] for one in device["sockets"]] == [0.0, 0.0]


def test_one_snapshot_for_people(streamer: tuple[Running, str]) -> None:
    done = run("top", "--once", *PATIENT, streamer[1])
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert "\x1b" not in text
    rows = [line.split()[:3] for line in text.splitlines()]
    assert ["orders", "streamer", "running"] in rows
    assert any(row[:2] == ["frontend", "PULL"] for row in rows)


def test_an_endpoint_that_is_not_there_fails_a_script(streamer: tuple[Running, str]) -> None:
    done = run("top", "--once", "--timeout", "4", streamer[1], "tcp://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == b"hypersocket: tcp://127.0.0.1:1: not there: connection refused\n"
    assert b"orders" in done.stdout
    assert b"tcp://127.0.0.1:1  not there: connection refused" in done.stdout


def test_without_a_terminal_snapshots_follow_each_other(
    streamer: tuple[Running, str], start: Start
) -> None:
    for options in ([], ["--json"]):
        top = start("top", "--interval", "0.1", *options, streamer[1])
        for _ in range(3):
            while b"orders" not in (line := top.out.line()):
                assert line
        assert top.end(signal.SIGINT) == 0
        assert top.err.rest() == b""


def test_watching_and_leaving_is_not_in_the_log_of_who_is_watched(
    streamer: tuple[Running, str],
) -> None:
    for _ in range(3):
        assert run("top", "--once", *PATIENT, streamer[1]).returncode == 0
    assert streamer[0].end() == 0
    assert b"disconnected" not in streamer[0].err.rest()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "ENDPOINT"),
        (["nowhere"], "nowhere"),
        (["tcp://127.0.0.1:*"], "tcp://127.0.0.1:*"),
        (["--interval", "0", "tcp://127.0.0.1:1"], "--interval"),
        (["--interval", "inf", "tcp://127.0.0.1:1"], "--interval"),
        (["--interval", "often", "tcp://127.0.0.1:1"], "often"),
    ],
    ids=" ".join,
)
def test_bad_usage(arguments: list[str], said: str) -> None:
    done = run("top", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert said in done.stderr.decode()


def test_help() -> None:
    done = run("top", "--help")
    assert done.returncode == 0
    assert "hypersocket top --once --json" in done.stdout.decode()


@pytest.mark.skipif(os.name != "posix", reason="uses ipc")
def test_a_device_that_is_killed_and_started_again(start: Start, tmp_path: Path) -> None:
    monitor = f"ipc://{tmp_path}/monitor"
    arguments = ("streamer", "--frontend", ANY_PORT, "--backend", ANY_PORT, "--monitor", monitor)
    top = start("top", "--json", "--interval", "0.1", monitor)

    def until(state: str, seen: AbstractSet[str] = frozenset()) -> list[Any]:
        while True:
            place = json.loads(top.out.line())["endpoints"][0]
            devices: list[Any] = place["devices"]
            new = {one["run"] for one in devices} - seen
            if place["state"] == state and (new or state == "not there"):
                return devices

    assert until("not there") == []
    runs: set[str] = set()
    for _ in range(3):
        device = start(*arguments)
        (told,) = until("connected", runs)
        assert told["state"] == "running"
        runs.add(told["run"])
        device.end(signal.SIGKILL)
        (told,) = until("not there")
        assert told["device"] == "streamer"
    assert len(runs) == 3
    assert top.end(signal.SIGINT) == 0
