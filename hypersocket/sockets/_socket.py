"""The socket, without what it carries: opening, endpoints, peers, events, closing."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, ClassVar, Self, TypeAlias

import trio

from .._errors import ProtocolError
from .._events import Monitor
from .._option_groups import SocketOptions
from .._reasons import DropReason, Reason
from .._speedups import (
    FORM,
    Budget,
    FairQueue,
    ReceivePath,
    SendCall,
    SendPath,
    ShortWays,
)
from .._stats import SocketStats
from ..transports import Pipe, resolve
from ..transports._poller import Sink
from ._host import SocketHost

BUDGET = 256
"""How many calls in a row may finish without a checkpoint, so that a busy socket starves nobody."""

if FORM == "pure":
    # Compiled, they are interrupted nowhere. The core itself knows nothing of trio.
    for way in (SendCall.__await__, ReceivePath.__await__, ReceivePath.__next__):
        trio.lowlevel.enable_ki_protection(way)

Endpoints: TypeAlias = str | Iterable[str]


class Socket(ShortWays, SocketOptions, trio.abc.AsyncResource):
    """What all sockets have in common.

    Args:
        bind: an endpoint, or several, to listen at from the moment of entering.
        connect: an endpoint, or several, to connect to from the moment of entering.
        options: any option of the socket type, by name.

    Raises:
        TypeError: an option that the socket type does not have, or a value of the wrong type.
        ValueError: a value out of range.
        EndpointError: an endpoint that cannot be understood.

    A socket is opened by ``async with``, once. On leaving the block it writes what was sent for
    up to ``linger`` seconds and then closes; when the block was cancelled or interrupted, it
    closes at once. What the block raises leaves as itself.

    It belongs to the :func:`trio.run` that opened it; any task of that may use it.
    """

    socket_type: ClassVar[str]
    """The name of the type in ZMTP (RFC 37, Socket-Type)."""

    _takes_rest = False
    """Whether an endpoint that is ended is read until its peers have ended, too."""

    def __init__(self, *, bind: Endpoints = (), connect: Endpoints = (), **options: Any) -> None:
        if not hasattr(self, "socket_type"):
            raise TypeError(
                f"{type(self).__name__} is no socket type: use hypersocket.Req and so on"
            )
        self._option_values: dict[str, Any] = {}
        self._set_options(options)
        self._bind_on_entry = _endpoints(bind, binding=True)
        self._connect_on_entry = _endpoints(connect, binding=False)
        self._host = SocketHost(self)
        self._nursery_manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._nursery: trio.Nursery | None = None
        self._tasks_started = trio.Event()
        self._tasks_ended = trio.Event()
        self._budget = Budget(BUDGET)
        self._inlet: FairQueue | None = None  # takes turns among readable pipes
        self._short_ways: list[SendPath | ReceivePath] = []  # which are open while the socket is
        self._run: trio.lowlevel.TrioToken | None = None
        self._prepare()

    def _prepare(self) -> None:
        """Make what the socket type needs."""

    def __repr__(self) -> str:
        where = [*self._host.bound, *self._host.dialled] or ["nowhere"]
        state = " closed" if self._host.closing else ""
        return f"<{type(self).__name__}{state} at {', '.join(where)}>"

    async def __aenter__(self) -> Self:
        if self._nursery_manager is not None:
            raise RuntimeError("a socket is opened once: make another one to open it again")
        self._run = _current_run()
        self._host.poller.busy_poll.seconds = self.busy_poll
        manager = self._nursery_manager = trio.open_nursery()
        nursery = self._nursery = await manager.__aenter__()
        try:
            nursery.start_soon(self._supervise)
            with trio.CancelScope(shield=True):
                await self._tasks_started.wait()
            await trio.lowlevel.checkpoint_if_cancelled()
            self._opening()
            for endpoint in self._bind_on_entry:
                await self._host.bind(endpoint)
            for endpoint in self._connect_on_entry:
                await self._host.connect(endpoint)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    @trio.lowlevel.enable_ki_protection
    async def _supervise(self) -> None:
        # The tasks have a nursery of their own, so that closing cancels them and not the body
        # of the `async with` block; and it is closing that ends them, not a cancelled surrounding,
        # which the body may be shielded from. So it is not for `nursery.start` either: what that
        # starts in a cancelled surrounding it waits for, and this would not end.
        try:
            async with trio.open_nursery() as tasks:
                tasks.cancel_scope.shield = True
                self._host.tasks = tasks
                self._tasks_started.set()
                await trio.sleep_forever()
        finally:
            self._host.monitors.end()
            self._tasks_ended.set()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        linger = self.linger if exc is None or isinstance(exc, Exception) else 0.0
        try:
            await self._host.close(trio.current_time() + linger)
        except trio.Cancelled:
            if exc is None:
                raise
            # What the body raised goes on; the cancellation finds it at its next checkpoint.
        finally:
            assert self._nursery_manager is not None
            with trio.CancelScope(shield=True):
                # A nursery that still has a child when it is left in a cancelled scope would raise
                # in place of what the body did.
                await self._tasks_ended.wait()
                while self._nursery is not None and self._nursery.child_tasks:
                    await trio.lowlevel.checkpoint()
            try:
                await self._nursery_manager.__aexit__(None, None, None)
            except BaseExceptionGroup as group:
                # Our own tasks are safe from interrupts, but not every transport's may be.
                if group.split(KeyboardInterrupt)[1] is None:
                    raise KeyboardInterrupt from None
                raise

    async def aclose(self) -> None:
        """Close at once: what was not written is dropped, and counted.

        Calls that wait raise :exc:`trio.ClosedResourceError`, as do all later ones. The socket is
        closed on return even when this is cancelled.
        """
        if self._run is not None and _current_run() is not self._run:
            raise RuntimeError("the socket belongs to another trio.run, which is to close it")
        await self._host.close(trio.current_time())

    # Endpoints

    async def bind(self, endpoint: str) -> str:
        """Listen at an endpoint.

        Returns:
            The endpoint as resolved, where ``tcp://127.0.0.1:*`` has a port.

        Raises:
            EndpointError: it cannot be understood, or is not of this machine.
            AddressInUse: somebody else has it.
            trio.ClosedResourceError: the socket is closed.

        Cancelled, it has not been bound.
        """
        self._check_open()
        return await self._host.bind(endpoint)

    async def connect(self, endpoint: str) -> None:
        """Start connecting to an endpoint, and return.

        The peer may come up later. When a connection ends, another is made.

        Raises:
            EndpointError: it cannot be understood.
            trio.ClosedResourceError: the socket is closed.

        Cancelled, it has not started.
        """
        self._check_open()
        await self._host.connect(endpoint)

    async def unbind(self, endpoint: str) -> None:
        """Stop listening at an endpoint, and end the connections that came by it.

        What was sent is written first, for up to ``linger`` seconds; what was received stays
        readable. A socket that only receives (PULL, SUB, XSUB) tells its peers first, and takes
        what they had written by then, so that nothing which is under way is lost; where it has
        no room for that, somebody else should receive meanwhile.

        Raises:
            ValueError: the socket is not bound to it; :attr:`endpoints` says to what.

        Cancelled, it does the same without waiting.
        """
        self._check_open()
        binding = self._host.bound.pop(endpoint, None)
        if binding is None:
            raise ValueError(
                f"not bound to {endpoint!r}, but to {', '.join(self._host.bound) or 'nothing'}"
            )
        await self._host.end(binding, self.linger)

    async def disconnect(self, endpoint: str) -> None:
        """Stop connecting to an endpoint, and end its connection.

        What was sent is written first, for up to ``linger`` seconds; what was received stays
        readable; what is under way is treated as by :meth:`unbind`.

        Raises:
            ValueError: the socket does not connect to it.

        Cancelled, it does the same without waiting.
        """
        self._check_open()
        bindings = self._host.dialled.get(endpoint)
        if not bindings:
            raise ValueError(
                f"not connected to {endpoint!r}, but to "
                f"{', '.join(self._host.dialled) or 'nothing'}"
            )
        binding = bindings.pop()
        if not bindings:
            del self._host.dialled[endpoint]
        await self._host.end(binding, self.linger)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """What the socket is bound to, as resolved."""
        return tuple(self._host.bound)

    # Peers

    async def wait_connected(self, peers: int = 1) -> None:
        """Wait until at least ``peers`` peers have finished the handshake and stand.

        Raises:
            trio.ClosedResourceError: the socket is closed, or was meanwhile.
        """
        if peers < 0:
            raise ValueError(f"peers={peers}: expected how many to wait for")
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            self._check_open()
            if sum(pipe.connected for pipe in self._host.pipes) >= peers:
                break
            await self._host.wait_changed()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def monitor(self, max_events: int = 10_000) -> Monitor:
        """Watch what happens to endpoints and connections.

        ::

            async with socket.monitor() as events:
                async for event in events:
                    print(event)

        It may be entered before the socket is opened, to miss nothing.

        Args:
            max_events: how many events may wait to be read; then the oldest make room, and
                :class:`hypersocket.events.EventsMissed` tells how many.
        """
        if max_events < 1:
            raise ValueError(f"max_events={max_events}: expected at least 1")
        return Monitor(self._host.monitors, max_events)

    def stats(self) -> SocketStats:
        """A snapshot of the counters of the socket and of each peer."""
        return self._host.stats()

    # For the socket types

    def _check_open(self) -> None:
        if self._host.closing:
            raise trio.ClosedResourceError("the socket is closed")
        if self._host.tasks is None:
            raise RuntimeError("the socket is not open: use it inside `async with socket:`")
        if _current_run() is not self._run:
            raise RuntimeError("the socket belongs to another trio.run: make one in this")

    @property
    def _sink(self) -> Sink:
        """For those that feed this socket; see :meth:`_feed`."""
        return self._host.poller

    def _feed(self, sink: Sink) -> None:
        """Have ``sink`` write at once what it is sent as something is read here."""
        self._host.poller.sinks.append(sink)

    def _feed_no_more(self, sink: Sink) -> None:
        self._host.poller.sinks.remove(sink)

    async def _breathe(self) -> None:
        """Count one call, and let other tasks run now and then.

        Before anything has happened, so that a call cancelled here has done nothing.
        """
        if self._budget.left > 0:
            self._budget.left -= 1
        else:
            self._host.poller.breathes = True
            await trio.lowlevel.checkpoint()
            self._budget.left = BUDGET
            self._host.poller.busy_poll.rest()

    def _pipe_opened(self, pipe: Pipe) -> None:
        """A dialled pipe is there; it has no connection yet."""

    def _pipe_connected(self, pipe: Pipe) -> None:
        """A peer has shaken hands. Raise :class:`hypersocket.HandshakeError` to refuse it."""

    def _pipe_disconnected(self, pipe: Pipe) -> None:
        """A dialled pipe has lost its connection, and waits for the next."""

    def _pipe_gone(self, pipe: Pipe) -> None:
        """A pipe has ended; what it received can still be taken."""

    def _pipe_readable(self, pipe: Pipe) -> None:
        """A pipe has messages. A socket that does not receive has no use for them."""
        pipe.drop(DropReason.NOT_EXPECTED, pipe.discard_incoming())

    def _pipe_writable(self, pipe: Pipe) -> None:
        """A pipe has room again."""

    def _pipe_subscription(self, pipe: Pipe, topic: bytes, wanted: bool) -> None:  # noqa: ARG002
        """A peer has subscribed, or no longer."""
        raise ProtocolError(
            f"a {self.socket_type} takes no subscriptions", Reason.UNEXPECTED_COMMAND
        )

    def _held_messages(self) -> int:
        """How many received messages the socket holds that are in no pipe any more."""
        return 0

    def _opening(self) -> None:
        """The socket is open."""
        for way in self._short_ways:
            way.is_open = True

    def _closing(self) -> None:
        """The socket closes: nothing more is sent or received."""
        for way in self._short_ways:
            way.is_open = False


def _current_run() -> trio.lowlevel.TrioToken:
    try:
        return trio.lowlevel.current_trio_token()
    except (RuntimeError, AttributeError):  # outside, or inside of another library's loop
        raise RuntimeError(
            "sockets are used within trio.run, in the thread that it runs in"
        ) from None


def _endpoints(given: Endpoints, *, binding: bool) -> tuple[str, ...]:
    name = "bind" if binding else "connect"
    what: object = given
    if isinstance(what, (bytes, bytearray)) or not isinstance(what, Iterable):
        raise TypeError(f"{name}={given!r}: expected an endpoint, which is a str, or several")
    endpoints = (given,) if isinstance(given, str) else tuple(given)
    for endpoint in endpoints:
        resolve(endpoint, binding=binding)
    return endpoints
