"""What topics are received by: one queue and its bindings, or a link for each pattern."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias
from urllib.parse import quote

import trio

from ....amqp import AmqpError, Binding, Exchange, Queue, Subscription
from .._client import Client, Receiver
from .._spec import RouteSpec
from ..messages._patterns import covers

Consume: TypeAlias = Callable[[Receiver, str], Awaitable[None]]
"""Is given a receiver and its binding key, and takes what it brings until cancelled."""


CLOSING = 2.0
"""Seconds that the end of a route may take, where the broker is slow."""


class Bindings(ABC):
    """The patterns that are bound over one connection.

    Args:
        spec: the route.
        client: the connection.
        credit: messages that a receiver may have unsettled.
        consume: takes what a receiver brings.
    """

    def __init__(self, spec: RouteSpec, client: Client, credit: int, consume: Consume) -> None:
        self.spec = spec
        self.client = client
        self.credit = credit
        self.consume = consume

    @abstractmethod
    async def open(self) -> None:
        """Make what all have in common.

        Raises:
            ChannelLost: the broker refuses it.
        """

    @abstractmethod
    async def run(self) -> None:
        """Receive, until cancelled."""

    @abstractmethod
    async def add(self, key: str) -> None:
        """Bind.

        Raises:
            ChannelLost: the broker refuses it.
        """

    @abstractmethod
    async def remove(self, key: str) -> None:
        """Unbind."""

    @abstractmethod
    def keys(self) -> set[str]:
        """What is bound."""

    @abstractmethod
    def receivers(self) -> Iterable[Receiver]:
        """What brings messages."""

    async def aclose(self) -> None:
        """End all, also while cancelled. The connection may stand, or not."""
        with trio.move_on_after(CLOSING, shield=True):
            for receiver in self.receivers():
                with contextlib.suppress(AmqpError):
                    await receiver.aclose()

    def is_first(self, key: str, routing_key: str) -> bool:
        """Whether a message is to be taken from what was bound with this key.

        It is not, if something else brings it too.
        """
        del key, routing_key
        return True


class QueueBindings(Bindings):
    """AMQP 0-9-1: a queue of our own, which lasts as long as the connection."""

    _queue = ""

    async def open(self) -> None:
        """See that the exchange is there, and make the queue."""
        own = Queue(durable=False, exclusive=True, auto_delete=True)
        there = Exchange(name=self.spec.exchange, passive=True)
        self._bound: set[str] = set()
        self._receiver: Receiver | None = None
        self._queue = (await self.client.declare([there, own]))[-1]
        self._receiver = await self.client.open_receiver(
            Subscription(
                queue=self._queue,
                credit=self.credit,
                settled=self.spec.mode == "no-ack",
                exclusive=True,
                arguments=dict(self.spec.arguments),
            )
        )

    async def run(self) -> None:
        """Receive, until cancelled."""
        assert self._receiver is not None
        await self.consume(self._receiver, "")

    async def add(self, key: str) -> None:
        """Bind (Queue.Bind)."""
        await self.client.bind(self._binding(key))
        self._bound.add(key)

    async def remove(self, key: str) -> None:
        """Unbind (Queue.Unbind)."""
        await self.client.unbind(self._binding(key))
        self._bound.discard(key)

    def keys(self) -> set[str]:
        """What is bound."""
        return self._bound

    def receivers(self) -> Iterable[Receiver]:
        """The queue's."""
        return () if self._receiver is None else (self._receiver,)

    def _binding(self, key: str) -> Binding:
        return Binding(queue=self._queue, exchange=self.spec.exchange, routing_key=key)


class LinkBindings(Bindings):
    """AMQP 1.0: a link for each pattern.

    A message that several patterns match comes by several links. It is taken from the one that
    was there first, so that subscribers get it once.
    """

    async def open(self) -> None:
        """There is nothing that all have in common."""
        self._links: dict[str, tuple[Receiver, trio.CancelScope]] = {}  # the oldest first
        self._new: list[str] = []
        self._news = trio.lowlevel.ParkingLot()
        await trio.lowlevel.checkpoint()

    async def run(self) -> None:
        """Receive by all links, until cancelled."""
        failed: list[Exception] = []

        async def receive(key: str) -> None:
            receiver, scope = self._links[key]
            try:
                with scope:
                    await self.consume(receiver, key)
            except Exception as error:  # noqa: BLE001 - raised again below
                failed.append(error)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            while not failed:
                new, self._new = self._new, []
                for key in new:
                    if key in self._links:
                        nursery.start_soon(receive, key)
                await self._news.park()
        if failed:
            raise failed[0]

    async def add(self, key: str) -> None:
        """Attach a link."""
        receiver = await self.client.open_receiver(
            Subscription(
                address=address_for(self.spec.address, key),
                credit=self.credit,
                settled=self.spec.mode == "no-ack",
            )
        )
        self._links[key] = receiver, trio.CancelScope()
        self._new.append(key)
        self._news.unpark_all()

    async def remove(self, key: str) -> None:
        """Detach it."""
        receiver, scope = self._links.pop(key)
        scope.cancel()
        await receiver.aclose()

    def keys(self) -> set[str]:
        """What is attached."""
        return set(self._links)

    def receivers(self) -> Iterable[Receiver]:
        """One for each link."""
        return [receiver for receiver, _ in self._links.values()]

    def is_first(self, key: str, routing_key: str) -> bool:
        """Whether no older link brings the same message."""
        for older in self._links:
            if older == key:
                return True
            if covers(older, routing_key):
                return False
        return True


def address_for(address: str, key: str) -> str:
    """The node that has the messages of a binding key: the address, with the key at its end.

    RabbitMQ's addresses begin with a slash; parts have slashes between, and are percent-encoded.
    Other brokers' are taken as they are.
    """
    if not address.startswith("/"):
        return address + key
    return f"{address.rstrip('/')}/{quote(key, safe='.*#')}"
