"""A sender and a receiver of AMQP 1.0, for tasks that wait."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import trio

from .....amqp import Publication
from .....amqp.v10 import Delivery as ReceivedDelivery
from .....amqp.v10 import ReceiverLink, SenderLink, Settled

if TYPE_CHECKING:
    from ..._client import Delivery, OnSettled

logger = logging.getLogger("hypersocket")

DETACH_TIMEOUT = 2.0
"""Seconds that a peer has to answer a detach."""


class _End:
    """What both have in common: someone to wake, and an end."""

    def __init__(self, kick: Callable[[], None]) -> None:
        self._kick = kick
        self._changed = trio.lowlevel.ParkingLot()
        self._closed = False

    def wake(self) -> None:
        """Something changed: whoever waits looks again."""
        self._changed.unpark_all()

    async def _detached(self, link: SenderLink | ReceiverLink) -> None:
        """Wait, but not for ever, until the peer has answered a detach."""
        self.wake()
        self._kick()
        with trio.move_on_after(DETACH_TIMEOUT):
            # Of one that was given up for what the peer did, nothing more is expected.
            while link.attached and link.lost is None:
                await self._changed.park()


class Sender(_End):
    """Publishes: one session and link of its own.

    Args:
        link: the engine's end, attached.
        on_settled: told of outcomes.
        kick: has the connection's writer look for work.
    """

    def __init__(self, link: SenderLink, on_settled: OnSettled, kick: Callable[[], None]) -> None:
        super().__init__(kick)
        self._link = link
        self._on_settled = on_settled
        self._sending = trio.Lock()
        self._waiting = False
        link.context = self

    async def send(self, publications: Sequence[Publication]) -> None:
        """Take publications over, in order; wait for credit and for room.

        Cancelled: :attr:`taken` tells how many were taken over.

        Raises:
            ConnectionLost: the connection ended.
            ChannelLost: the peer ended the link.
            trio.ClosedResourceError: it was closed here.
        """
        async with self._sending:
            done = 0
            while True:
                self._check()
                taken = self._link.send(publications, done)
                done += taken
                if taken:
                    self._kick()
                if done >= len(publications):
                    return
                self._waiting = True
                try:
                    await self._changed.park()
                finally:
                    self._waiting = False

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("the sender was closed")
        if self._link.lost is not None:
            raise self._link.lost

    @property
    def taken(self) -> int:
        """Publications taken over so far."""
        return self._link.taken

    @property
    def unsettled(self) -> int:
        """Publications without an outcome."""
        return self._link.unsettled

    @property
    def credit(self) -> int:
        """How many more the peer takes now."""
        return self._link.credit

    async def wait_settled(self) -> None:
        """Wait until every publication has its outcome."""
        await trio.lowlevel.checkpoint()
        while self._link.unsettled:
            await self._changed.park()

    def settled(self, event: Settled) -> None:
        """Pass outcomes on."""
        try:
            self._on_settled(event.publications, event.outcome)
        except Exception:
            logger.exception("the callback for outcomes raised, which it may not")
        self.wake()

    def credited(self) -> None:
        """There is credit, or the peer wants it back."""
        if not self._waiting:
            self._link.drain_if_idle()
        self.wake()

    async def aclose(self) -> None:
        """Detach. What has no outcome when the peer answers, or is too slow to, gets UNKNOWN."""
        self._closed = True
        self._link.close()
        try:
            await self._detached(self._link)
        finally:
            self._link.abandon("the sender was closed")
            self._kick()


class Receiver(_End):
    """Receives: one session and link of its own.

    Args:
        link: the engine's end, attached.
        kick: has the connection's writer look for work.
    """

    def __init__(self, link: ReceiverLink, kick: Callable[[], None]) -> None:
        super().__init__(kick)
        self._link = link
        self._address = link.address
        self._warned = False
        link.context = self
        link.start()
        kick()

    @property
    def address(self) -> str:
        """The node's address; the one that the peer named, where it chose."""
        return self._address

    @property
    def undecodable(self) -> int:
        """Messages that are given out as they came, since they could not be decoded."""
        return self._link.undecodable

    async def receive(self) -> list[Delivery]:
        """Wait for at least one delivery, and take all that are there. Cancelled, takes none.

        Raises:
            ConnectionLost: the connection ended.
            ChannelLost: the peer ended the link.
            trio.ClosedResourceError: it was closed here.
        """
        await trio.lowlevel.checkpoint()
        while not self._ready():
            await self._changed.park()
        taken = self._link.take()
        self._kick()
        return cast("list[Delivery]", taken)

    def _ready(self) -> bool:
        """Whether there is something to take. What is settled already is not lost with the link."""
        link = self._link
        if self._closed:
            raise trio.ClosedResourceError("the receiver was closed")
        if link.lost is not None and not link.waiting:
            raise link.lost
        return bool(link.waiting)

    def received(self) -> None:
        """There are deliveries."""
        if self._link.undecodable and not self._warned:
            self._warned = True
            logger.warning(
                "from %s came a message that is not AMQP 1.0's; such are passed on as they are",
                self._address,
            )
        self.wake()

    def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Settle: done."""
        self._link.accept(cast("Sequence[ReceivedDelivery]", deliveries))
        self._kick()

    def reject(self, deliveries: Sequence[Delivery]) -> None:
        """Settle: not wanted."""
        self._link.reject(cast("Sequence[ReceivedDelivery]", deliveries))
        self._kick()

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Settle: give it back."""
        self._link.release(cast("Sequence[ReceivedDelivery]", deliveries))
        self._kick()

    @property
    def unsettled(self) -> int:
        """Deliveries received and not settled, those not taken included."""
        return self._link.unsettled

    async def aclose(self) -> None:
        """Detach. What was settled is written first; the broker gives the rest to others."""
        self._closed = True
        self._link.close()
        if dropped := len(self._link.take()):
            logger.warning(
                "%d messages from %s were not taken, and the broker counts them as delivered",
                dropped,
                self._address,
            )
        await self._detached(self._link)
