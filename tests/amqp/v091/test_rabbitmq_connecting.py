"""Connecting to a real broker, with TLS and without, and its faults."""

from __future__ import annotations

import dataclasses
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hypersocket.amqp import (
    CONFIRMED,
    ConnectionLost,
    NotSupported,
    Publication,
    Queue,
    Result,
    Subscription,
)
from hypersocket.devices.amqp_gateway._client import (
    BrokerAddress,
    Connect,
)
from hypersocket.devices.amqp_gateway.clients.v091 import connect

from ...brokers.rabbitmq import RabbitMQ
from .rabbit import Outcomes, address, take, temporary_queue, to

pytestmark = pytest.mark.interop


the_seam: Connect = connect  # a type checker's test: this is what the gateway asks for


class TestConnecting:
    @pytest.mark.parametrize(
        ("wrong", "text", "temporary"),
        [
            ({"password": "sesame"}, "403 ACCESS_REFUSED", False),
            ({"username": "nobody"}, "403 ACCESS_REFUSED", False),
            ({"vhost": "missing"}, "530 NOT_ALLOWED - vhost missing not found", False),
            ({"host": "nowhere.invalid"}, "nowhere.invalid:.* cannot be reached: ", True),
        ],
    )
    async def test_refused(
        self, rabbitmq: RabbitMQ, wrong: dict[str, Any], text: str, temporary: bool
    ) -> None:
        with pytest.raises(ConnectionLost, match=text) as caught:
            async with connect(address(rabbitmq, **wrong)):
                pytest.fail("it was let in")
        assert caught.value.temporary is temporary
        assert "sesame" not in str(caught.value)

    async def test_anonymous_is_not_known(self, rabbitmq: RabbitMQ) -> None:
        with pytest.raises(NotSupported, match="no ANONYMOUS"):
            async with connect(address(rabbitmq, sasl="ANONYMOUS")):
                pytest.fail("it was let in")

    async def test_tls(self, rabbitmq: RabbitMQ) -> None:
        certificates = rabbitmq.certificates
        secure = address(
            rabbitmq,
            host="localhost",
            port=rabbitmq.tls_port,
            tls=certificates.client_context(),
        )
        async with connect(secure) as client:
            queue = await temporary_queue(client)
            sender = await client.open_sender(Outcomes())
            await sender.send(to(queue, bytes(300_000)))
            receiver = await client.open_receiver(Subscription(queue=queue))
            assert (await take(receiver, 1))[0].body == bytes(300_000)
        external = dataclasses.replace(
            secure,
            sasl="EXTERNAL",
            username="",
            password="",
            tls=certificates.client_context(authenticate=True),
        )
        async with connect(external) as client:
            await temporary_queue(client)

    async def test_tls_by_another_name(self, rabbitmq: RabbitMQ) -> None:
        context = rabbitmq.certificates.client_context()
        named: dict[str, Any] = {"port": rabbitmq.tls_port, "tls": context, "host": "127.0.0.1"}
        async with connect(address(rabbitmq, server_name="localhost", **named)) as client:
            await temporary_queue(client)
        await _no_tls(address(rabbitmq, server_name="broker.example", **named))

    @pytest.mark.parametrize("case", ["stranger", "another name", "plain port"])
    async def test_tls_that_cannot_be_trusted(self, rabbitmq: RabbitMQ, case: str) -> None:
        certificates = rabbitmq.certificates
        context = certificates.client_context()
        changes: dict[str, Any] = {"host": "localhost", "port": rabbitmq.tls_port}
        if case == "stranger":
            context = ssl.create_default_context(cafile=Path(certificates.stranger))
        elif case == "another name":
            changes["host"] = "127.0.0.2"
        else:
            changes["port"] = rabbitmq.port
        if case == "another name":
            listener = (await trio.open_tcp_listeners(0, host="127.0.0.2"))[0]
            changes["port"] = listener.socket.getsockname()[1]
            async with listener, trio.open_nursery() as nursery:
                nursery.start_soon(_forward, listener, rabbitmq.tls_port)
                await _no_tls(address(rabbitmq, tls=context, **changes))
                nursery.cancel_scope.cancel()
        else:
            await _no_tls(address(rabbitmq, tls=context, **changes))

    async def test_closed_by_the_operator(self, rabbitmq: RabbitMQ) -> None:
        outcomes = Outcomes()
        blocked: list[str | None] = []
        async with connect(address(rabbitmq), on_blocked=blocked.append) as client:
            await client.declare([Queue(name="q")])
            receiver = await client.open_receiver(Subscription(queue="q"))
            vhost = ("-p", rabbitmq.vhost)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    rabbitmq.ctl, "-q", "close_all_connections", *vhost, "maintenance"
                )
                lost = await client.wait_lost()
            assert "320 CONNECTION_FORCED" in str(lost)
            assert "maintenance" in str(lost)
            assert lost.temporary
            assert client.lost is lost
            with pytest.raises(ConnectionLost, match="maintenance"):
                await receiver.receive()
            with pytest.raises(ConnectionLost, match="maintenance"):
                await client.open_sender(outcomes)
            with pytest.raises(ConnectionLost, match="maintenance"):
                await client.declare([Queue(name="q")])
        assert blocked == []

    async def test_what_the_body_raises_leaves_as_itself(self, rabbitmq: RabbitMQ) -> None:
        with pytest.raises(KeyError, match="mine"):
            async with connect(address(rabbitmq)):
                raise KeyError("mine")
        with trio.CancelScope() as scope:
            async with connect(address(rabbitmq)) as client:
                scope.cancel()
                await client.wait_lost()
        assert scope.cancelled_caught
        assert client.lost is not None
        with pytest.raises(ConnectionLost, match="was closed"):
            await client.open_sender(Outcomes())


