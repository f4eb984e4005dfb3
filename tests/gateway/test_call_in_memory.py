"""Call: what becomes of requests when a connection ends, with a broker in memory."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

import hypersocket as hs
from hypersocket.amqp import ConnectionLost
from hypersocket.devices.amqp_gateway._spec import RouteSocket, RouteSpec

from .memory_client import Broker, gateway, running


@pytest.mark.parametrize(
    ("timeout", "within"),
    [pytest.param(None, 1.0, id="no timeout"), pytest.param(60.0, 61.0, id="a timeout")],
)
async def test_a_request_of_which_the_broker_says_nothing_is_answered(
    timeout: float | None, within: float, autojump_clock: MockClock
) -> None:
    broker = Broker()
    broker.verdict = lambda _: None
    route = RouteSpec(
        name="call",
        kind="call",
        queue="rpc",
        reply_queue="replies",
        timeout=timeout,
        socket=RouteSocket(type="ROUTER", bind=("inproc://call",)),
    )
    async with running(gateway(broker, route)) as gw, hs.Req(connect="inproc://call") as req:
        await req.send(b"q")
        await trio.sleep(1)
        assert gw.stats().routes[0].pending == 1
        assert broker.client is not None
        broker.client.lose(ConnectionLost("it broke", temporary=True))
        with trio.fail_after(within):
            error, code, _ = await req.recv_multipart()
        assert (error, code) == (b"hs-error", b"unavailable")
        assert gw.stats().routes[0].pending == 0
