"""``hypersocket gateway`` over TLS, and what becomes of its secrets."""

from __future__ import annotations

import base64
import http.client
import logging
import re
import signal
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pika
import pytest
import trio

from hypersocket.amqp import AmqpError
from hypersocket.devices.amqp_gateway import AmqpGateway, load

from ..brokers.child import free_ports
from ..brokers.rabbitmq import RabbitMQ
from .commands import Running, Start, run
from .conftest import Make

pytestmark = pytest.mark.interop

PROTOCOLS = ("0-9-1", "1.0")


def gateway_file(
    folder: Path,
    rabbitmq: RabbitMQ,
    protocol: str,
    tls: str,
    *,
    login: str = "guest:guest@",
    ports: Sequence[int] = (),
) -> str:
    """One that carries what is pushed into the queue `orders`.

    Args:
        folder: where it is written.
        rabbitmq: the last of its URLs.
        protocol: which AMQP.
        tls: what its table of that name holds.
        login: how its URLs begin.
        ports: of the URLs before.
    """
    every = [*ports, rabbitmq.tls_port]
    urls = [f"amqps://{login}localhost:{port}/{rabbitmq.vhost}" for port in every]
    target = 'queue = "orders"' if protocol == "0-9-1" else 'address = "/amq/queue/orders"'
    path = folder / "bridge.toml"
    path.write_text(
        f"[broker]\nurl = {urls}\nprotocol = {protocol!r}\ntls = {{ {tls} }}\n"
        f'[routes.orders]\nkind = "out"\nsocket = "tcp://127.0.0.1:*"\n{target}\n',
        encoding="utf-8",
    )
    return str(path)


def carries(gateway: Running, theirs: Make, rabbitmq: RabbitMQ) -> None:
    """It does, and ends in good order."""
    push = theirs("PUSH", connect=gateway.endpoint("orders"))
    push.send(b"an order")
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        for _, __, body in connection.channel().consume("orders", auto_ack=True):
            assert body == b"an order"
            break
    assert gateway.end(signal.SIGTERM) == 0


@pytest.fixture
def orders(rabbitmq: RabbitMQ) -> RabbitMQ:
    """A broker with the queue, which AMQP 1.0 cannot declare."""
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        connection.channel().queue_declare("orders", durable=True)
    return rabbitmq


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("login", ["PLAIN", "EXTERNAL"])
def test_the_authority_of_the_file_is_trusted(
    protocol: str, login: str, start: Start, theirs: Make, orders: RabbitMQ, tmp_path: Path
) -> None:
    files = orders.certificates
    tls, user = f"ca = '{files.authority}'", "guest:guest@"
    if login == "EXTERNAL":
        tls += f", cert = '{files.client_chain}', key = '{files.client_key}'"
        user = ""
    # The first broker is not there, so that the next is tried.
    path = gateway_file(tmp_path, orders, protocol, tls, login=user, ports=free_ports(1))
    assert {one.sasl for one in load(path).spec.broker.addresses} == {login}
    carries(start("gateway", path), theirs, orders)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("authority", "name", "words"),
    [
        ("stranger", "localhost", "unable to get local issuer|self-signed"),
        ("authority", "other.example", "(?i)hostname mismatch"),
    ],
)
def test_a_certificate_that_is_not_good_is_one_line(
    protocol: str, authority: str, name: str, words: str, orders: RabbitMQ, tmp_path: Path
) -> None:
    tls = f"ca = '{getattr(orders.certificates, authority)}', server_name = '{name}'"
    done = run("gateway", gateway_file(tmp_path, orders, protocol, tls))
    assert (done.returncode, done.stdout) == (1, b"")
    said = done.stderr.decode()
    assert said.count("\n") == 1
    assert f"localhost:{orders.tls_port}" in said
    assert re.search(words, said)


def test_without_verification_there_is_a_warning(
    start: Start, theirs: Make, orders: RabbitMQ, tmp_path: Path
) -> None:
    tls = f"ca = '{orders.certificates.stranger}', verify = false"
    path = gateway_file(tmp_path, orders, "0-9-1", tls)
    assert b"warning: whoever is on the way can pretend" in run("check", path).stderr
    gateway = start("gateway", path)
    assert b"warning: whoever is on the way can pretend" in gateway.err.line()
    carries(gateway, theirs, orders)


SECRET = "ge-heim%4711"
HIDDEN = (SECRET, base64.b64encode(SECRET.encode()).decode(), SECRET.encode().hex())


def with_secret(folder: Path, rabbitmq: RabbitMQ, protocol: str) -> str:
    """The same, by a user whose password is in a file."""
    user = f"anna-{rabbitmq.vhost}"
    rabbitmq.node.ctl("add_user", user, SECRET)
    rabbitmq.node.ctl("set_permissions", "-p", rabbitmq.vhost, user, ".*", ".*", ".*")
    (folder / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    tls = f"ca = '{rabbitmq.certificates.authority}'"
    path = Path(gateway_file(folder, rabbitmq, protocol, tls, login=f"{user}@"))
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("tls =", 'password.file = "secret"\ntls ='), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_gateway_tells_nobody_its_password(
    protocol: str, start: Start, theirs: Make, orders: RabbitMQ, tmp_path: Path
) -> None:
    path = with_secret(tmp_path, orders, protocol)
    gateway = start(
        *("gateway", path, "--verbose"),
        *("--monitor", "tcp://127.0.0.1:*", "--metrics", "127.0.0.1:*"),
    )
    monitor = gateway.endpoint("monitor")
    while not (found := re.search(rb"http://([\d.:]+)/metrics", gateway.err.seen)):
        assert gateway.err.line()
    scraper = http.client.HTTPConnection(found[1].decode(), timeout=20)
    scraper.request("GET", "/metrics")
    told = scraper.getresponse().read()
    scraper.close()
    assert b"hypersocket_gateway_broker_connections" in told
    sub = theirs("SUB", connect=monitor, subscribe="")
    while not re.search(rb'"connected": ?true', told):
        told += b"".join(sub.recv_multipart())
    carries(gateway, theirs, orders)
    told += gateway.err.seen + gateway.err.rest()
    assert b"connected to the broker" in told
    assert not [form for form in HIDDEN if form.encode() in told]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_no_password_in_logs_reprs_or_errors(
    protocol: str, orders: RabbitMQ, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = await trio.to_thread.run_sync(with_secret, tmp_path, orders, protocol)
    config = load(path)
    gateway = AmqpGateway(config.spec)
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.run)
        await gateway.stop()
    shown = [repr(config), repr(config.spec.broker.addresses), repr(gateway), repr(gateway.result)]
    right = config.spec.broker.addresses[0]
    wrong = replace(right, username="nobody")
    refused = AmqpGateway(
        replace(config.spec, broker=replace(config.spec.broker, addresses=(wrong,)))
    )
    with pytest.raises(AmqpError) as caught:
        await refused.run()
    shown += [*traceback.format_exception(caught.value), repr(refused.stats()), caplog.text]
    assert "connected to the broker" in caplog.text
    assert not [form for form in HIDDEN for text in shown if form in text]