@pytest.mark.slow
async def test_faults_of_a_broker_of_ones_own(tmp_path: Path) -> None:
    async with RabbitMQ(tmp_path, plugins=()) as broker:
        await _memory_alarm(broker)
        await _killed(broker)
        await broker.restart()
        await _stopped(broker)


async def _memory_alarm(broker: RabbitMQ) -> None:
    outcomes = Outcomes()
    said: list[str | None] = []
    changed = trio.Event()

    def on_blocked(reason: str | None) -> None:
        nonlocal changed
        said.append(reason)
        changed.set()

    async with connect(address(broker), on_blocked=on_blocked) as client:
        queue = await temporary_queue(client)
        sender = await client.open_sender(outcomes)
        await broker.ctl("-q", "set_vm_memory_high_watermark", "0.00001")
        first = to(queue, b"first")
        await sender.send(first)
        await changed.wait()
        assert said == ["low on memory"]
        assert [client.blocked] == ["low on memory"]
        more = to(queue, *[bytes(10_000)] * 200)
        done = trio.Event()

        async def send() -> None:
            await sender.send(more)
            done.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await client_round_trip(broker)
            assert not done.is_set()
            assert sender.taken == 1
            await broker.ctl("-q", "set_vm_memory_high_watermark", "0.4")
        await sender.wait_settled()
        assert said == ["low on memory", None]
        assert client.blocked is None
        assert set(outcomes.of.values()) == {CONFIRMED}
        assert len(outcomes.of) == 201


async def client_round_trip(broker: RabbitMQ) -> None:
    """Long enough for whatever was about to be sent: a connection that does not publish."""
    async with connect(address(broker)) as other:
        await temporary_queue(other)


async def _killed(broker: RabbitMQ) -> None:
    outcomes = Outcomes()
    async with connect(address(broker)) as client:
        await client.declare([Queue(name="q")])
        sender = await client.open_sender(outcomes)
        receiver = await client.open_receiver(Subscription(queue="q"))
        publications: list[Publication] = []

        async def flood() -> None:
            with suppress(ConnectionLost):
                while True:
                    publications.extend(to("q", *[b"x"] * 100))
                    await sender.send(publications[-100:])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await receiver.receive()
            await broker.kill()
        lost = await client.wait_lost()
        assert lost.temporary
        await sender.wait_settled()
        taken = publications[: sender.taken]
        assert set(outcomes.of) == set(taken)
        assert {outcomes.of[one].result for one in taken} <= {Result.CONFIRMED, Result.UNKNOWN}
        with pytest.raises(ConnectionLost):
            await receiver.receive()
        with pytest.raises(ConnectionLost):
            await sender.send(publications)
    with pytest.raises(ConnectionLost, match="Connection refused") as caught:
        async with connect(address(broker)):
            pytest.fail("it was let in")
    assert caught.value.temporary
    assert f"127.0.0.1:{broker.port} cannot be reached" in str(caught.value)


async def _stopped(broker: RabbitMQ) -> None:
    async with connect(address(broker)) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.stop)
            lost = await client.wait_lost()
        assert "320 CONNECTION_FORCED" in str(lost)
        assert "shutdown" in str(lost)
        assert lost.temporary


async def _no_tls(wrong: BrokerAddress) -> None:
    with pytest.raises(ConnectionLost, match=r"no TLS: |is not good: ") as caught:
        async with connect(wrong):
            pytest.fail("it was let in")
    assert not caught.value.temporary


async def _forward(listener: trio.SocketListener, port: int) -> None:
    """A name that the certificate is not for, in front of the broker."""
    async with (
        await listener.accept() as near,
        await trio.open_tcp_stream("127.0.0.1", port) as far,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_pump, near, far)
        nursery.start_soon(_pump, far, near)


async def _pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError):
        async for data in source:
            await sink.send_all(data)
