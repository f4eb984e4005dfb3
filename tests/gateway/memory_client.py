"""A broker in memory, for what is about time and order: does what it is told, at once."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import trio

from hypersocket.amqp import (
    CONFIRMED,
    NO_PROPERTIES,
    AmqpError,
    ChannelLost,
    ConnectionLost,
    Declaration,
    Outcome,
    Properties,
    Publication,
    Result,
    Subscription,
    Target,
)
from hypersocket.devices.amqp_gateway._client import (
    BrokerAddress,
    Connect,
    Delivery,
    OnSettled,
    Receiver,
)
from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._spec import BrokerSpec, GatewaySpec, RouteSpec

UNKNOWN = Outcome(Result.UNKNOWN)


class Broker:
    """What answers.

    Attributes:
        refusals: what the next attempts to connect raise, in order.
        on_connect: called at each attempt, and may raise.
        attempts: when there were attempts to connect.
        closing: seconds that a connection takes to be closed in good order.
        clients: all connections that there were, in the order of their making.
        client: the last one.
        on_declare: called when a connection declares something, or looks for it, and may raise.
        declaring: seconds that this takes.
        cancels: how the next consumers are ended by the broker, their channels going on.
        consumers: how many were opened and not closed.
        queue: what consumers get: bodies, and whether they were given to somebody before.
        stored: what was confirmed, in order.
        verdict: what becomes of a publication; None to say nothing yet; an error ends the channel,
            or the connection.
        properties: what is said of a message, by its body.
    """

    def __init__(self) -> None:
        self.refusals: list[AmqpError] = []
        self.attempts: list[float] = []
        self.stored: list[bytes] = []
        self.verdict: Callable[[Publication], Outcome | AmqpError | None] = lambda _: CONFIRMED
        self.properties: Callable[[bytes], Properties] = lambda _: NO_PROPERTIES
        self.on_connect: Callable[[BrokerAddress], None] = lambda _: None
        self.closing = 0.0
        self.clients: list[MemoryClient] = []
        self.on_declare: Callable[[MemoryClient], None] = lambda _: None
        self.declaring = 0.0
        self.queue: deque[tuple[bytes, bool]] = deque()
        self.queued = trio.lowlevel.ParkingLot()
        self.cancels: list[ChannelLost] = []
        self.consumers = 0

    @property
    def client(self) -> MemoryClient | None:
        return self.clients[-1] if self.clients else None

    def put(self, *bodies: bytes, redelivered: bool = False) -> None:
        """Into the queue: at the end, or where it was before."""
        if redelivered:
            self.queue.extendleft((body, True) for body in reversed(bodies))
        else:
            self.queue.extend((body, False) for body in bodies)
        self.queued.unpark_all()

    @asynccontextmanager
    async def connect(
        self, address: BrokerAddress, *, on_blocked: object = None
    ) -> AsyncGenerator[MemoryClient, None]:
        """A connection."""
        del on_blocked
        self.attempts.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if self.refusals:
            raise self.refusals.pop(0)
        self.on_connect(address)
        client = MemoryClient(self)
        self.clients.append(client)
        try:
            yield client
        finally:
            if client.lost is None:
                with trio.CancelScope(shield=True):
                    await trio.sleep(self.closing)
            client.lose(ConnectionLost("it was closed", temporary=True))


def gateway(broker: Broker, *routes: RouteSpec, addresses: int = 1, **changes: Any) -> AmqpGateway:
    """A gateway to this broker, not yet running."""
    where = BrokerSpec(
        addresses=tuple(BrokerAddress(host="h", port=1 + at) for at in range(addresses))
    )
    spec = GatewaySpec(name="gw", broker=where, routes=routes, **changes)
    return AmqpGateway(spec, connect=cast("Connect", broker.connect))


@asynccontextmanager
async def running(made: AmqpGateway) -> AsyncGenerator[AmqpGateway, None]:
    """Run it, and cancel it at the end if it still runs."""

    async def run(task_status: trio.TaskStatus[AmqpGateway]) -> None:
        await made.run(task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield made
        nursery.cancel_scope.cancel()


class MemoryClient:
    """One connection."""

    protocol: Any = "0-9-1"
    broker: dict[str, Any] = {}  # noqa: RUF012
    blocked = None

    def __init__(self, broker: Broker) -> None:
        self.lost: ConnectionLost | None = None
        self._broker = broker
        self._senders: list[MemorySender] = []
        self._ended = trio.Event()

    def lose(self, error: ConnectionLost) -> None:
        """The connection ends."""
        if self.lost is None:
            self.lost = error
            for sender in self._senders:
                sender.end(error)
            self._ended.set()

    @property
    def waiting(self) -> list[bytes]:
        """What has no outcome yet."""
        return [one.body for sender in self._senders for one in sender.waiting]

    async def wait_lost(self) -> ConnectionLost:
        await self._ended.wait()
        assert self.lost is not None
        return self.lost

    def abandon(self, reason: str) -> None:
        self.lose(ConnectionLost(reason, temporary=True))

    async def declare(self, declarations: Sequence[Declaration]) -> list[str]:
        del declarations
        await trio.sleep(self._broker.declaring)
        self._broker.on_declare(self)
        return []

    async def bind(self, binding: object) -> None:
        raise NotImplementedError

    async def unbind(self, binding: object) -> None:
        raise NotImplementedError

    async def open_sender(self, on_settled: OnSettled, **_: Any) -> MemorySender:
        await trio.lowlevel.checkpoint()
        sender = MemorySender(self._broker, self, on_settled)
        self._senders.append(sender)
        return sender

    async def open_receiver(self, subscription: Subscription, **_: Any) -> Receiver:
        await trio.lowlevel.checkpoint()
        return MemoryReceiver(self._broker, subscription)


class MemoryDelivery:
    """One message on its way from the broker."""

    target = Target()
    delivery_count: int | None = None
    counted = False

    def __init__(self, body: bytes, properties: Properties, *, redelivered: bool) -> None:
        self.body = body
        self.properties = properties
        self.redelivered = redelivered


class MemoryReceiver:
    """One consumer of the broker's only queue."""

    address = "q"

    def __init__(self, broker: Broker, subscription: Subscription) -> None:
        self._broker = broker
        self._credit = subscription.credit
        self._settled = subscription.settled
        broker.consumers += 1
        self._held: list[Delivery] = []

    @property
    def unsettled(self) -> int:
        return len(self._held)

    async def receive(self) -> list[Delivery]:
        await trio.lowlevel.checkpoint()
        if self._broker.cancels:
            raise self._broker.cancels.pop()
        while not self._broker.queue or self.unsettled >= self._credit:
            await self._broker.queued.park()
        body, redelivered = self._broker.queue.popleft()
        said = self._broker.properties(body)
        delivery = MemoryDelivery(body, said, redelivered=redelivered)
        if not self._settled:
            self._held.append(delivery)
        return [delivery]

    def accept(self, deliveries: Sequence[Delivery]) -> None:
        self._settle(deliveries)

    def reject(self, deliveries: Sequence[Delivery]) -> None:
        self._settle(deliveries)

    def release(self, deliveries: Sequence[Delivery]) -> None:
        self._settle(deliveries)
        self._broker.put(*[one.body for one in deliveries], redelivered=True)

    def _settle(self, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            self._held.remove(one)
        self._broker.queued.unpark_all()

    async def aclose(self) -> None:
        self._broker.consumers -= 1
        left, self._held = self._held, []
        self._broker.put(*[one.body for one in left], redelivered=True)
        await trio.lowlevel.checkpoint()


class MemorySender:
    """One channel."""

    def __init__(self, broker: Broker, client: MemoryClient, on_settled: OnSettled) -> None:
        self.taken = 0
        self.waiting: list[Publication] = []
        self._broker = broker
        self._client = client
        self._on_settled = on_settled
        self._error: AmqpError | None = None
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def unsettled(self) -> int:
        return len(self.waiting)

    async def send(self, publications: Sequence[Publication]) -> None:
        await trio.lowlevel.checkpoint()
        for one in publications:
            self._check()
            self.taken += 1
            self.waiting.append(one)
            verdict = self._broker.verdict(one)
            if isinstance(verdict, ConnectionLost):
                self._client.lose(verdict)
            elif isinstance(verdict, AmqpError):
                self.end(verdict)
            elif verdict is not None:
                self.waiting.remove(one)
                if verdict is CONFIRMED:
                    self._broker.stored.append(one.body)
                self._on_settled([one], verdict)
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise type(self._error)(
                str(self._error),
                condition=self._error.condition,
                temporary=self._error.temporary,
            )

    def end(self, error: AmqpError) -> None:
        if self._error is None:
            self._error = error
            waiting, self.waiting = self.waiting, []
            if waiting:
                self._on_settled(waiting, UNKNOWN)
            self._changed.unpark_all()

    async def wait_settled(self) -> None:
        await trio.lowlevel.checkpoint()
        while self.waiting:
            await self._changed.park()

    async def aclose(self) -> None:
        self.end(ChannelLost("it was closed", temporary=True))
        await trio.lowlevel.checkpoint()
