"""pyzmq's interface, which pyomq has too: blocking and for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from typing import Any

from ..contract import Handle
from ._python import PythonPeer


def _set_options(zmq: Any, socket: Any, hwm: int | None, subscribe: bytes | None) -> None:
    if hwm is not None:
        socket.setsockopt(zmq.SNDHWM, hwm)
        socket.setsockopt(zmq.RCVHWM, hwm)
    if subscribe is not None:
        socket.setsockopt(zmq.SUBSCRIBE, subscribe)


class BlockingZmq(PythonPeer):
    """A module in which sockets block."""

    @cached_property
    def _zmq(self) -> Any:
        return self._import()

    @cached_property
    def _context(self) -> Any:
        return self._zmq.Context()

    @contextmanager
    def open(
        self,
        pattern: str,
        *,
        bind: str = "",
        connect: str = "",
        hwm: int | None = None,
        subscribe: bytes | None = None,
    ) -> Generator[Handle]:
        zmq = self._zmq
        socket = self._context.socket(getattr(zmq, pattern))
        try:
            _set_options(zmq, socket, hwm, subscribe)
            if bind:
                socket.bind(bind)
            if connect:
                socket.connect(connect)
            yield socket
        finally:
            socket.close(linger=2000)

    def endpoint(self, handle: Handle) -> str:
        endpoint: bytes = handle.getsockopt(self._zmq.LAST_ENDPOINT)
        return endpoint.rstrip(b"\0").decode()

    def ready(self, handles: Sequence[Handle]) -> Callable[[], Iterable[Handle]]:
        poller = self._zmq.Poller()
        for handle in handles:
            poller.register(handle, self._zmq.POLLIN)
        return lambda: [handle for handle, _ in poller.poll()]

    def forward(self, kind: str, frontend: Handle, backend: Handle) -> None:  # noqa: ARG002
        self._zmq.proxy(frontend, backend)

    def drain(self, handle: Handle) -> list[bytes]:
        taken: list[bytes] = []
        recv, flag, again = handle.recv, self._zmq.NOBLOCK, self._zmq.Again
        try:
            while True:
                taken.append(recv(flag))
        except again:
            return taken


class AsyncioZmq(PythonPeer):
    """A module in which sockets are awaited, in asyncio."""

    constants: str
    batches = False

    def run(self, role: Callable[..., Awaitable[None]], *args: Any) -> None:
        async def main() -> None:
            await role(*args)

        asyncio.run(main())

    @cached_property
    def _context(self) -> Any:
        return self._import().Context()

    @cached_property
    def _zmq(self) -> Any:
        import importlib

        return importlib.import_module(self.constants)

    @asynccontextmanager
    async def open(
        self,
        pattern: str,
        *,
        bind: str = "",
        connect: str = "",
        hwm: int | None = None,
        subscribe: bytes | None = None,
    ) -> AsyncGenerator[Handle]:
        socket = self._context.socket(getattr(self._zmq, pattern))
        try:
            _set_options(self._zmq, socket, hwm, subscribe)
            if bind:
                socket.bind(bind)
            if connect:
                socket.connect(connect)
            yield socket
        finally:
            socket.close(linger=2000)

    def endpoint(self, handle: Handle) -> str:
        endpoint: bytes = handle.getsockopt(self._zmq.LAST_ENDPOINT)
        return endpoint.rstrip(b"\0").decode()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def together(self, *calls: Callable[[], Awaitable[None]]) -> None:
        await asyncio.gather(*(call() for call in calls))

    async def in_thread(self, call: Callable[[], None]) -> None:
        await asyncio.to_thread(call)
