"""No library: what the system and the event loop cost by themselves.

Throughput is a ``sendall`` / ``recv_into`` loop in blocking sockets, without framing. The round
trip is two bare trio tasks with ``wait_readable``. The ROUTER is ``raw_router``, an ``epoll`` loop
in C that gives back what comes: what it reaches is what the system and the clients can do.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import trio

from .. import build
from ..contract import Handle
from ..job import Job
from ..latencies import Latencies
from ..speak import UnsupportedError, WrongMessage, say, wait_told
from ._python import PythonPeer


class Bare(PythonPeer):
    """Sockets of the standard library, which play the roles in their own way."""

    name = "bare"
    title = "bare sockets"
    speaks_zmtp = True  # where it is raw_router
    distribution = "trio"
    module = "trio"

    def version(self) -> str:
        return f"under trio {super().version()}"

    def command(self, role: str, job: Job) -> list[str]:
        if role == "router":
            return [str(build.program("raw_router")), *job.words()]
        return super().command(role, job)

    @property
    def roles(self) -> dict[str, Callable[[Job], None]]:
        """The roles that there are without a library."""
        return {
            "local_thr": _local_thr,
            "remote_thr": _remote_thr,
            "local_lat": lambda job: trio.run(_local_lat, job),
            "remote_lat": lambda job: trio.run(_remote_lat, job),
        }


def _local_thr(job: Job) -> None:
    from ..benchmarks.throughput import local_thr

    peer: Any = _Streams(job.size)
    local_thr(peer, job)


def _remote_thr(job: Job) -> None:
    from ..benchmarks.throughput import remote_thr

    peer: Any = _Streams(job.size)
    remote_thr(peer, job)


class _Streams:
    """Streams that carry messages of one size, for the loops that all peers share."""

    def __init__(self, size: int) -> None:
        self._size = size

    @contextmanager
    def open(self, pattern: str, *, bind: str = "", connect: str = "") -> Generator[Handle]:
        if pattern not in ("PUSH", "PULL"):
            raise UnsupportedError(f"has no {pattern}")
        if bind:
            with _listen(bind) as listener:
                yield _Receiving(listener, self._size)
        else:
            with _connect(connect) as stream:
                yield _Sending(stream)

    def endpoint(self, handle: Handle) -> str:
        return _endpoint(handle.listener)


class _Sending:
    def __init__(self, stream: socket.socket) -> None:
        self.send = stream.sendall


class _Receiving:
    def __init__(self, listener: socket.socket, size: int) -> None:
        self.listener = listener
        self._stream: socket.socket | None = None
        self._buffer = bytearray(size)
        self._view = memoryview(self._buffer)

    def recv(self) -> bytearray:
        if self._stream is None:
            self._stream, _ = self.listener.accept()
        view, have, recv_into = self._view, 0, self._stream.recv_into
        while have < len(view):
            count = recv_into(view[have:])
            if not count:
                raise WrongMessage("the stream ended")
            have += count
        return self._buffer


def _listen(endpoint: str) -> socket.socket:
    scheme, _, rest = endpoint.partition("://")
    if scheme == "ipc":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(rest)
        listener.listen()
        return listener
    host, _, port = rest.rpartition(":")
    return socket.create_server((host, 0 if port == "*" else int(port)))


def _endpoint(listener: socket.socket) -> str:
    name = listener.getsockname()
    return f"ipc://{name}" if isinstance(name, str) else f"tcp://{name[0]}:{name[1]}"


def _connect(endpoint: str) -> socket.socket:
    scheme, _, rest = endpoint.partition("://")
    if scheme == "ipc":
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(rest)
        return stream
    host, _, port = rest.rpartition(":")
    stream = socket.create_connection((host, int(port)))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


async def _local_lat(job: Job) -> None:
    with _listen(job.endpoint) as listener:
        say("ready", endpoint=_endpoint(listener))
        stream, _ = listener.accept()
        with stream:
            if stream.family == socket.AF_INET:
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream.setblocking(False)
            while True:
                await trio.lowlevel.wait_readable(stream)
                data = stream.recv(job.size)
                if not data:
                    return
                stream.send(data)


async def _remote_lat(job: Job) -> None:
    with _connect(job.endpoint) as stream:
        stream.setblocking(False)
        latencies = Latencies(job)
        for payload in latencies:
            stream.send(payload)
            await trio.lowlevel.wait_readable(stream)
            latencies.replied(stream.recv(job.size))
        say("result", **latencies.facts())
        wait_told()
