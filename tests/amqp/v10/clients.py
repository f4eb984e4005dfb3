"""Clients on trio, connected to proton as a server at the other end of a stream in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

import pytest
import trio
import trio.testing

from hypersocket.amqp import (
    Outcome,
    Publication,
    Result,
    Target,
)
from hypersocket.amqp.v10 import encode_data
from hypersocket.devices.amqp_gateway._client import BrokerAddress, Connect
from hypersocket.devices.amqp_gateway.clients import v10
from hypersocket.devices.amqp_gateway.clients.v10 import _connect

from .peer import Peer, serve

ADDRESS = BrokerAddress(host="localhost", port=1, sasl="ANONYMOUS", heartbeat=0)
NODE = Target(address="node")


class Wired(Protocol):
    """Connects a client to a peer."""

    def __call__(self, peer: Peer, **changes: Any) -> Any: ...


@pytest.fixture
def wired(monkeypatch: pytest.MonkeyPatch) -> Wired:
    @asynccontextmanager
    async def connect(peer: Peer, **changes: Any) -> AsyncIterator[v10.Client]:
        near, far = trio.testing.memory_stream_pair()

        async def open_stream(address: BrokerAddress) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return near

        async def run() -> None:
            with trio.CancelScope(shield=True):  # ended by the client's end of the stream
                await serve(peer, far)
                await trio.aclose_forcefully(far)

        monkeypatch.setattr(_connect, "open_stream", open_stream)
        opened: Connect = v10.connect
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            error: BaseException | None = None
            try:
                async with opened(replace(ADDRESS, **changes)) as client:
                    assert isinstance(client, v10.Client)
                    yield client
            except Exception as raised:  # noqa: BLE001 - raised again, out of the group
                error = raised
            finally:
                await trio.aclose_forcefully(near)
        if error is not None:
            raise error

    return connect


class Told:
    """Remembers outcomes."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[bytes, Outcome]] = []

    def __call__(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        self.outcomes += [(one.body, outcome) for one in publications]

    @property
    def results(self) -> list[Result]:
        return [outcome.result for _, outcome in self.outcomes]


def ignore(publications: Sequence[Publication], outcome: Outcome) -> None:
    pass


def bodies(*texts: str) -> list[Publication]:
    return [Publication(NODE, text.encode()) for text in texts]


def data(body: bytes) -> bytes:
    return encode_data(body) + body


def deliver(peer: Peer, *texts: bytes, settled: bool = False) -> None:
    for at, text in enumerate(texts):
        peer.send(data(text), settled=settled, tag=str(at))
    peer.kick()
