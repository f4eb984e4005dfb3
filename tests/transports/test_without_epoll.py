"""Connections served by tasks, as on a system without epoll: they do all that others do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import trio

import hypersocket as hs
from hypersocket.testing import SOCKET_CHECKS, TRANSPORT_CHECKS
from hypersocket.transports import _poller
from hypersocket.transports._stream_traffic import StreamTraffic

_numbers = count(1)
PAIRS = [
    (hs.Req, hs.Rep),
    (hs.Rep, hs.Dealer),
    (hs.Dealer, hs.Router),
    (hs.Router, hs.Req),
    (hs.Pub, hs.Sub),
    (hs.XSub, hs.XPub),
    (hs.Push, hs.Pull),
    (hs.Pull, hs.Push),
    (hs.Pair, hs.Pair),
]


@pytest.fixture(autouse=True)
def _no_epoll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_poller, "AVAILABLE", False)


@pytest.fixture(params=["tcp", "ipc"])
def make_endpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    if request.param == "tcp":
        return lambda: "tcp://127.0.0.1:*"
    return lambda: f"ipc://{tmp_path}/{next(_numbers)}"


async def test_tasks_serve(make_endpoint: Callable[[], str]) -> None:
    async with hs.Pull(bind=make_endpoint()) as pull, hs.Push(connect=pull.endpoints) as push:
        await push.send(b"x")
        assert await pull.recv() == b"x"
        assert not pull._host.poller._channels
        (pipe,) = pull._host.pipes
        assert isinstance(getattr(pipe.link, "_traffic", None), StreamTraffic)


@pytest.mark.parametrize("check", TRANSPORT_CHECKS.values(), ids=TRANSPORT_CHECKS)
async def test_transport(check: Callable, make_endpoint: Callable[[], str]) -> None:
    await check(make_endpoint)


@pytest.mark.parametrize("check", SOCKET_CHECKS.values(), ids=SOCKET_CHECKS)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(one.__name__ for one in pair))
async def test_socket_type(
    check: Callable, pair: tuple[type[hs.Socket], type[hs.Socket]], make_endpoint: Callable
) -> None:
    await check(*pair, make_endpoint)


async def test_a_request_after_one_given_up_is_not_lost(make_endpoint: Callable[[], str]) -> None:
    """It is sent as the old connection ends, and goes to the next."""
    async with hs.Router(bind=make_endpoint()) as router, hs.Req() as req:
        await req.connect(router.endpoints[0])
        for _ in range(20):
            await req.send(b"given up")
            await router.recv_multipart()
            await req.send(b"wanted")
            with trio.fail_after(30):
                wanted = await router.recv_multipart()
            await router.send_multipart([*wanted[:-1], b"right"])
            assert await req.recv() == b"right"


async def test_what_was_sent_is_taken_before_the_end(make_endpoint: Callable[[], str]) -> None:
    async with hs.Pull(bind=make_endpoint(), rcvhwm=1) as pull, trio.open_nursery() as nursery:

        async def send() -> None:
            async with hs.Push(connect=pull.endpoints, linger=30) as push:
                await push.send_many([b"%d" % number for number in range(1000)])

        nursery.start_soon(send)
        for number in range(1000):
            assert await pull.recv() == b"%d" % number
