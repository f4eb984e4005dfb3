"""Workers die, brokers run out of memory, and messages are poison: each ends nothing but itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pika
import pytest
import trio

import hypersocket as hs
from hypersocket.management import parse_report, topic_prefix

from ..amqp.v10.peer import Peer, serve
from ..brokers.by_pika import channel
from ..brokers.rabbitmq import RabbitMQ, missing
from .processes import PATIENCE, PATIENT, gateway
from .worlds import until

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

WORKER = Path(__file__).parents[1] / "devices" / "worker.py"
ANY_PORT = "tcp://127.0.0.1:*"
MIB = 1 << 20


def declare(url: str, *queues: str, **arguments: Any) -> None:
    with channel(url) as there:
        for queue in queues:
            there.queue_declare(queue, durable=True, arguments=arguments)


def put(url: str, queue: str, *messages: tuple[bytes, pika.BasicProperties]) -> None:
    with channel(url) as there:
        there.confirm_delivery()
        for body, properties in messages:
            there.basic_publish("", queue, body, properties)


def get(url: str, queue: str, count: int) -> list[bytes]:
    """Take so many messages, waiting for them."""
    found: list[bytes] = []
    with channel(url) as there:
        for _, _, body in there.consume(queue, auto_ack=True, inactivity_timeout=PATIENCE):
            assert body is not None, f"{len(found)} of {count} messages are there"
            found.append(body)
            if len(found) == count:
                return found
    return found


def depth(url: str, queue: str) -> int:
    with channel(url) as there:
        count: int = there.queue_declare(queue, passive=True).method.message_count
        return count


@asynccontextmanager
async def running(text: str, path: Path, url: str) -> AsyncGenerator[hs.devices.AmqpGateway]:
    """A gateway in this process, stopped gracefully at the end."""
    file = path / "gateway.toml"
    whole = f'gateway.linger = 60\n[broker]\n{PATIENT}url = "{url}"\n{text}'
    await trio.Path(file).write_text(whole, encoding="utf-8")
    device = hs.devices.AmqpGateway.from_file(file)
    async with trio.open_nursery() as nursery:
        await nursery.start(device.run)
        yield device
        await device.stop()


async def in_thread(call: Callable[..., Any], *args: Any) -> Any:
    return await trio.to_thread.run_sync(call, *args)


# --- workers ---------------------------------------------------------------------------


async def first_line(stream: trio.abc.ReceiveStream) -> bytes:
    """The first line, whatever the pieces that it comes in."""
    line = b""
    while not line.endswith(b"\n"):
        piece = await stream.receive_some()
        assert piece, f"it ended after {line!r}"
        line += piece
    return line


async def test_the_job_of_a_worker_that_is_killed_is_done_by_another(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    await in_thread(declare, rabbitmq.url, "jobs")
    await in_thread(put, rabbitmq.url, "jobs", (b"job", pika.BasicProperties(delivery_mode=2)))
    text = f"""
    [routes.work]
    kind = "in"
    socket = {{ type = "DEALER", bind = "{ANY_PORT}" }}
    queue = "jobs"
    ack = "reply"
    timeout = inf
    """
    async with running(text, tmp_path, rabbitmq.url) as device:
        endpoint = device.sockets["work"].endpoints[0]
        # libzmq's, which takes a job, says so, and never answers.
        killed = await trio.lowlevel.open_process(
            [sys.executable, str(WORKER), endpoint, "0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert killed.stdout is not None
        try:
            with trio.fail_after(PATIENCE):
                assert await first_line(killed.stdout) == b"taken\n"
            assert device.stats().routes[0].confirmed == 0
        finally:
            killed.kill()
            await killed.wait()
        async with hs.Rep(connect=endpoint) as rep:
            with trio.fail_after(PATIENCE):
                assert await rep.recv() == b"job"
                await rep.send(b"done")
                while device.stats().routes[0].confirmed == 0:  # noqa: ASYNC110
                    await trio.sleep(0.01)
        stats = device.stats().routes[0]
        assert (stats.confirmed, stats.dropped, stats.pending) == (1, 0, 0)
    assert await in_thread(depth, rabbitmq.url, "jobs") == 0


# --- a broker without memory -----------------------------------------------------------

OFFERED = 60_000
BODY = bytes(4096)  # of each message, so that far more is offered than may be kept


class Sender:
    """Sends numbered messages; how many the socket has taken can be seen."""

    def __init__(self) -> None:
        self.sent = 0

    async def send(self, push: hs.Push) -> None:
        while self.sent < OFFERED:
            await push.send(self.sent.to_bytes(8, "big") + BODY)
            self.sent += 1


async def held_back(feed: hs.Sub, sender: Sender) -> None:
    """Wait until a gateway that lives tells thrice that it is blocked, and nothing has moved."""
    blocked = False
    seen: list[tuple[int, int]] = []
    while len(seen) < 3:
        report = parse_report(await feed.recv_multipart())
        if report.topic.event != "stats" or report.topic.peer:
            continue
        if not report.topic.socket:
            blocked = bool(report.body["blocked"])
        else:
            now = report.counters["route_messages_received"], sender.sent
            still = blocked and now in seen[-1:]
            seen = [*seen, now] if still else [now] if blocked else []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_a_broker_without_memory_holds_the_sender_back(tmp_path: Path) -> None:
    sender = Sender()
    async with (
        RabbitMQ(tmp_path / "broker") as broker,
        hs.Push(bind=ANY_PORT, sndhwm=100) as push,
        hs.Sub(subscribe=topic_prefix("gateway")) as feed,
    ):
        await in_thread(declare, broker.url, "full")
        text = f"""
        [broker]
        {PATIENT}
        url = "{broker.url}"
        [routes.out]
        kind = "out"
        socket = {{ connect = "{push.endpoints[0]}", options = {{ rcvhwm = 100 }} }}
        queue = "full"
        [gateway]
        monitor_interval = 0.2
        linger = 60
        """
        async with (
            gateway(tmp_path / "gateway.toml", text) as process,
            trio.open_nursery() as tasks,
        ):
            await process.start("--monitor", ANY_PORT)
            await feed.connect(await process.endpoint("monitor"))
            await push.send(b"the first")
            await in_thread(get, broker.url, "full", 1)
            before = process.resident()
            await broker.ctl("set_vm_memory_high_watermark", "0.00001")
            tasks.start_soon(sender.send, push)
            with trio.fail_after(PATIENCE):
                await held_back(feed, sender)
            # What can be under way is far less than what is offered: none was thrown away.
            assert sender.sent < OFFERED // 4
            assert process.resident() - before < 64 * MIB
            assert await in_thread(depth, broker.url, "full") < OFFERED // 4
            await broker.ctl("set_vm_memory_high_watermark", "0.4")
            came = await in_thread(get, broker.url, "full", OFFERED)
            assert [int.from_bytes(body[:8], "big") for body in came] == list(range(OFFERED))
            assert process.resident() - before < 64 * MIB
            assert await process.stop() == 0


# --- poison ----------------------------------------------------------------------------


async def test_poison_from_the_broker_ends_nothing_but_itself(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    await in_thread(declare, rabbitmq.url, "poison")
    plain = pika.BasicProperties()
    # Not UTF-8: many clients cannot read the rest of the connection after these.
    binary = pika.BasicProperties()
    binary.correlation_id, binary.message_id = cast("Any", (b"\xff\xfe\x00", b"\x80"))
    await in_thread(
        put,
        rabbitmq.url,
        "poison",
        (b"before", plain),
        (b"binary", binary),
        (b"oversize" * 100, plain),
        (b"frames", pika.BasicProperties(headers={"x-hypersocket-frames": "1,2,999"})),
        (b"frames", pika.BasicProperties(headers={"x-hypersocket-frames": ["no", -1]})),
        (b"after", plain),
    )
    text = f"""
    [routes.in]
    kind = "in"
    socket = "{ANY_PORT}"
    queue = "poison"
    metadata = "json"
    policy = {{ max_message_size = 100 }}
    dead_letters = {{ socket = "{ANY_PORT}" }}
    """
    async with (
        running(text, tmp_path, rabbitmq.url) as device,
        hs.Pull(connect=device.sockets["in"].endpoints[0]) as pull,
        hs.Pull(connect=device.sockets["in.dead-letters"].endpoints[0]) as dead,
    ):
        with trio.fail_after(PATIENCE):
            came = [await pull.recv_multipart() for _ in range(5)]
            said, *frames = await dead.recv_multipart()
            await until(lambda: device.stats().routes[0].pending == 0)
        # Lengths that do not fit are of somebody else's making: such a message is one frame.
        bodies = [b"before", b"binary", b"frames", b"frames", b"after"]
        assert [message[1:] for message in came] == [[body] for body in bodies]
        assert frames == [b"oversize" * 100]
        assert json.loads(said)["headers"]["x-hypersocket-reason"] == "oversize"
        said = json.loads(came[1][0])
        assert said["correlation_id"] == {"base64": "//4A"}
        assert said["message_id"] == {"base64": "gA=="}
        stats = device.stats()
        assert stats.reconnects == 0
        assert (stats.routes[0].confirmed, stats.routes[0].dead_lettered) == (5, 1)
    assert await in_thread(depth, rabbitmq.url, "poison") == 0


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param([b'{"ttl": "soon"}', b"wrong expiration"], id="wrong expiration"),
        pytest.param([b'{"ttl": -1}', b"negative"], id="negative expiration"),
        pytest.param([b'{"user_id": "somebody"}', b"not me"], id="wrong user"),
        pytest.param([b'{"priority": 1000}', b"urgent"], id="wrong priority"),
        pytest.param([b"no JSON", b"body"], id="no metadata"),
        pytest.param([b"{}", bytes(1000)], id="oversize"),
        pytest.param([b"{}"], id="no body"),
    ],
)
async def test_poison_from_zmq_ends_nothing_but_itself(
    rabbitmq: RabbitMQ, tmp_path: Path, poison: list[bytes]
) -> None:
    await in_thread(declare, rabbitmq.url, "sound")
    text = f"""
    [routes.out]
    kind = "out"
    socket = "{ANY_PORT}"
    queue = "sound"
    metadata = "json"
    policy = {{ max_message_size = 100 }}
    dead_letters = {{ socket = "{ANY_PORT}" }}
    """
    async with (
        running(text, tmp_path, rabbitmq.url) as device,
        hs.Push(connect=device.sockets["out"].endpoints[0]) as push,
        hs.Pull(connect=device.sockets["out.dead-letters"].endpoints[0]) as dead,
    ):
        for message in ([b"{}", b"before"], poison, [b"{}", b"after"]):
            await push.send_multipart(message)
        with trio.fail_after(PATIENCE):
            assert await in_thread(get, rabbitmq.url, "sound", 2) == [b"before", b"after"]
            reason, *_ = await dead.recv_multipart()
            await until(lambda: device.stats().routes[0].pending == 0)
        assert json.loads(reason)["headers"]["x-hypersocket-reason"]
        stats = device.stats()
        assert stats.reconnects == 0
        assert stats.routes[0].dead_lettered == 1
    assert await in_thread(depth, rabbitmq.url, "sound") == 0


# --- what does not pass ----------------------------------------------------------------

OUT = '[routes.out]\nkind = "out"\nsocket = "tcp://127.0.0.1:*"\n'
IN = '[routes.in]\nkind = "in"\nsocket = "tcp://127.0.0.1:*"\n'
V10 = 'protocol = "1.0"\n'


@pytest.mark.parametrize(
    ("url", "rest", "words"),
    [
        pytest.param(
            "amqp://guest:wrong@{at}", OUT + 'queue = "q"', ["ACCESS_REFUSED"], id="password"
        ),
        pytest.param("amqp://{at}/nowhere", OUT + 'queue = "q"', ["nowhere"], id="vhost"),
        pytest.param(
            "{url}", OUT + 'exchange = "missing"', ["NOT_FOUND", "missing"], id="exchange"
        ),
        pytest.param("{url}", OUT + 'queue = "missing"', ["NOT_FOUND", "missing"], id="to queue"),
        pytest.param("{url}", IN + 'queue = "missing"', ["NOT_FOUND", "missing"], id="queue"),
        pytest.param(
            "amqp://guest:wrong@{at}",
            V10 + OUT + 'address = "/queue/q"',
            ["refused the login", "'guest'", "Authentication failed"],
            id="1.0",
        ),
        pytest.param(
            "amqp://{at}",
            V10 + IN + 'address = "/amq/queue/missing"',
            ["amqp:not-found", "missing"],
            id="attach",
        ),
    ],
)
async def test_what_the_broker_refuses_is_told_in_one_line(
    rabbitmq: RabbitMQ, tmp_path: Path, url: str, rest: str, words: list[str]
) -> None:
    where = url.format(at=f"127.0.0.1:{rabbitmq.port}", url=rabbitmq.url)
    text = f'[broker]\n{PATIENT}url = "{where}"\n{rest}\n'
    async with gateway(tmp_path / "gateway.toml", text) as process:
        await process.start()
        assert await process.ended() == 1
        told = process.wrote()
    assert len(told.splitlines()) == 1, told
    for word in words:
        assert word in told
    assert "wrong" not in told


# Too long to ask a server for, so that the answer is the same where there is no network.
UNKNOWN = f"{'no-such-host.' * 20}invalid"


async def test_a_host_that_nobody_knows_is_told_in_one_line(tmp_path: Path) -> None:
    text = f'[broker]\nurl = "amqps://{UNKNOWN}"\n{OUT}queue = "q"\n'
    async with gateway(tmp_path / "gateway.toml", text) as process:
        await process.start()
        assert await process.ended() == 1
        told = process.wrote()
    assert len(told.splitlines()) == 1, told
    assert UNKNOWN in told
    assert "Name or service not known" in told


@pytest.mark.parametrize("direction", [OUT, IN], ids=["out", "in"])
async def test_a_refused_attach_is_told_in_one_line(tmp_path: Path, direction: str) -> None:
    """Proton's engine as a server, which is no RabbitMQ: it ends the link, and not the session."""

    async def refuse(stream: trio.SocketStream) -> None:
        peer = Peer()
        peer.on_attach = peer.refuse("amqp:not-found", "no node 'nowhere' here")
        await serve(peer, stream)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, refuse, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        text = f'[broker]\n{PATIENT}url = "amqp://127.0.0.1:{port}"\n'
        text += f'{V10}{direction}address = "nowhere"\n'
        async with gateway(tmp_path / "gateway.toml", text) as process:
            await process.start()
            assert await process.ended() == 1
            told = process.wrote()
        nursery.cancel_scope.cancel()
    assert len(told.splitlines()) == 1, told
    for word in ("refused the link", "'nowhere'", "amqp:not-found: no node 'nowhere' here"):
        assert word in told
