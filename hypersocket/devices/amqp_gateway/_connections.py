"""The gateway's connections to the broker: how they begin, and how they are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import trio

from ...amqp import AmqpError, ConnectionLost, Queue
from ._broker import Broker
from ._client import Client, Connect
from ._spec import BrokerSpec
from ._tasks import Backoff, together
from .routes._route import Route

CLOSING = 5.0
"""Seconds that a connection may take to be closed in good order, at the end."""


class Connections:
    """One connection for all that publishes, and one for routes that only take, where both are.

    A broker that is short of memory reads nothing from a connection that has published, not even
    that something was taken. Routes that only take would give it memory back: so they share no
    connection with anything that publishes, be it their own dead letters, which go by the first.

    The second comes and goes with the first.

    Args:
        spec: where the broker is.
        routes: who uses it.
        label: for logs.
        connect: opens a connection.
        backoff: makes pauses between attempts.
        changes: whoever waits for a change of anything.
    """

    def __init__(
        self,
        spec: BrokerSpec,
        routes: Sequence[Route],
        label: str,
        connect: Connect,
        backoff: Callable[[], Backoff],
        changes: trio.lowlevel.ParkingLot,
    ) -> None:
        self._routes = routes
        self._changes = changes
        self._apart = _routes_apart(spec, routes)
        self._first = Broker(
            spec, label, connect, backoff(), self._changed, on_lost=self._lost_first
        )
        self._second: Broker | None = None
        if self._apart:
            label = f"{label}, consuming"
            self._second = Broker(spec, label, connect, backoff(), self._changed)
        self._second_is_late = False
        self._backoffs = {route: backoff() for route in routes}
        self._started: Callable[[], None] | None = None  # until it has been called
        self._refused: _RefusedError | None = None  # at the start
        self._settled = trio.Event()

    # What there is to tell

    @property
    def connected(self) -> bool:
        """Whether all are there."""
        return all(one.client is not None for one in self.each)

    @property
    def first(self) -> Broker:
        """The one that publishes, or the only one."""
        return self._first

    @property
    def each(self) -> tuple[Broker, ...]:
        """All of them."""
        return (self._first,) if self._second is None else (self._first, self._second)

    @property
    def blocked(self) -> str:
        """The broker's words while it takes no publications; empty otherwise."""
        return _one_of(one.blocked for one in self.each)

    @property
    def error(self) -> str:
        """Why there is none; empty if there is."""
        return _one_of(one.error for one in self.each)

    # Keeping them

    async def keep(self, started: Callable[[], None]) -> None:
        """Connect, and carry the routes, again and again; until cancelled.

        Args:
            started: called when all routes carry messages, or when the broker cannot be reached
                now but may be later.

        Raises:
            AmqpError: before that, the broker said no, in a way that does not pass.
        """
        self._started = started
        try:
            await self._first.keep(
                self._serve, self._has_started, self._is_starting, check=self._check
            )
        except _RefusedError as refused:
            raise refused.error from None
        await trio.sleep_forever()  # whoever closes them sees to the end

    async def close(self) -> None:
        """Everything has been settled: close them, in good order if that takes no longer."""
        self._settled.set()
        with trio.move_on_after(CLOSING):
            while self._first.client is not None:
                await self._changes.park()

    def _changed(self) -> None:
        self._changes.unpark_all()

    def _is_starting(self) -> bool:
        return self._started is not None

    def _is_starting_second(self) -> bool:
        # What it is told first decides, and not how soon the first one carries its routes.
        return self._is_starting() and not self._second_is_late

    def _check(self) -> None:
        """Raise what was refused for good, even where the connection was lost meanwhile."""
        if self._refused is not None and self._is_starting():
            raise self._refused

    def _refuse(self, who: str, error: AmqpError) -> _RefusedError:
        if self._refused is None:
            self._refused = _RefusedError(who, error)
        return self._refused

    def _has_started(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            started()

    async def _serve(self, client: Client) -> None:
        """Carry routes by the first connection, until everything has been settled at the end."""
        await together(
            self._until_settled,
            self._keep_second,
            self._start_when_active,
            *(
                partial(self._run_route, route, client)
                for route in self._routes
                if route not in self._apart
            ),
            *(partial(route.bury_by, client) for route in self._apart),
        )

    async def _until_settled(self) -> None:
        await self._settled.wait()
        with trio.move_on_after(CLOSING / 2):
            while self._second is not None and self._second.client is not None:
                await self._changes.park()

    async def _keep_second(self) -> None:
        if self._second is not None and self._first.at is not None:
            at = self._first.at
            self._second_is_late = False  # of another first one, it is told anew
            # Some brokers have but one connection of a name.
            at = replace(at, container_id=f"{at.container_id}-consuming")
            try:
                await self._second.keep(
                    self._serve_apart, self._second_retries, self._is_starting_second, (at,)
                )
            except AmqpError as error:
                raise self._refuse("the connection for consuming", error) from None
        await trio.sleep_forever()

    def _second_retries(self) -> None:
        self._second_is_late = True
        self._changed()

    def _lost_first(self, error: ConnectionLost) -> None:
        """The second goes, too: in good order, where the broker said why, and so is there."""
        if self._second is not None and not error.condition:
            self._second.cut("the first connection was lost")

    async def _serve_apart(self, client: Client) -> None:
        await together(
            self._settled.wait,
            *(partial(self._run_route, route, client) for route in self._apart),
        )

    async def _start_when_active(self) -> None:
        while any(
            route.error is not None and not (self._second_is_late and route in self._apart)
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
                await route.run(client, buries=route not in self._apart)
            except ConnectionLost as error:
                route.failed(str(error), tell=False)  # which the broker's log line tells
                raise
            except AmqpError as error:
                apart = route in self._apart
                starting = self._is_starting_second() if apart else self._is_starting()
                refused = starting and not (error.temporary or route.searching)
                route.failed(str(error), tell=not (refused or route.searching))
                if refused:
                    raise self._refuse(f"route {route.spec.name}", error) from None
            else:
                await trio.sleep_forever()
            self._changed()
            if route.searching or trio.current_time() - since > backoff.current:
                backoff.reset()  # it worked for some time, or will when it has found the message
            await trio.sleep(backoff.next())


def _routes_apart(spec: BrokerSpec, routes: Sequence[Route]) -> tuple[Route, ...]:
    """The routes with a connection of their own."""
    if any(isinstance(one, Queue) and one.exclusive for one in spec.declare):
        return ()  # nobody may take from that queue but the connection that declares it
    takers = tuple(route for route in routes if not route.publishes)
    published = len(takers) < len(routes) or any(one.dead_letters.publishes for one in takers)
    return takers if published else ()


def _one_of(texts: Iterable[str]) -> str:
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
