"""Where deliveries come from: a queue, an exchange by a queue that is bound to it, an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....amqp import (
    Binding,
    ChannelLost,
    Declaration,
    Exchange,
    Queue,
    Subscription,
)
from .._client import Client
from .._errors import GatewayError
from .._policy import Guard
from .._spec import RouteSpec

if TYPE_CHECKING:
    from ._route import Shared


class Source:
    """What a route receives from.

    Args:
        spec: the route.
        shared: of its gateway.
        guard: the route's policy.

    Raises:
        GatewayError: the route cannot work.
    """

    def __init__(self, spec: RouteSpec, shared: Shared, guard: Guard) -> None:
        self._spec = spec
        self._declared = {one.name for one in shared.declare if isinstance(one, Queue)}
        self._own: tuple[Client, str] | None = None
        if shared.protocol == "1.0":
            if spec.exchange or spec.queue or not spec.address:
                raise GatewayError(
                    f"route {spec.name}: AMQP 1.0 has addresses: give it an address, and neither "
                    "exchange nor queue"
                )
        elif spec.address or spec.filter:
            raise GatewayError(
                f"route {spec.name}: AMQP 0-9-1 has neither addresses nor filters: give it a "
                "queue, or an exchange with a routing key"
            )
        elif not (spec.exchange or spec.queue):
            raise GatewayError(
                f"route {spec.name}: give it a queue, or an exchange with a routing key"
            )
        objection = (
            (spec.address and guard.address(spec.address))
            or (spec.queue and guard.queue(spec.queue))
            or (spec.exchange and guard.exchange(spec.exchange))
            or (spec.exchange and guard.binding(spec.routing_key))
        )
        if objection:
            raise GatewayError(f"route {spec.name}: {objection}")

    async def ready(self, client: Client, credit: int) -> Subscription:
        """Declare and bind what is needed, and see that it is there.

        Raises:
            ChannelLost: the broker refuses it.
        """
        spec = self._spec
        settled = spec.mode == "no-ack"
        if client.protocol == "1.0":
            subscription = Subscription(
                address=spec.address, filter=spec.filter, credit=credit, settled=settled
            )
            await _try(client, subscription)
            return subscription
        queue = await self._bound(client) if spec.exchange else await self._there(client)
        return Subscription(
            queue=queue, credit=credit, settled=settled, arguments=dict(spec.arguments)
        )

    async def _there(self, client: Client) -> str:
        await client.declare([Queue(name=self._spec.queue, passive=True)])
        return self._spec.queue

    async def _bound(self, client: Client) -> str:
        """A queue that is bound to the exchange: the named one, or one of our own."""
        spec = self._spec
        declarations: list[Declaration] = [Exchange(name=spec.exchange, passive=True)]
        if spec.queue:
            there = spec.queue in self._declared  # with arguments of its own, perhaps
            declarations.append(Queue(name=spec.queue, durable=True, passive=there))
            await client.declare(declarations)
            name = spec.queue
        else:
            name = await self._own_queue(client, declarations)
        await client.bind(Binding(queue=name, exchange=spec.exchange, routing_key=spec.routing_key))
        return name

    async def _own_queue(self, client: Client, declarations: list[Declaration]) -> str:
        # It lasts as long as the connection, so there must not be another at each attempt.
        if self._own is not None and self._own[0] is client:
            name = self._own[1]
            try:
                await client.declare([*declarations, Queue(name=name, passive=True)])
            except ChannelLost:
                self._own = None  # somebody has deleted it
                raise
            return name
        own = Queue(durable=False, exclusive=True)
        name = (await client.declare([*declarations, own]))[-1]
        self._own = client, name
        return name


async def _try(client: Client, subscription: Subscription) -> None:
    """See whether a link can be attached. It gets no credit: nothing is touched by that."""
    none = Subscription(address=subscription.address, filter=subscription.filter, credit=0)
    receiver = await client.open_receiver(none)
    await receiver.aclose()
