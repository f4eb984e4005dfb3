"""The node that other tests stand on: it starts, is killed, comes back, and leaves nothing."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pika
import pytest
import trio
from pika.credentials import ExternalCredentials
from pika.exceptions import ChannelClosedByBroker

from .by_pika import channel, parameters_of
from .rabbitmq import BrokerError, Node, RabbitMQ, missing

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def test_each_test_has_a_vhost_of_its_own(rabbitmq: RabbitMQ) -> None:
    with channel(rabbitmq.url) as mine:
        mine.queue_declare("q")
        mine.basic_publish("", "q", b"one")
    other = RabbitMQ.of(rabbitmq.node, rabbitmq.node.fresh_vhost())
    assert other.url != rabbitmq.url
    with channel(other.url) as theirs, pytest.raises(ChannelClosedByBroker):
        theirs.queue_declare("q", passive=True)
    with channel(rabbitmq.url) as mine:
        assert mine.basic_get("q")[2] == b"one"


def test_certificates(rabbitmq: RabbitMQ) -> None:
    def declare(parameters: pika.ConnectionParameters) -> None:
        with pika.BlockingConnection(parameters) as connection:
            connection.channel().queue_declare("", exclusive=True)

    certificates = rabbitmq.certificates
    parameters = parameters_of(rabbitmq.tls_url)
    parameters.ssl_options = pika.SSLOptions(certificates.client_context(), "localhost")
    declare(parameters)
    # Nothing but the certificate says who it is.
    parameters.credentials = ExternalCredentials()
    parameters.ssl_options = pika.SSLOptions(
        certificates.client_context(authenticate=True), "localhost"
    )
    declare(parameters)
    stranger = ssl.create_default_context(cafile=certificates.stranger)
    parameters.ssl_options = pika.SSLOptions(stranger, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        declare(parameters)


async def test_what_is_durable_survives_a_kill_and_nothing_is_left_behind(tmp_path: Path) -> None:
    def put(url: str) -> None:
        with channel(url) as ours:
            ours.confirm_delivery()
            ours.queue_declare("q", durable=True)
            ours.basic_publish("", "q", b"kept", pika.BasicProperties(delivery_mode=2))

    def get(url: str) -> object:
        with channel(url) as ours:
            return ours.basic_get("q", auto_ack=True)[2]

    async with RabbitMQ(tmp_path) as broker:
        first = broker.node.pid
        assert first is not None
        await trio.to_thread.run_sync(put, broker.url)
        await broker.kill()
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        with pytest.raises(ConnectionRefusedError), socket.socket() as client:
            client.connect(("127.0.0.1", broker.port))
        await broker.start()
        assert broker.node.pid != first
        assert await trio.to_thread.run_sync(get, broker.url) == b"kept"
        assert "guest" in await broker.ctl("list_users")
        with pytest.raises(BrokerError, match="no_such_command"):
            await broker.ctl("no_such_command")
    assert broker.node.pid is None
    await trio.to_thread.run_sync(until_all_have_ended, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_node_ends_with_the_tests_that_are_killed(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, time\n"
        "from tests.brokers.rabbitmq import Node\n"
        "node = Node(pathlib.Path(sys.argv[1]))\n"
        "node.start()\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as tests:
        assert tests.stdout is not None
        assert tests.stdout.readline() == b"up\n"
        assert len(processes_that_mention(tmp_path)) >= 2
        tests.kill()
    until_all_have_ended(tmp_path)


def test_a_node_that_cannot_start_says_why(tmp_path: Path) -> None:
    node = Node(tmp_path, config="no_such_key = 1")
    try:
        with pytest.raises(BrokerError, match="no_such_key"):
            node.start()
    finally:
        node.close()


def until_all_have_ended(directory: Path) -> None:
    """The VM's own helpers end by themselves, a little later than the VM that was killed."""
    for _ in range(3000):
        if not processes_that_mention(directory):
            return
        time.sleep(0.02)
    pytest.fail(f"still there: {processes_that_mention(directory)}")


def processes_that_mention(directory: Path) -> list[str]:
    """The broker, its helpers, epmd: all have the directory as cwd, or in their environment."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(directory):
                found.append((process / "cmdline").read_text().replace("\0", " ")[:100])
        except OSError:
            continue
    return found
