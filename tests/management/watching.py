"""Subscribers to a feed, ours and libzmq's, for the tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import trio
import zmq

import hypersocket as hs
from hypersocket import management


class Theirs:
    """A SUB of libzmq's, which is waited for in a thread."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    def connect(self, endpoint: str, *topics: bytes) -> None:
        for topic in topics:
            self.socket.subscribe(topic)
        self.socket.connect(endpoint)

    async def read(self) -> management.Report:
        frames = await trio.to_thread.run_sync(self.socket.recv_multipart)
        return management.parse_report(frames)

    async def until(self, wanted: Callable[[management.Report], bool]) -> management.Report:
        while not wanted(report := await self.read()):
            pass
        return report


@contextmanager
def theirs() -> Generator[Theirs, None, None]:
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.linger = 0
        socket.rcvtimeo = 30_000
        yield Theirs(socket)


@asynccontextmanager
async def ours(endpoint: str, *topics: bytes, **options: Any) -> AsyncGenerator[hs.Sub, None]:
    async with hs.Sub(connect=endpoint, subscribe=topics or (b"",), **options) as sub:
        await sub.wait_connected()
        yield sub


async def read(sub: hs.Sub) -> management.Report:
    """The next message, by whatever clock there is."""
    return management.parse_report(await sub.recv_multipart())


async def until(sub: hs.Sub, wanted: Callable[[management.Report], bool]) -> management.Report:
    while not wanted(report := await read(sub)):
        pass
    return report


def is_about(event: str, socket: str | None = None) -> Callable[[management.Report], bool]:
    """Whether a message is one of an event, of a socket as a whole or of a peer of it."""
    return lambda report: (
        report.topic.event == event and (socket is None or report.topic.socket == socket)
    )
