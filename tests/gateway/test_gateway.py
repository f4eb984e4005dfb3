"""The gateway as a whole: starting, reconnecting, stopping, being cancelled."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import hypersocket as hs
from hypersocket.amqp import ConnectionLost, Queue
from hypersocket.devices.amqp_gateway._errors import GatewayError
from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._spec import RouteSocket, RouteSpec

from ..brokers.rabbitmq import RabbitMQ
from .worlds import PATIENCE, address, amqp, at, close_gateways, gateway, running, until, where

Q = Queue(name="q", durable=False)
OUT = RouteSpec(name="out", kind="out", queue="q", socket=at("PULL"))
IN = RouteSpec(name="in", kind="in", queue="q", socket=at("PUSH"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "wrong-one"}, "ACCESS_REFUSED"),
        ({"vhost": "absent"}, "vhost absent not found"),
    ],
)
async def test_what_does_not_pass_ends_the_start(
    rabbitmq: RabbitMQ, changes: dict[str, str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = gateway(rabbitmq, OUT, addresses=[address(rabbitmq, **changes)])
    with pytest.raises(ConnectionLost, match=words) as caught, trio.fail_after(PATIENCE):
        await made.run()
    assert "\n" not in str(caught.value)
    assert "wrong-one" not in str(caught.value) + caplog.text + repr(made.spec)
    assert made.state == "stopped"


class _NoNames(trio.abc.HostnameResolver):
    async def getaddrinfo(self, *_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, sockaddr: object, flags: int) -> NoReturn:
        raise AssertionError


async def test_an_unknown_host_ends_the_start(rabbitmq: RabbitMQ) -> None:
    trio.socket.set_custom_hostname_resolver(_NoNames())
    made = gateway(rabbitmq, OUT, addresses=[address(rabbitmq, host="absent.example")])
    with pytest.raises(ConnectionLost, match=r"absent\.example.*Name or service not known"):
        await made.run()


@contextmanager
def unused() -> Generator[int]:
    """A port at which nobody listens, and which nobody else is given meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def test_a_broker_that_is_not_there_yet_is_waited_for(rabbitmq: RabbitMQ) -> None:
    """The gateway has started; messages wait with their peers."""
    with unused() as port:
        absent = address(rabbitmq, port=port)
        await _is_waited_for(gateway(rabbitmq, OUT, addresses=[absent], linger=0), port)


async def _is_waited_for(made: AmqpGateway, port: int) -> None:
    async with running(made) as gw:
        stats = gw.stats()
        assert not stats.connected
        assert "refused" in stats.error.lower()
        assert stats.address == f"127.0.0.1:{port}"
        async with hs.Push(connect=where(gw, "out")) as push:
            await push.wait_connected()
            await push.send(b"waits")
            await wait_all_tasks_blocked()
            assert gw.stats().routes[0].received == 0
            result = await gw.stop()
    assert not result.stats.connected


async def test_addresses_are_tried_in_turn(rabbitmq: RabbitMQ) -> None:
    wrong = address(rabbitmq, password="no")
    good = address(rabbitmq)
    with unused() as port:
        absent = address(rabbitmq, port=port)
        made = gateway(rabbitmq, OUT, declare=[Q], addresses=[wrong, absent, good])
        async with running(made) as gw:
            assert gw.stats().connected
            assert gw.stats().address == f"127.0.0.1:{rabbitmq.port}"
            assert gw.stats().connects == 1


async def test_all_routes_run_over_each_connection(rabbitmq: RabbitMQ) -> None:
    async with (
        running(gateway(rabbitmq, OUT, IN, declare=[Q], name="a")) as gw,
        hs.Push(connect=where(gw, "out")) as push,
        hs.Pull(connect=where(gw, "in")) as pull,
    ):
        await push.send(b"looped")
        await until(lambda: gw.stats().routes[1].looped == 1)
        await close_gateways(rabbitmq)
        await until(lambda: gw.stats().reconnects == 1)
        await gw.wait_active()
        assert gw.stats().error == ""
        async with amqp(rabbitmq) as peer:
            await peer.put("q", b"fresh")
        assert await pull.recv() == b"fresh"


async def test_a_cancelled_gateway_ends_at_once_and_says_what_it_had(
    rabbitmq: RabbitMQ,
) -> None:
    made = gateway(rabbitmq, OUT, IN, declare=[Q])
    async with running(made) as gw, hs.Push(connect=where(gw, "out")) as push:
        await push.send_many([b"1"] * 100)
        await until(lambda: gw.stats().routes[0].received > 0)
    assert made.state == "stopped"
    assert made.result is not None
    stats = made.result.stats.routes[0]
    assert stats.received == stats.confirmed + stats.pending
    with pytest.raises(trio.ClosedResourceError):
        await made.wait_active()


async def test_it_runs_once(rabbitmq: RabbitMQ) -> None:
    made = gateway(rabbitmq, OUT, declare=[Q])
    async with running(made) as gw:
        await gw.stop()
    with pytest.raises(RuntimeError, match="runs once"):
        await made.run()


async def test_a_stop_before_the_start(rabbitmq: RabbitMQ) -> None:
    made = gateway(rabbitmq, OUT, declare=[Q])
    made.stop_soon()
    result = await made.run()
    assert result.complete


async def test_an_endpoint_that_is_taken_ends_the_start_as_itself(rabbitmq: RabbitMQ) -> None:
    async with hs.Pull(bind="tcp://127.0.0.1:*") as other:
        socket = RouteSocket(type="PULL", bind=other.endpoints)
        made = gateway(rabbitmq, RouteSpec(name="out", kind="out", queue="q", socket=socket))
        with pytest.raises(hs.AddressInUse):
            await made.run()


def test_names_are_of_one_route(rabbitmq: RabbitMQ) -> None:
    with pytest.raises(GatewayError, match="two routes are named 'out'"):
        gateway(rabbitmq, OUT, OUT)
    bad = RouteSpec(name="x", kind="out", queue="q", socket=at("PUSH"))
    with pytest.raises(GatewayError, match="has a socket of type PULL or SUB, not PUSH"):
        gateway(rabbitmq, bad)
    options = RouteSpec(name="x", kind="out", queue="q", socket=at("PULL", options={"nope": 1}))
    with pytest.raises(GatewayError, match=r"route x: PULL: .*nope"):
        gateway(rabbitmq, options)
