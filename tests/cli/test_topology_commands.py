"""``run``, ``check`` and ``graph``; what a file may hold is tested with topologies."""

from __future__ import annotations

import signal
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from .commands import Start, run
from .conftest import Make

pytestmark = pytest.mark.interop

NETWORK = """
[variables]
host = "127.0.0.1"

[devices.ore]
kind = "streamer"
frontend = { bind = "tcp://${host}:*" }
backend = { bind = "tcp://${host}:*" }
"""


@pytest.fixture
def network(tmp_path: Path) -> str:
    path = tmp_path / "network.toml"
    path.write_text(NETWORK, encoding="utf-8")
    return str(path)


def test_check_says_that_nothing_is_wrong(network: str) -> None:
    done = run("check", network)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"{network}: nothing is wrong with it (1 device)\n"


@pytest.mark.parametrize("command", ["check", "run", "graph"])
def test_each_mistake_is_a_line_that_names_file_key_and_value(
    network: str, tmp_path: Path, command: str
) -> None:
    path = tmp_path / "wrong.toml"
    text = NETWORK.replace('"streamer"', '"steamer"') + "colour = 7\n"
    path.write_text(text, encoding="utf-8")
    done = run(command, str(path))
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (2, b"")
    assert all(line.startswith(f"hypersocket: {path}") for line in lines)
    assert any("devices.ore.kind" in line and "steamer" in line for line in lines)
    assert any("devices.ore.colour" in line for line in lines)


def test_a_file_that_is_not_there() -> None:
    done = run("check", "no/such.toml")
    assert done.returncode == 2
    assert done.stderr.decode().count("\n") == 1
    assert "no/such.toml" in done.stderr.decode()


def test_a_variable_can_be_set(network: str) -> None:
    assert run("check", network, "--set", "host=localhost").returncode == 0
    done = run("check", network, "--set", "host=not a host")
    assert done.returncode == 2
    assert "not a host" in done.stderr.decode()


def test_only_names_what_is_there(network: str) -> None:
    done = run("run", network, "--only", "coal")
    assert done.returncode == 2
    assert done.stderr.decode().count("\n") == 1
    assert "coal" in done.stderr.decode()


def test_graph(network: str, tmp_path: Path) -> None:
    done = run("graph", network)
    assert (done.returncode, done.stderr) == (0, b"")
    assert ET.fromstring(done.stdout).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"ore" in done.stdout
    written = run("graph", network, "-o", str(tmp_path / "network.svg"))
    assert (written.returncode, written.stdout, written.stderr) == (0, b"", b"")
    assert (tmp_path / "network.svg").read_bytes() == done.stdout


def test_a_picture_that_cannot_be_written(network: str, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "network.svg"
    done = run("graph", network, "-o", str(path))
    assert done.returncode == 1
    assert done.stderr.decode() == (
        f"hypersocket: {path}: cannot write it: No such file or directory\n"
    )


def test_a_gateway_file_is_drawn_by_a_topology_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text('[broker]\nurl = "amqp://localhost"\n', encoding="utf-8")
    done = run("graph", str(path))
    assert done.returncode == 2
    assert f'[gateways.bridge] with config = "{path}"' in done.stderr.decode()


@pytest.mark.parametrize("why", ["in use", "no interface", "metrics"])
def test_a_run_that_cannot_start_is_one_line(start: Start, network: str, why: str) -> None:
    taken = start("pull", "--bind", "tcp://127.0.0.1:*").endpoint()
    endpoint, told = {
        "in use": (taken, f"ore: {taken} is in use"),
        "no interface": ("tcp://nosuch0:5555", "ore: cannot resolve 'nosuch0'"),
        "metrics": ("inproc://x", "metrics at "),
    }[why]
    more = ["--metrics", taken.removeprefix("tcp://")] if why == "metrics" else []
    Path(network).write_text(NETWORK.replace("tcp://${host}:*", endpoint, 1), encoding="utf-8")
    done = run("run", network, *more)
    said = done.stderr.decode()
    assert (done.returncode, done.stdout, said.count("\n")) == (1, b"", 1)
    assert said.startswith(f"hypersocket: {told}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_until_a_signal(
    start: Start, theirs: Make, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "network.toml"
    front, back = f"ipc://{tmp_path}/front", f"ipc://{tmp_path}/back"
    path.write_text(
        NETWORK.replace("tcp://${host}:*", front, 1).replace("tcp://${host}:*", back, 1),
        encoding="utf-8",
    )
    network = start("run", str(path))
    source, sink = theirs("PUSH", connect=front), theirs("PULL", connect=back)
    for message in (b"1", b"2"):
        source.send(message)
        assert sink.recv() == message
    assert network.end(number) == 0
    assert network.err.rest() == b""


def test_a_second_signal_ends_a_run_at_once_and_is_a_failure(
    start: Start, theirs: Make, tmp_path: Path
) -> None:
    path = tmp_path / "network.toml"
    front, control = f"ipc://{tmp_path}/front", f"ipc://{tmp_path}/control"
    path.write_text(
        NETWORK.replace("tcp://${host}:*", front, 1)
        .replace("backend =", "backend.options =")
        .replace('{ bind = "tcp://${host}:*" }', "{ linger = 3600 }")
        + f'backend.bind = "tcp://127.0.0.1:*"\ncontrol = "{control}"\n',
        encoding="utf-8",
    )
    network = start("run", str(path), "--verbose")
    source, steering = theirs("PUSH", connect=front), theirs("REQ", connect=control)
    source.send(b"nobody takes it")
    taken = 0
    while not taken:
        steering.send(b"STATISTICS")
        taken = int.from_bytes(steering.recv_multipart()[0], sys.byteorder)
    network.send_signal(signal.SIGTERM)
    while b"SIGTERM: stopping" not in network.err.line():
        pass
    assert network.end() == 1
    assert b"interrupted twice: what was still to be handed on is dropped" in network.err.rest()


def test_run_says_what_starts_and_stops_where_that_is_asked_for(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "network.toml"
    text = NETWORK.replace("tcp://${host}:*", f"ipc://{tmp_path}/front", 1)
    path.write_text(text, encoding="utf-8")
    network = start("run", "--verbose", str(path))
    assert network.err.line().startswith(b"hypersocket: ore: the streamer runs: ")
    path.write_text("wrong = 1", encoding="utf-8")
    network.send_signal(signal.SIGHUP)
    assert b"wrong = 1: unknown key" in network.err.line()
    path.write_text(text, encoding="utf-8")
    network.send_signal(signal.SIGHUP)
    assert b"was read again" in network.err.line()
    assert network.end() == 0
    last = network.err.rest().splitlines()
    assert last == [
        b"hypersocket: SIGTERM: stopping",
        b"hypersocket: ore: stopped, with nothing left undelivered",
    ]


def test_run_what_a_configuration_service_tells(start: Start, theirs: Make, tmp_path: Path) -> None:
    service = theirs("REP")
    service.bind(f"ipc://{tmp_path}/service")
    front, back = f"ipc://{tmp_path}/front", f"ipc://{tmp_path}/back"
    text = NETWORK.replace("tcp://${host}:*", front, 1).replace("tcp://${host}:*", back, 1)
    network = start("run", f"ipc://{tmp_path}/service#network")
    assert network.err.line().decode() == (
        f"hypersocket: asking ipc://{tmp_path}/service for network\n"
    )
    assert service.recv() == b"network"
    service.send_multipart([b"ok", text.encode()])
    source, sink = theirs("PUSH", connect=front), theirs("PULL", connect=back)
    source.send(b"1")
    assert sink.recv() == b"1"
    assert network.end() == 0
