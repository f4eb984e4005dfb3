"""The gateway: its sockets, its connection to the broker, its routes, and its end."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Literal, Self

import trio

from ...amqp import AmqpError, ConnectionLost, Queue
from ...sockets import Socket
from ._broker import Broker, connect_for
from ._client import Client, Connect
from ._errors import GatewayError
from ._spec import GatewaySpec
from ._stats import GatewayResult, GatewayState, GatewayStats
from ._tasks import Backoff, all_of, together
from .routes._make import make_route
from .routes._route import Route, Shared

logger = logging.getLogger("hypersocket")

CLOSING = 5.0
"""Seconds that a connection may take to be closed in good order, at the end."""


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
        connect = connect or connect_for(broker.protocol)
        self._broker = Broker(broker, self._label, connect, backoff(), self._changed)
        self._apart = self._routes_apart()
        self._drain: Broker | None = None
        if self._apart:
            label = f"{self._label}, consuming"
            self._drain = Broker(broker, label, connect, backoff(), self._changed)
        self._drain_is_late = False
        self._backoffs = {route: backoff() for route in self._routes}
        self._state: GatewayState = "running"
        self._has_run = False
        self._started: Callable[[], None] | None = None  # until it has been called
        self._stopping = trio.Event()
        self._settled = trio.Event()
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

    def _routes_apart(self) -> tuple[Route, ...]:
        """The routes with a connection of their own.

        A broker that is short of memory reads nothing from a connection that has published, not
        even that something was taken. Those that only take would give it memory back.
        """
        if any(isinstance(one, Queue) and one.exclusive for one in self.spec.broker.declare):
            return ()  # nobody may take from that queue but the connection that declares it
        takers = tuple(route for route in self._routes if not route.publishes)
        return takers if len(takers) < len(self._routes) else ()

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
        self._started = partial(task_status.started, self)
        try:
            async with AsyncExitStack() as stack:
                for socket in self._sockets.values():
                    await stack.enter_async_context(socket)
                try:
                    await together(
                        self._keep, self._stop, *(route.attend for route in self._routes)
                    )
                except _RefusedError as refused:
                    raise refused.error from None
                finally:
                    self._state = "stopped"
                    result = self.result = self._sum_up()
        finally:
            self._state = "stopped"
            self._ended.set()
            self._changed()
        return result

    async def _keep(self) -> None:
        await self._broker.keep(self._serve, self._has_started, self._is_starting)
        await trio.sleep_forever()  # _stop sees to the end

    def _is_starting(self) -> bool:
        return self._started is not None

    def _has_started(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            started()

    async def _serve(self, client: Client) -> None:
        """Carry routes by this connection, until everything has been settled at the end.

        The connection for routes that only take comes and goes with it.
        """
        await together(
            self._until_settled,
            self._keep_drain,
            self._start_when_active,
            *(
                partial(self._run_route, route, client)
                for route in self._routes
                if route not in self._apart
            ),
        )

    async def _until_settled(self) -> None:
        await self._settled.wait()
        with trio.move_on_after(CLOSING / 2):
            while self._drain is not None and self._drain.client is not None:
                await self._changes.park()

    async def _keep_drain(self) -> None:
        if self._drain is not None and self._broker.at is not None:
            at = self._broker.at
            # Some brokers have but one connection of a name.
            at = replace(at, container_id=f"{at.container_id}-consuming")
            try:
                await self._drain.keep(
                    self._serve_apart, self._drain_retries, self._is_starting, (at,)
                )
            except AmqpError as error:
                raise _RefusedError("the connection for consuming", error) from None
        await trio.sleep_forever()

    def _drain_retries(self) -> None:
        self._drain_is_late = True
        self._changed()

    async def _serve_apart(self, client: Client) -> None:
        await together(
            self._settled.wait,
            *(partial(self._run_route, route, client) for route in self._apart),
        )

    async def _start_when_active(self) -> None:
        while any(
            route.error is not None and not (self._drain_is_late and route in self._apart)
            for route in self._routes
        ):
            await self._changes.park()
        self._has_started()
        await trio.sleep_forever()

    async def _run_route(self, route: Route, client: Client) -> None:
        backoff = self._backoffs[route]
        while True:
            since = trio.current_time()
            try:
                await route.run(client)
            except ConnectionLost as error:
                route.failed(str(error), tell=False)  # which the broker's log line tells
                raise
            except AmqpError as error:
                refused = self._started is not None and not error.temporary
                refused = refused and not route.searching
                route.failed(str(error), tell=not (refused or route.searching))
                if refused:
                    raise _RefusedError(f"route {route.spec.name}", error) from None
            else:
                await trio.sleep_forever()
            self._changed()
            if route.searching or trio.current_time() - since > backoff.current:
                backoff.reset()  # it worked for some time, or will when it has found the message
            await trio.sleep(backoff.next())

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
        self._settled.set()
        with trio.move_on_after(CLOSING):
            while self._broker.client is not None:
                await self._changes.park()

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
        broker = self._broker
        both = (broker,) if self._drain is None else (broker, self._drain)
        return GatewayStats(
            name=self.name,
            state=self._state,
            protocol=self.spec.broker.protocol,
            connected=all(one.client is not None for one in both),
            address=broker.address,
            broker=broker.about,
            blocked=_first(one.blocked for one in both),
            connects=sum(one.connects for one in both),
            reconnects=sum(one.reconnects for one in both),
            error=_first(one.error for one in both),
            routes=tuple(route.stats() for route in self._routes),
        )

    def _changed(self) -> None:
        self._changes.unpark_all()


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")


class _RefusedError(Exception):
    """At the start, the broker refuses what somebody needs, and it does not pass."""

    def __init__(self, who: str, error: AmqpError) -> None:
        super().__init__()
        self.error = type(error)(
            f"{who}: {error}",
            condition=error.condition,
            temporary=error.temporary,
        )
