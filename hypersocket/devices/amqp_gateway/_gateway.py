"""The gateway: its sockets, its routes, its connections to the broker, and its end."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from types import MappingProxyType
from typing import Literal, Self

import trio

from ...sockets import Socket
from ._broker import connect_for
from ._client import Connect
from ._connections import Connections
from ._errors import GatewayError
from ._spec import GatewaySpec
from ._stats import GatewayResult, GatewayState, GatewayStats
from ._tasks import Backoff, all_of, together
from .routes._make import make_route
from .routes._route import Route, Shared

logger = logging.getLogger("hypersocket")


class AmqpGateway:
    """A device between ØMQ sockets and a broker. It runs once.

    ::

        async with trio.open_nursery() as nursery:
            gateway = await nursery.start(AmqpGateway(spec).run)
            ...
            await gateway.stop()

    Args:
        spec: what it is to do.
        connect: what opens connections, in place of the client of the spec's protocol.

    Attributes:
        spec: likewise.
        name: for logs, statistics and monitors.
        kind: ``"gateway"``.
        result: what became of everything, once it has stopped, failed or was cancelled; None
            before.

    Raises:
        GatewayError: the spec cannot work.
        ImportError: the extra that the protocol needs is not installed.
    """

    kind: Literal["gateway"] = "gateway"

    def __init__(self, spec: GatewaySpec, *, connect: Connect | None = None) -> None:
        self.spec = spec
        self.name = spec.name
        self.result: GatewayResult | None = None
        self._label = f"gateway {spec.name}"
        self._changes = trio.lowlevel.ParkingLot()
        broker = spec.broker
        if not broker.addresses:
            raise GatewayError(f"{self._label}: there is no address of a broker")

        def backoff() -> Backoff:
            return Backoff(broker.reconnect_ivl, broker.reconnect_ivl_max, random.random)

        shared = Shared(
            name=spec.name,
            protocol=broker.protocol,
            linger=spec.linger,
            declare=broker.declare,
            backoff=backoff,
            on_active=self._changed,
        )
        self._routes: tuple[Route, ...] = tuple(make_route(one, shared) for one in spec.routes)
        self._sockets: dict[str, Socket] = {}
        for route in self._routes:
            for name, socket in route.sockets().items():
                if name in self._sockets:
                    raise GatewayError(f"{self._label}: two routes are named {name!r}")
                self._sockets[name] = socket
        self._connections = Connections(
            broker,
            self._routes,
            self._label,
            connect or connect_for(broker.protocol),
            backoff,
            self._changes,
        )
        self._state: GatewayState = "running"
        self._has_run = False
        self._stopping = trio.Event()
        self._ended = trio.Event()

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, variables: Mapping[str, str] = MappingProxyType({})
    ) -> Self:
        """A gateway as a file tells it; the file's monitor and metrics are for :func:`run_gateway`.

        Args:
            path: the file.
            variables: values that go before those of the file.

        Raises:
            ConfigurationError: the file cannot be read, or something in it is wrong.
            GatewayError: the spec cannot work.
            ImportError: an extra is not installed.
        """
        from .config._load import load

        return cls(load(path, variables=variables).spec)

    def __repr__(self) -> str:
        return f"<gateway {self.name!r} {self.state}>"

    def __str__(self) -> str:
        return f"gateway {self.name}"

    @property
    def state(self) -> GatewayState:
        """``"running"``, ``"stopping"`` or ``"stopped"``."""
        return self._state

    @property
    def sockets(self) -> Mapping[str, Socket]:
        """Its sockets by the names of their routes, dead letters' as ``NAME.dead-letters``."""
        return MappingProxyType(self._sockets)

    # Running

    async def run(
        self, *, task_status: trio.TaskStatus[AmqpGateway] = trio.TASK_STATUS_IGNORED
    ) -> GatewayResult:
        """Run until stopped.

        Args:
            task_status: ``nursery.start`` returns the gateway, when its sockets are open and its
                first connection carries all routes; or, where the broker cannot be reached now
                but may be later, when that has turned out.

        Returns:
            What became of everything, when it was stopped by :meth:`stop` or :meth:`stop_soon`.

        Raises:
            AmqpError: at the start, the broker said no, in a way that does not pass: the login is
                wrong, or an exchange or queue is missing. Later, this is logged, shown in
                :meth:`stats`, and tried again.
            EndpointError: a socket cannot be bound or connected as it is told.
            AddressInUse: likewise.
            RuntimeError: it has run before.

        Cancelled, it ends at once: what the broker has not confirmed is counted in
        :attr:`result`, and what it keeps is delivered again.
        """
        if self._has_run:
            raise RuntimeError("a gateway runs once: make another one")
        self._has_run = True
        started = partial(task_status.started, self)
        try:
            async with AsyncExitStack() as stack:
                for socket in self._sockets.values():
                    await stack.enter_async_context(socket)
                try:
                    await together(
                        lambda: self._connections.keep(started),
                        self._stop,
                        *(route.attend for route in self._routes),
                    )
                finally:
                    self._state = "stopped"
                    result = self.result = self._sum_up()
        finally:
            self._state = "stopped"
            self._ended.set()
            self._changed()
        return result

    # Stopping

    def stop_soon(self) -> None:
        """Begin a graceful stop, and return at once; :meth:`run` returns when it is done.

        Nothing more is taken from ØMQ than the sockets have received by then, and nothing more
        from the broker. What was taken is settled, for as long as the spec's ``linger``.
        """
        self._stopping.set()

    async def stop(self) -> GatewayResult:
        """Stop gracefully as :meth:`stop_soon` does, and wait until that is done.

        Returns:
            What became of everything, as :meth:`run` does.

        Cancelled, the stop goes on.
        """
        self.stop_soon()
        await self._ended.wait()
        if self.result is None:
            raise trio.ClosedResourceError("the gateway has failed before it carried anything")
        return self.result

    async def _stop(self) -> None:
        await self._stopping.wait()
        self._state = "stopping"
        with trio.move_on_after(self.spec.linger):
            await all_of(*(route.stop for route in self._routes))
        await self._connections.close()

    def _sum_up(self) -> GatewayResult:
        result = GatewayResult(
            stats=self.stats(),
            unsettled=self._count(lambda route: route.unsettled),
            unread=self._count(lambda route: route.unread),
            returned=self._count(lambda route: route.returned),
        )
        for what, counts in (
            ("taken and never confirmed", result.unsettled),
            ("received by the socket and not taken", result.unread),
        ):
            for name, count in counts.items():
                logger.warning("%s, route %s: messages %s: %d", self._label, name, what, count)
        return result

    def _count(self, count: Callable[[Route], int]) -> dict[str, int]:
        return {route.spec.name: found for route in self._routes if (found := count(route))}

    # What it tells

    async def wait_active(self) -> None:
        """Wait until all routes carry messages.

        Raises:
            trio.ClosedResourceError: it has ended, or ended meanwhile.
        """
        while any(route.error is not None for route in self._routes):
            if self._state == "stopped":
                raise trio.ClosedResourceError("the gateway has ended")
            await self._changes.park()
        await trio.lowlevel.checkpoint()

    def stats(self) -> GatewayStats:
        """A snapshot of the counters."""
        connections, first = self._connections, self._connections.first
        return GatewayStats(
            name=self.name,
            state=self._state,
            protocol=self.spec.broker.protocol,
            connected=connections.connected,
            address=first.address,
            broker=first.about,
            blocked=connections.blocked,
            connects=sum(one.connects for one in connections.each),
            reconnects=sum(one.reconnects for one in connections.each),
            error=connections.error,
            routes=tuple(route.stats() for route in self._routes),
        )

    def _changed(self) -> None:
        self._changes.unpark_all()
