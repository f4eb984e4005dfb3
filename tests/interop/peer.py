"""One socket in a process of its own, ours or libzmq's: ``python -m tests.interop.peer``.

Its arguments are ``ours`` or ``theirs``, the socket's type, and its options as JSON, where
``{"hex": "..."}`` stands for bytes. It reads one call per line from its standard input, as JSON,
writes one result per line to its standard output, and ends with its input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio


def decode(value: Any) -> Any:
    """Bytes for what stands for bytes."""
    if isinstance(value, dict) and set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    if isinstance(value, list):
        return [decode(one) for one in value]
    return value


def encode(value: Any) -> Any:
    """The opposite of :func:`decode`."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, (list, tuple)):
        return [encode(one) for one in value]
    return value


class OurCalls:
    """What a process with a socket of ours can be asked to do."""

    def __init__(self, socket: Any) -> None:
        self.bind = socket.bind
        self.connect = socket.connect
        self._socket = socket

    async def send(self, frames: list[bytes]) -> None:
        await self._socket.send_multipart(frames)

    async def recv(self) -> list[bytes]:
        frames: list[bytes] = await self._socket.recv_multipart()
        return frames

    async def subscribe(self, topic: bytes) -> None:
        self._socket.subscribe(topic)

    async def rest(self, seconds: float) -> None:
        for _ in range(10):  # in steps: where the process stands still, what is due comes between
            await trio.sleep(seconds / 10)

    async def send_numbers(self, count: int) -> None:
        for number in range(count):
            await self._socket.send(b"%d" % number)


class TheirCalls:
    """The same with a socket of libzmq's."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.send = socket.send_multipart
        self.recv = socket.recv_multipart

    async def bind(self, endpoint: str) -> str:
        resolved: str = self._socket.bind(endpoint)
        return resolved

    async def connect(self, endpoint: str) -> None:
        self._socket.connect(endpoint)

    async def subscribe(self, topic: bytes) -> None:
        self._socket.subscribe(topic)

    async def send_numbers(self, count: int) -> None:
        await self._socket.send_many(b"%d" % number for number in range(count))


@asynccontextmanager
async def opened(whose: str, socket_type: str, options: dict[str, Any]) -> AsyncIterator[Any]:
    if whose == "ours":
        import hypersocket as hs

        kinds: dict[str, Callable[..., Any]] = {
            cls.socket_type: cls for cls in vars(hs).values() if hasattr(cls, "socket_type")
        }
        async with kinds[socket_type](**options) as socket:
            yield OurCalls(socket)
    else:
        from .peers import Theirs

        linger = options.pop("linger", 0) / 1000
        theirs = Theirs(socket_type, **options)
        theirs.socket.rcvtimeo = theirs.socket.sndtimeo = -1
        yield TheirCalls(theirs)
        await theirs.close(linger)


async def main(whose: str, socket_type: str, options: str) -> None:
    chosen = {name: decode(value) for name, value in json.loads(options).items()}
    async with opened(whose, socket_type, chosen) as calls:
        print(json.dumps("ready"), flush=True)
        while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            name, *arguments = decode(json.loads(line))
            result = await getattr(calls, name)(*arguments)
            print(json.dumps(encode(result)), flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], sys.argv[3])
