"""A transport in memory, with faults at the caller's word: a network for tests, in virtual time."""

from __future__ import annotations

import errno
from collections import deque
from itertools import count
from typing import Literal

import trio

from .._errors import AddressInUse, EndpointError
from .._option_groups import SocketOptions
from ..transports import StreamListener, StreamTransport
from ._memory_stream import MemoryStream, Wire

Side = Literal["dialler", "listener"]


class MemoryConnection:
    """One connection of a :class:`MemoryTransport`, in the hands of a test.

    Attributes:
        name: the name that was dialled.
        number: 1 for the transport's first connection, and so on.
    """

    def __init__(self, name: str, number: int, window: int) -> None:
        self.name = name
        self.number = number
        self._to: dict[Side, Wire] = {"dialler": Wire(window), "listener": Wire(window)}
        self.dialler = MemoryStream(self._to["dialler"], self._to["listener"])
        self.listener = MemoryStream(self._to["listener"], self._to["dialler"])

    def __repr__(self) -> str:
        return f"<MemoryConnection {self.number} to {self.name}>"

    def cut(self) -> None:
        """Break the connection for both sides; what is under way is lost."""
        for wire in self._to.values():
            wire.cut()

    def stall(self, *to: Side) -> None:
        """Let nothing arrive at a side, or at both, until :meth:`resume`: its peer is silent."""
        for side in to or self._to:
            self._to[side].stall(True)

    def resume(self, *to: Side) -> None:
        """Let bytes arrive again, those first that were sent meanwhile."""
        for side in to or self._to:
            self._to[side].stall(False)

    def delay(self, seconds: float, *to: Side) -> None:
        """Let what is sent from now on to a side, or to both, arrive so much later."""
        for side in to or self._to:
            self._to[side].delay = seconds

    def inject(self, data: bytes, *, to: Side) -> None:
        """Let ``data`` arrive at a side as if its peer had sent it."""
        self._to[to].put(data)


class MemoryTransport(StreamTransport):
    """ZMTP over byte streams in memory: tcp's behaviour with no network, in any clock.

    ::

        memory = hypersocket.testing.MemoryTransport()
        hypersocket.transports.register("memory", memory)
        async with hs.Pull(bind="memory://here") as pull:
            ...

    Names belong to the instance; ``memory://*`` makes one up. Under
    :class:`trio.testing.MockClock` a test of hours takes no time, for nothing here waits for
    anything but trio's clock.

    Args:
        scheme: what it is to be registered for.
        window: how many bytes may be under way in each direction; then the writer waits, as for
            a system's socket buffers.

    Attributes:
        connections: those that were made, in order, until :meth:`forget`.
        dials: when each attempt to connect was made, by :func:`trio.current_time`.
        refusing: while true, attempts fail as if nobody listened.
        unreachable: while true, attempts neither succeed nor fail.
    """

    def __init__(self, scheme: str = "memory", *, window: int = 1 << 18) -> None:
        self.scheme = scheme
        self.connections: list[MemoryConnection] = []
        self.dials: list[float] = []
        self.refusing = False
        self.unreachable = False
        self._window = window
        self._delay = 0.0
        self._listeners: dict[str, _MemoryListener] = {}
        self._accept_errors: deque[OSError] = deque()
        self._numbers = count(1)
        self._names = count(1)

    # Faults

    def cut(self) -> None:
        """Break all connections; what is under way is lost."""
        for connection in self.connections:
            connection.cut()

    def stall(self, *to: Side) -> None:
        """Let nothing arrive at those sides of all connections that there are."""
        for connection in self.connections:
            connection.stall(*to)

    def resume(self, *to: Side) -> None:
        """Undo :meth:`stall`."""
        for connection in self.connections:
            connection.resume(*to)

    def delay(self, seconds: float) -> None:
        """Let everything take so much longer, in connections that there are and that come."""
        self._delay = seconds
        for connection in self.connections:
            connection.delay(seconds)

    def fail_accepts(self, *errors: OSError) -> None:
        """Let the next calls of ``accept``, of any listener, raise these."""
        self._accept_errors.extend(errors)
        for listener in self._listeners.values():
            listener.changed.unpark_all()

    def forget(self) -> None:
        """Empty :attr:`connections` and :attr:`dials`; the connections go on."""
        self.connections.clear()
        self.dials.clear()

    async def open_stream(self, name: str) -> MemoryStream:
        """Connect to a name as a peer that says, byte by byte, what the test wants.

        Raises:
            ConnectionRefusedError: nobody is bound to the name.
        """
        await trio.lowlevel.checkpoint()
        return self._connect(name).dialler

    # The transport

    def check(self, address: str, *, binding: bool) -> None:
        """Any name will do, and ``*`` for binding."""
        if not address:
            raise EndpointError(f"there is no name: expected {self.scheme}://name")
        if address == "*" and not binding:
            raise EndpointError("cannot connect to '*': name what was bound")

    async def listen(
        self,
        address: str,
        options: SocketOptions,  # noqa: ARG002  # there is nothing to set
    ) -> StreamListener:
        """Take a name. Cancelled, it has not.

        Raises:
            AddressInUse: another socket has it.
        """
        await trio.lowlevel.checkpoint()
        name = f"unnamed-{next(self._names)}" if address == "*" else address
        if name in self._listeners:
            raise AddressInUse(f"{self.scheme}://{name} is in use by another socket")
        listener = self._listeners[name] = _MemoryListener(self, name)
        return listener

    async def dial(
        self,
        address: str,
        options: SocketOptions,  # noqa: ARG002  # there is nothing to set
    ) -> tuple[trio.abc.Stream, str]:
        """Connect to whoever has the name. Cancelled, it leaves nothing open.

        Raises:
            ConnectionRefusedError: nobody has, or :attr:`refusing` is on.
        """
        self.dials.append(trio.current_time())
        if self.unreachable:
            await trio.sleep_forever()
        await trio.sleep(self._delay)
        connection = self._connect(address)
        return connection.dialler, address

    def _connect(self, name: str) -> MemoryConnection:
        listener = self._listeners.get(name)
        if listener is None or self.refusing:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"{name}: nobody listens")
        connection = MemoryConnection(name, next(self._numbers), self._window)
        if self._delay:
            connection.delay(self._delay)
        self.connections.append(connection)
        listener.waiting.append(connection)
        listener.changed.unpark_all()
        return connection

    def _next_accept_error(self) -> OSError | None:
        return self._accept_errors.popleft() if self._accept_errors else None

    def _release(self, listener: _MemoryListener) -> None:
        if self._listeners.get(listener.address) is listener:
            del self._listeners[listener.address]


class _MemoryListener(StreamListener):
    """A name that is taken, and the connections that wait to be accepted there."""

    def __init__(self, transport: MemoryTransport, name: str) -> None:
        self.address = name
        self.waiting: deque[MemoryConnection] = deque()
        self.changed = trio.lowlevel.ParkingLot()
        self._transport = transport
        self._closed = False

    async def accept(self) -> tuple[trio.abc.Stream, str]:
        await trio.lowlevel.checkpoint()
        while True:
            if self._closed:
                raise trio.ClosedResourceError("the listener was closed")
            if (error := self._transport._next_accept_error()) is not None:
                raise error
            if self.waiting:
                connection = self.waiting.popleft()
                return connection.listener, f"dialler {connection.number}"
            await self.changed.park()

    def close(self) -> None:
        self._closed = True
        self._transport._release(self)
        for connection in self.waiting:
            connection.cut()
        self.waiting.clear()
        self.changed.unpark_all()
