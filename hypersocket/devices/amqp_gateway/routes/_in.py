"""In: from the broker to a PUSH or PUB socket, or to workers.

A delivery stays the broker's until it has been settled, which follows the hand-over. While nobody
is there to take messages, none are asked for, and those in hand are given back.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import trio

from ....amqp import Subscription
from .._client import Client, Delivery, Receiver
from .._errors import GatewayError
from .._spec import RouteSpec
from .._tasks import together
from ..messages._unpacking import Unfit, Unpacker
from ._letters import Letter
from ._peers import Peers
from ._route import Route, Shared
from ._source import Source
from ._taking import Message

logger = logging.getLogger("hypersocket")

CHUNK = 512
"""Messages that are handed over, and then settled, at once at most."""


class In(Route):
    """From the broker to ØMQ peers, which take messages and say nothing."""

    kind = "in"
    publishes = False

    def __init__(self, spec: RouteSpec, shared: Shared) -> None:
        super().__init__(spec, shared)
        self.unpacker = Unpacker(spec, shared.name, shared.protocol, self.guard, self.counters)
        self.source = Source(spec, shared, self.guard)
        self.receiver: Receiver | None = None
        self.held = 0  # deliveries that were received, and are not settled nor buried
        self._given_back = 0  # when the last receiver was closed
        self._receiving: trio.CancelScope | None = None
        self._attempt: trio.CancelScope | None = None
        self._prepare()

    def _prepare(self) -> None:
        if self.spec.socket.type == "DEALER":
            raise GatewayError(
                f"route {self.spec.name}: a DEALER is for ack = 'reply': "
                "with ack = 'sent' the socket is a PUSH or a PUB"
            )
        self.peers = Peers(self.socket, self._peers_changed)
        self._pushes = self.spec.socket.type == "PUSH"
        self._chunk = max(1, min(CHUNK, self.socket.sndhwm or CHUNK))

    # Counting

    @property
    def pending(self) -> int:
        """Deliveries that were received and are not settled."""
        return self.held + self.dead_letters.waiting

    @property
    def credit(self) -> int:
        """How many more the broker may send."""
        if self.receiver is None or self.spec.mode == "no-ack":
            return 0
        return max(0, self.prefetch - self.receiver.unsettled)

    @property
    def unsettled(self) -> int:
        """Messages that the broker has forgotten, and nobody has."""
        return self._given_back if self.spec.mode == "no-ack" else 0

    @property
    def returned(self) -> int:
        """Deliveries that the broker keeps."""
        return 0 if self.spec.mode == "no-ack" else self._given_back

    # Carrying

    async def attend(self) -> None:
        """Watch who is there."""
        await together(super().attend, self.peers.watch)

    @property
    def present(self) -> bool:
        """Whether there is anybody to take messages."""
        return self.peers.present

    def _peers_changed(self) -> None:
        if not self.present and self._attempt is not None and self.spec.mode != "no-ack":
            self._attempt.cancel()
        self.changed()

    async def carry(self, client: Client) -> None:
        """Carry messages over one connection."""
        subscription = await self.source.ready(client, self.prefetch)
        self.works()
        while True:
            await self.until(lambda: self.present and not self.stopping)
            async with self._receiver_for(client, subscription) as receiver:
                with trio.CancelScope() as self._attempt:
                    await self._before()
                    await self._consume(receiver)
                await self.letters_on_their_way()

    @asynccontextmanager
    async def _receiver_for(
        self, client: Client, subscription: Subscription
    ) -> AsyncGenerator[Receiver, None]:
        receiver = self.receiver = await client.open_receiver(subscription)
        self._given_back = 0
        try:
            yield receiver
        finally:
            # What is not settled by now is the broker's again, and others get it: what is said of
            # it from here on comes too late. A consumer that the broker ended is closed as well:
            # its channel would go on, and keep what it was sent.
            self.receiver = None
            self._forget()
            self.changed()
            await receiver.aclose()

    def _forget(self) -> None:
        """Deliveries in hand are no longer ours."""
        self.unpacker.returns.all_went_back()
        given_back = self._given_back = self.held + self.dead_letters.forget_kept()
        self.held = 0
        if self.spec.mode == "no-ack":
            if given_back:
                self._lost(given_back)
        else:
            self.counters.requeued += given_back

    def _lost(self, count: int) -> None:
        """With no-ack: received, and neither handed over nor kept by the broker."""
        first = self.counters.drop("not handed over, and forgotten by the broker", count)
        logger.log(
            logging.WARNING if first else logging.DEBUG,
            "%s: %d messages were not handed over, and mode = 'no-ack' had the broker forget them "
            "(more are counted in stats())",
            self.label,
            count,
        )

    async def _before(self) -> None:
        # What was lost before has been given back before.
        await self.socket.flush()

    async def _consume(self, receiver: Receiver) -> None:
        while not self.stopping:
            deliveries: list[Delivery] = []
            with trio.CancelScope() as self._receiving:
                # Of those that the broker has forgotten, no prefetch bounds how many wait here.
                await self.until(lambda: self.dead_letters.waiting < self.prefetch)
                deliveries = await receiver.receive()
                self._count(deliveries)
            for start in range(0, len(deliveries), self._chunk):
                await self._pass_on(receiver, deliveries[start : start + self._chunk])
        await self.until(lambda: not self.held)

    def _count(self, deliveries: Sequence[Delivery]) -> None:
        counters = self.counters
        counters.received += len(deliveries)
        counters.bytes_in += sum([len(one.body) for one in deliveries])
        counters.redelivered += sum([one.redelivered for one in deliveries])
        self.held += len(deliveries)

    async def _pass_on(self, receiver: Receiver, deliveries: Sequence[Delivery]) -> None:
        fit, messages = self._unpack(receiver, deliveries)
        while fit:
            count = await self.bucket.wait(len(fit))
            await self._hand_over(receiver, fit[:count], messages[:count])
            fit, messages = fit[count:], messages[count:]

    def _unpack(
        self, receiver: Receiver, deliveries: Sequence[Delivery]
    ) -> tuple[list[Delivery], list[Message]]:
        unpack = self.unpacker.unpack
        fit: list[Delivery] = []
        messages: list[Message] = []
        for delivery in deliveries:
            try:
                messages.append(unpack(delivery))
            except Unfit as error:
                self.fail(receiver, delivery, error.reason, str(error))
            except Exception as error:
                # A fault of ours, for what is in one message: it ends nothing but that message.
                logger.exception("%s: a message cannot be unpacked", self.label)
                self.fail(receiver, delivery, "malformed", repr(error))
            else:
                fit.append(delivery)
        return fit, messages

    async def _hand_over(
        self, receiver: Receiver, deliveries: list[Delivery], messages: list[Message]
    ) -> None:
        self.bucket.spend(len(messages))
        await self._send(messages)
        self.counters.forwarded += len(messages)
        self.counters.bytes_out += sum([len(one.body) for one in deliveries])
        lost = 0
        if self.spec.mode == "on-confirm":
            lost = await self.socket.flush()
        if lost and self._pushes:
            # Nobody knows which, so that others get all of them.
            self.release(receiver, deliveries)
        else:
            self.accept(receiver, deliveries)

    async def _send(self, messages: list[Message]) -> None:
        socket, singles = self.socket, list[bytes]()
        for message in messages:
            if isinstance(message, bytes):
                singles.append(message)
                continue
            if singles:
                await socket.send_many(singles)
                singles = []
            await socket.send_multipart(message)
        if singles:
            await socket.send_many(singles)

    # Settling

    def accept(self, receiver: Receiver, deliveries: Sequence[Delivery]) -> None:
        """The broker may forget them."""
        self.held -= len(deliveries)
        self.counters.confirmed += len(deliveries)
        self.unpacker.returns.accepted(deliveries)
        if self.spec.mode != "no-ack":
            receiver.accept(deliveries)
        self.changed()

    def release(self, receiver: Receiver, deliveries: Sequence[Delivery]) -> None:
        """The broker is to give them to others, or again to us."""
        self.held -= len(deliveries)
        self.unpacker.returns.went_back(deliveries)
        if self.spec.mode == "no-ack":
            self._lost(len(deliveries))
        else:
            self.counters.requeued += len(deliveries)
            receiver.release(deliveries)
        self.changed()

    def fail(self, receiver: Receiver, delivery: Delivery, reason: str, text: str) -> None:
        """It is not passed on: to the dead letters, and settled when those have it."""
        no_ack = self.spec.mode == "no-ack"

        def done(buried: bool) -> None:
            self.unpacker.returns.settled([delivery])
            if no_ack or receiver is not self.receiver:
                return
            if buried:
                receiver.accept([delivery])
            else:
                receiver.reject([delivery])  # it may have a dead-letter exchange of its own

        self.held -= 1
        if reason == "looped":
            self.counters.looped += 1
        self.bury(
            Letter(
                reason,
                text,
                delivery.body,
                delivery.properties,
                delivery.target,
                done=done,
                kept=not no_ack,
            )
        )

    # Stopping

    async def settle(self) -> None:
        """Receive nothing more, and hand over what is in hand."""
        if self._receiving is not None:
            self._receiving.cancel()
        await self.until(lambda: not self.held and self.receiver is None)
