"""``hypersocket gateway``, with RabbitMQ and libzmq's sockets."""

from __future__ import annotations

import http.client
import re
import signal
from pathlib import Path

import pika
import pytest
import trio

from hypersocket.management import Snapshot, topic_prefix

from ..brokers.rabbitmq import RabbitMQ
from .commands import Start, run
from .conftest import Make

pytestmark = pytest.mark.interop

GATEWAY = """
[broker]
url = "URL"
reconnect_ivl_max = 0.5

[[broker.queues]]
name = "orders"

[[broker.queues]]
name = "returns"

[routes.orders]
kind = "out"
socket = "tcp://127.0.0.1:*"
queue = "orders"

[routes.back]
kind = "in"
socket = "tcp://127.0.0.1:*"
queue = "returns"
"""


def written(folder: Path, text: str) -> str:
    path = folder / "bridge.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_check_by_either_command(tmp_path: Path) -> None:
    path = written(tmp_path, GATEWAY.replace("URL", "amqp://localhost"))
    for arguments in (("check", path), ("gateway", path, "--check")):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.decode() == f"{path}: nothing is wrong with it (2 routes)\n"


@pytest.mark.parametrize("command", [["check"], ["gateway"], ["gateway", "--check"]])
def test_each_mistake_is_a_line(tmp_path: Path, command: list[str]) -> None:
    text = GATEWAY.replace("URL", "amqp://anna:geheim@h:x").replace('"out"', '"uot"')
    path = written(tmp_path, text)
    done = run(*command, path)
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (2, b"")
    assert len(lines) == 2
    assert all(line.startswith(f"hypersocket: {path}:") for line in lines)
    assert "geheim" not in done.stderr.decode()
    assert "did you mean 'out'?" in lines[1]


def test_a_gateway_file_is_no_topology(tmp_path: Path) -> None:
    path = written(tmp_path, GATEWAY.replace("URL", "amqp://localhost"))
    done = run("run", path)
    assert done.returncode == 2
    assert done.stderr.decode() == (
        f"hypersocket: {path}: this is a gateway file: hypersocket gateway runs it\n"
    )


def test_a_gateway_file_is_known_by_its_tables_after_a_mark(tmp_path: Path) -> None:
    """Some editors begin a file of UTF-8 with a byte order mark."""
    text = GATEWAY.replace("URL", "amqp://localhost")
    done = run("check", written(tmp_path, "\ufeff" + text))
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("command", [["gateway", "--check"], ["check"]])
def test_a_file_that_no_parser_likes_is_a_line(tmp_path: Path, command: list[str]) -> None:
    path = written(tmp_path, "x = " + "[" * 5000 + "]" * 5000)
    done = run(*command, path)
    told = f"hypersocket: {path}: tables and lists are nested more than 32 deep\n"
    assert (done.returncode, done.stderr.decode()) == (2, told)


def test_metrics_at_no_address(tmp_path: Path) -> None:
    path = written(tmp_path, GATEWAY.replace("URL", "amqp://localhost"))
    done = run("gateway", path, "--metrics", "9100")
    assert done.returncode == 2
    assert b"expected HOST:PORT" in done.stderr


def test_warnings_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, GATEWAY.replace("URL", "amqp://anna:geheim@rabbit.example"))
    done = run("check", path)
    assert done.returncode == 0
    assert b"warning: the password goes over the network" in done.stderr
    assert b"geheim" not in done.stderr


