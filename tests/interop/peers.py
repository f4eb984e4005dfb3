"""libzmq's sockets for tests on trio, and how the two kinds of sockets meet."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

import trio
import zmq
from zmq.utils.monitor import recv_monitor_message

import hypersocket as hs

PATIENCE = 20.0
"""Seconds that one step may take before it has failed; far more than any needs."""

LIMIT = 30.0
"""The same for all that one socket is there for."""

KIB = 1024
MIB = 1024 * KIB

T = TypeVar("T")
E = TypeVar("E")

Binder = Literal["ours binds", "theirs binds"]

OURS: dict[str, type[Any]] = {
    cls.socket_type: cls
    for cls in (
        hs.Req,
        hs.Rep,
        hs.Dealer,
        hs.Router,
        hs.Pub,
        hs.Sub,
        hs.XPub,
        hs.XSub,
        hs.Push,
        hs.Pull,
        hs.Pair,
    )
}


class Side(Protocol):
    """What both kinds of sockets can do."""

    async def send(self, data: bytes, /) -> None: ...
    async def recv(self) -> bytes: ...
    async def send_multipart(self, frames: list[bytes], /) -> None: ...
    async def recv_multipart(self) -> list[bytes]: ...


class Theirs:
    """One libzmq socket in a context of its own.

    What would block is done in a thread, one call at a time, and fails after :data:`PATIENCE`.

    Args:
        socket_type: such as ``"REP"``.
        options: by pyzmq's names in lower case; durations in milliseconds.
    """

    def __init__(self, socket_type: str, **options: Any) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(getattr(zmq, socket_type))
        self.socket.linger = 0
        self.socket.rcvtimeo = self.socket.sndtimeo = int(PATIENCE * 1000)
        for name, value in options.items():
            self.socket.setsockopt(getattr(zmq, name.upper()), value)
        self._monitor: zmq.Socket[bytes] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        with trio.CancelScope(shield=True):
            await self.close(linger=0)

    async def close(self, linger: float) -> None:
        """Close, and return when libzmq has sent what is left, or ``linger`` is over."""
        if self._monitor is not None:
            self.socket.disable_monitor()
            self._monitor.close(0)
            self._monitor = None
        if not self.socket.closed:
            self.socket.close(int(linger * 1000))
        await trio.to_thread.run_sync(self.context.term)

    def bind(self, endpoint: str) -> str:
        """Bind; returns the endpoint as resolved."""
        self.socket.bind(endpoint)
        return self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def connect(self, endpoint: str) -> None:
        self.socket.connect(endpoint)

    def subscribe(self, topic: bytes) -> None:
        self.socket.setsockopt(zmq.SUBSCRIBE, topic)

    def unsubscribe(self, topic: bytes) -> None:
        self.socket.setsockopt(zmq.UNSUBSCRIBE, topic)

    async def send(self, data: bytes, /) -> None:
        await self.send_multipart([data])

    async def send_multipart(self, frames: list[bytes], /) -> None:
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            await trio.to_thread.run_sync(self.socket.send_multipart, frames)
        await trio.lowlevel.checkpoint()

    async def send_many(self, messages: Iterable[bytes]) -> None:
        def send_all() -> None:
            for message in messages:
                self.socket.send(message)

        await trio.to_thread.run_sync(send_all)

    async def recv(self) -> bytes:
        (data,) = await self.recv_multipart()
        return data

    async def recv_multipart(self) -> list[bytes]:
        await trio.lowlevel.checkpoint()
        try:
            return self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return await trio.to_thread.run_sync(self.socket.recv_multipart)

    async def recv_exactly(self, count: int) -> list[bytes]:
        """Receive so many single-part messages."""
        return await trio.to_thread.run_sync(lambda: [self.socket.recv() for _ in range(count)])

    async def has_nothing(self) -> bool:
        """Whether nothing is there, and libzmq has had some time to bring it."""
        ready: int = await trio.to_thread.run_sync(self.socket.poll, 50)
        return ready == 0

    @asynccontextmanager
    async def attending(self) -> AsyncIterator[None]:
        """Let libzmq attend to new connections, which it does in calls on the socket only."""
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def attend() -> None:
                while True:
                    self.socket.getsockopt(zmq.EVENTS)
                    await trio.sleep(0.002)

            yield
            nursery.cancel_scope.cancel()

    def watch(self, events: int = zmq.EVENT_ALL) -> None:
        """Begin to monitor, for :meth:`wait_event`."""
        self._monitor = self.socket.get_monitor_socket(events)
        self._monitor.rcvtimeo = int(PATIENCE * 1000)

    async def wait_event(self, wanted: int) -> dict[str, Any]:
        """Wait for a monitor event of that kind."""
        monitor = self._monitor
        assert monitor is not None

        def wait() -> dict[str, Any]:
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                event: dict[str, Any] = dict(recv_monitor_message(monitor))
                if event["event"] == wanted:
                    return event
            raise TimeoutError(f"no event {wanted}")

        return await trio.to_thread.run_sync(wait)

    def events(self) -> list[int]:
        """The kinds of the events that have come and were not waited for."""
        assert self._monitor is not None
        kinds = []
        while self._monitor.poll(0):
            kinds.append(int(recv_monitor_message(self._monitor)["event"]))
        return kinds


@asynccontextmanager
async def ours(socket_type: str, **options: Any) -> AsyncIterator[Any]:
    """A socket of hypersocket, by the name of its type, that reconnects soon.

    What is done with it fails after :data:`LIMIT`.
    """
    quick = {"reconnect_ivl": 0.02, "reconnect_ivl_max": 0.1, "linger": PATIENCE}
    with trio.fail_after(LIMIT):
        async with OURS[socket_type](**{**quick, **options}) as socket:
            yield socket


def wildcard(transport: str, directory: Path, name: str = "socket") -> str:
    """An endpoint to bind, over ``"tcp"`` or ``"ipc"``."""
    return "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{directory / name}"


async def join(mine: Any, theirs: Theirs, binder: Binder, endpoint: str) -> None:
    """Connect the two, and wait until our side has shaken hands."""
    peers = sum(peer.connected for peer in mine.stats().peers)
    if binder == "ours binds":
        theirs.connect(await mine.bind(endpoint))
    else:
        await mine.connect(theirs.bind(endpoint))
    await mine.wait_connected(peers + 1)


async def until(events: hs.events.Monitor, kind: type[E], **attributes: object) -> E:
    """The next event of a kind, and with certain attributes."""
    with trio.fail_after(PATIENCE):
        async for event in events:
            if isinstance(event, kind) and all(
                getattr(event, name) == value for name, value in attributes.items()
            ):
                return event
    raise AssertionError(f"the socket closed before there was a {kind.__name__}")


async def eventually(what: Callable[[], bool]) -> None:
    """Look again and again until it is so."""
    with trio.fail_after(PATIENCE):
        while not what():  # noqa: ASYNC110 - most of it happens in libzmq, which sets no event
            await trio.sleep(0.002)


async def until_heard(
    publish: Callable[[bytes], Awaitable[None]],
    hear: Callable[[], Awaitable[list[bytes]]],
    topic: bytes = b"",
) -> None:
    """Publish until a subscriber hears it; what was published for that has been received then.

    For publishers that cannot tell who has subscribed.
    """
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def probe() -> None:
                while True:
                    await publish(topic + b"probe")
                    await trio.sleep(0.005)

            await hear()
            nursery.cancel_scope.cancel()
        await publish(topic + b"last probe")
        while await hear() != [topic + b"last probe"]:
            pass
