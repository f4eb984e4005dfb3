"""Consumes from a queue on an AMQP 0-9-1 channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import trio

from .....amqp import AmqpError, ChannelLost
from .....amqp.v091 import ACCEPTED, REJECTED, RELEASED, Message
from ..._client import Delivery
from ._link import Handle, again


class QueueReceiver:
    """The gateway's ``PromptReceiver``.

    Args:
        handle: its channel, which it may share with a sender.
        queue: what it consumes from.
        tag: the consumer's.
        accepts: whether deliveries count as settled when they are taken.
        shared: whether the channel is a sender's.
    """

    def __init__(
        self, handle: Handle, queue: str, tag: str, *, accepts: bool, shared: bool
    ) -> None:
        self.handle = handle
        self._queue = queue
        self._tag = tag
        self._accepts = accepts
        self._shared = shared
        self._ready: list[Message] = []
        self._take: Callable[[list[Delivery]], None] | None = None
        self._raised: Exception | None = None  # by whom deliveries were given to
        self._failure: AmqpError | None = None
        self._closed = False
        self._lot = trio.lowlevel.ParkingLot()
        handle.on_delivered = self._delivered
        handle.on_cancelled = self._cancelled
        handle.on_ended.append(self._ended)

    @property
    def address(self) -> str:
        """The queue."""
        return self._queue

    @property
    def unsettled(self) -> int:
        """Deliveries received and not settled; none after the channel's end."""
        return 0 if self.handle.ended.is_set() else self.handle.channel.settlements.unsettled

    async def receive(self) -> list[Delivery]:
        """Wait for at least one delivery, and take all that are there; see ``Receiver``."""
        if self._ready or self._closed or self._failure is not None:
            await trio.lowlevel.checkpoint()
        while not self._ready:
            if self._raised is not None:
                raise self._raised
            if self._closed:
                raise trio.ClosedResourceError("this receiver was closed")
            if self._failure is not None:
                raise again(self._failure)
            await self._lot.park()
        return self._taken()

    def give_to(self, take: Callable[[list[Delivery]], None], *, busy_poll: float = 0.0) -> None:
        """Have deliveries given to ``take`` by the connection's reader; see ``PromptReceiver``."""
        self._take = take
        self.handle.link.look_for(busy_poll)
        self._give()

    def _give(self) -> None:
        if self._take is None or self._raised is not None or not self._ready:
            return
        try:
            self._take(self._taken())
        except Exception as error:  # noqa: BLE001 - receive() raises it: others read here, too
            self._raised = error
            self._lot.unpark_all()

    def _taken(self) -> list[Delivery]:
        taken, self._ready = self._ready, []
        if self._accepts:
            self._settle(taken, ACCEPTED)
        return cast("list[Delivery]", taken)

    def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Settle: done."""
        self._settle(cast("Sequence[Message]", deliveries), ACCEPTED)

    def reject(self, deliveries: Sequence[Delivery]) -> None:
        """Settle: not wanted (Basic.Reject without requeue)."""
        self._settle(cast("Sequence[Message]", deliveries), REJECTED)

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Settle: back to the queue (Basic.Reject with requeue)."""
        self._settle(cast("Sequence[Message]", deliveries), RELEASED)

    def _settle(self, deliveries: Sequence[Message], verdict: int) -> None:
        """Note a verdict; after the channel's end it means nothing: the broker has them again.

        Raises:
            ValueError: one was settled before, or is another receiver's.
        """
        if self.handle.ended.is_set() or not deliveries:
            return
        self.handle.channel.settlements.settle(deliveries, verdict)
        self.handle.link.settled_on(self.handle.channel)

    async def aclose(self) -> None:
        """Stop consuming. What was settled is written first; the rest goes to others.

        Cancelled, it stops all the same.
        """
        if self._closed:
            return
        self._closed = True
        self._lot.unpark_all()
        if not self._shared:
            self._ready = []
            await self.handle.close()
        elif not self.handle.closed and not self.handle.ended.is_set():
            await self.handle.call(lambda: self.handle.channel.cancel(self._tag))
            self._release_rest()

    def _release_rest(self) -> None:
        """The channel lives on: give back what nobody has taken."""
        ready, self._ready = self._ready, []
        if self.unsettled:
            self._settle(ready, RELEASED)

    def _delivered(self, messages: list[Message]) -> None:
        if self._closed and not self._shared:
            return
        self._ready += messages
        if self._take is None:
            self._lot.unpark()
        else:
            self._give()

    def _cancelled(self) -> None:
        """The broker ended the consumer. Unsettled deliveries can still be settled."""
        self._failure = ChannelLost(
            f"queue {self._queue!r}: the broker cancelled the consumer; it is gone, or has moved",
            condition="basic.cancel",
            temporary=True,
        )
        self._lot.unpark_all()

    def _ended(self) -> None:
        failure = self.handle.failure
        if isinstance(failure, ChannelLost):
            text = f"queue {self._queue!r}: {failure}"
            failure = ChannelLost(text, condition=failure.condition, temporary=failure.temporary)
        self._failure = failure or ChannelLost("the channel was closed", temporary=True)
        if self.handle.channel.settlements.unsettled:
            self._ready = []  # the broker gives them out again
        self._lot.unpark_all()