def test_messages_go_there_and_back_and_are_told_of(
    start: Start, theirs: Make, rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    path = written(tmp_path, GATEWAY.replace("URL", rabbitmq.url))
    gateway = start("gateway", path, "--monitor", "tcp://127.0.0.1:*", "--metrics", "127.0.0.1:*")
    orders, back, monitor = (gateway.endpoint(name) for name in ("orders", "back", "monitor"))
    while not (found := re.search(rb"http://([\d.:]+)/metrics", gateway.err.seen)):
        gateway.err.line()
    push, pull = theirs("PUSH", connect=orders), theirs("PULL", connect=back)
    for number in range(100):
        push.send(b"%d" % number)
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        channel = connection.channel()
        for number, (_, __, body) in enumerate(channel.consume("orders", auto_ack=True), 1):
            assert body is not None
            assert body == b"%d" % (number - 1)
            channel.basic_publish("", "returns", body)
            if number == 100:
                break
    assert [int(pull.recv()) for _ in range(100)] == list(range(100))

    sub = theirs("SUB", connect=monitor, subscribe=topic_prefix("bridge").decode())
    snapshot = Snapshot()
    while not (
        "bridge" in snapshot.devices
        and (told := snapshot.devices["bridge"].sockets.get("back")) is not None
        and told.own is not None
        and told.own.counter("route_messages_confirmed") == 100
    ):
        snapshot.take(sub.recv_multipart(), 0.0)
    own = snapshot.devices["bridge"].own
    assert own is not None
    assert own.report.body["kind"] == "gateway"
    assert own.report.body["connected"]
    assert told.own.report.body["route_kind"] == "in"

    scraper = http.client.HTTPConnection(found[1].decode(), timeout=20)
    scraper.request("GET", "/metrics")
    text = scraper.getresponse().read().decode()
    scraper.close()
    for line in (
        'hypersocket_route_confirmed_messages_total{device="bridge",kind="out",route="orders"} 100',
        'hypersocket_gateway_broker_connections{device="bridge",kind="gateway"} 1',
        'hypersocket_devices{device="bridge",kind="gateway",state="running"} 1',
    ):
        assert line in text

    shown = run("top", "--once", monitor)
    assert shown.returncode == 0
    assert re.search(r"bridge +gateway +running", shown.stdout.decode())
    assert re.search(r"orders +out +active", shown.stdout.decode())

    assert gateway.end(signal.SIGTERM) == 0
    assert b"Traceback" not in gateway.err.rest()


def test_what_the_broker_refuses_is_one_line(rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    wrong = re.sub(r"//\w+:\w+@", "//guest:geheim@", rabbitmq.url)
    done = run("gateway", written(tmp_path, GATEWAY.replace("URL", wrong)))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"ACCESS_REFUSED" in done.stderr
    assert b"geheim" not in done.stderr
    text = GATEWAY.replace("URL", rabbitmq.url).replace('[[broker.queues]]\nname = "returns"\n', "")
    done = run("gateway", written(tmp_path, text))
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"NOT_FOUND" in done.stderr


def test_a_topology_runs_gateways(
    start: Start, theirs: Make, rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    written(tmp_path, GATEWAY.replace("URL", rabbitmq.url).replace("back]", "back2]"))
    path = tmp_path / "plant.toml"
    path.write_text(
        '[gateways.bridge]\nconfig = "bridge.toml"\n'
        '[devices.work]\nkind = "streamer"\n'
        'frontend.bind = "inproc://work"\nbackend.bind = "tcp://127.0.0.1:*"\n'
        "[gateways.inline]\n"
        f'[gateways.inline.broker]\nurl = "{rabbitmq.url}"\n'
        '[[gateways.inline.broker.queues]]\nname = "jobs"\n'
        '[gateways.inline.routes.jobs]\nkind = "in"\nqueue = "jobs"\n'
        'socket.connect = "work.frontend"\n',
        encoding="utf-8",
    )
    done = run("check", str(path))
    assert done.stdout.decode().endswith("nothing is wrong with it (1 device, 2 gateways)\n")
    assert b"AMQP 0-9-1" in run("graph", str(path)).stdout
    running = start("run", str(path), "--verbose")
    line = ""
    while "work: the streamer runs" not in line:
        line = running.err.line().decode()
        assert line, running.err.seen
    found = re.search(r"backend at ([^\s;]+)", line)
    assert found is not None
    while b"inline: the gateway runs" not in running.err.seen:
        assert running.err.line()
    pull = theirs("PULL", connect=found[1])
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq.url))
    connection.channel().basic_publish("", "jobs", b"dig")
    connection.close()
    assert pull.recv() == b"dig"
    running.send_signal(signal.SIGHUP)
    while b"nothing has changed" not in running.err.seen:
        assert running.err.line()
    bridge = tmp_path / "bridge.toml"
    bridge.write_text("[gateway]\nlinger = 3\n" + bridge.read_text(encoding="utf-8"))
    running.send_signal(signal.SIGHUP)
    line = ""
    while "was read again" not in line:
        line = running.err.line().decode()
        assert line, running.err.seen
    assert "bridge was stopped and started anew" in line
    assert not [name for name in ("inline", "work") if name in line]
    assert running.end(signal.SIGTERM) == 0


async def test_a_broker_that_comes_later_is_waited_for(
    start: Start, theirs: Make, tmp_path: Path
) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    path = written(tmp_path, GATEWAY.replace("URL", f"amqp://127.0.0.1:{port}"))
    gateway = start("gateway", path)
    gateway.endpoint("orders")
    assert gateway.end(signal.SIGINT) == 0
    said = gateway.err.seen + gateway.err.rest()
    assert b"Traceback" not in said
    assert b"refused" in said.lower()
