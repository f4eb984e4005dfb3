"""Every socket type, over every transport, behaves as every socket does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

import hypersocket as hs
from hypersocket.testing import SOCKET_CHECKS, MemoryTransport, check_socket_type

_numbers = count(1)

PAIRS = [
    (hs.Req, hs.Rep),
    (hs.Req, hs.Router),
    (hs.Rep, hs.Req),
    (hs.Rep, hs.Dealer),
    (hs.Dealer, hs.Dealer),
    (hs.Dealer, hs.Router),
    (hs.Dealer, hs.Rep),
    (hs.Router, hs.Dealer),
    (hs.Router, hs.Req),
    (hs.Router, hs.Router),
    (hs.Pub, hs.Sub),
    (hs.Pub, hs.XSub),
    (hs.XPub, hs.Sub),
    (hs.XPub, hs.XSub),
    (hs.Sub, hs.Pub),
    (hs.Sub, hs.XPub),
    (hs.XSub, hs.Pub),
    (hs.XSub, hs.XPub),
    (hs.Push, hs.Pull),
    (hs.Pull, hs.Push),
    (hs.Pair, hs.Pair),
]
ENDPOINTS = {
    "tcp": "tcp://127.0.0.1:*",
    "ipc": "ipc://{directory}/{number}",
    "inproc": "inproc://{number}",
    "memory": "memory://{number}",
}


@pytest.fixture(params=ENDPOINTS)
def make_endpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    form = ENDPOINTS[request.param]
    hs.transports.register("memory", MemoryTransport())
    yield lambda: form.format(directory=tmp_path, number=next(_numbers))
    hs.transports._registry._transports.pop("memory", None)


@pytest.mark.parametrize("check", SOCKET_CHECKS.values(), ids=SOCKET_CHECKS)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(one.__name__ for one in pair))
async def test_socket_type(
    check: Callable, pair: tuple[type[hs.Socket], type[hs.Socket]], make_endpoint: Callable
) -> None:
    await check(*pair, make_endpoint)


async def test_the_whole_suite_in_one_line() -> None:
    await check_socket_type(hs.Push, hs.Pull)


async def test_a_failure_names_its_check() -> None:
    class Impolite(hs.Pull):
        socket_type = "PULL"

        async def recv_multipart(self) -> list[bytes]:
            return [b"made up"]

    with pytest.raises(AssertionError, match=r"^messages_come: "):
        await check_socket_type(Impolite, hs.Push, leave_out=set(SOCKET_CHECKS) - {"messages_come"})


async def test_checks_left_out_must_exist() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        await check_socket_type(hs.Push, hs.Pull, leave_out=["nonsense"])
