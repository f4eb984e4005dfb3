"""Serve: AMQP requests go to ØMQ workers, and their answers to whom the request says.

A request stays the broker's until the broker has confirmed its reply. Where the worker goes away
or is too slow, the broker gets it back and gives it out again, so it may be carried out twice; and
so it may be when the connection is lost before the reply was confirmed.

A request without ``reply_to`` is nothing that can be answered: it goes to the dead letters. So
does a reply that cannot be delivered, and its request is done when they have it; and so does a
request whose reply ends the connection again and again.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import trio

from ....amqp import Outcome, Properties, Publication, Result, Subscription, Target
from .._client import Client, Delivery, Receiver
from .._spec import RouteSpec
from .._tasks import together
from ..messages import _multipart
from ..messages._metadata import MetadataError, PropertyMap
from ..messages._unpacking import Unfit, Unpacker
from ._jobs import Job, Jobs, Why
from ._letters import Letter
from ._recurring import Request
from ._replies import Replies
from ._route import Route, Shared
from ._source import Source

logger = logging.getLogger("hypersocket")

DIRECT = "amq.rabbitmq.reply-to."
"""RabbitMQ hands replies over that go to such a key, and then returns them as unroutable (seen
with 3.10): the two cannot be told apart, so they count as delivered."""


class Serve(Route):
    """From an AMQP queue or address to REP workers, and their answers back."""

    kind = "serve"

    def __init__(self, spec: RouteSpec, shared: Shared) -> None:
        super().__init__(spec, shared)
        self._source = Source(spec, shared, self.guard)
        self._unpacker = Unpacker(spec, shared.name, shared.protocol, self.guard, self.counters)
        self._map = PropertyMap(spec, shared.name, shared.protocol)
        self._jobs = Jobs(
            self.socket,
            self.label,
            timeout=spec.timeout,
            on_answer=self._answered,
            on_back=self._came_back,
            counters=self.counters,
            on_change=self._workers_changed,
        )
        self._held = 0  # requests that were received, and are not settled nor buried
        self._given_back = 0  # when the last receiver was closed
        self._receiver: Receiver | None = None
        self._replies = Replies(
            self._outcome,
            self._replies_fail,
            shared.backoff(),
            alone=shared.alone,
            request_of=_request_of,
        )
        self._consuming: trio.CancelScope | None = None

    # Counting

    @property
    def pending(self) -> int:
        """Requests that were received and are not settled."""
        return self._held + self.dead_letters.waiting

    @property
    def credit(self) -> int:
        """How many more requests the broker may send."""
        return 0 if self._receiver is None else max(0, self.prefetch - self._receiver.unsettled)

    @property
    def returned(self) -> int:
        """Requests that the broker keeps."""
        return self._given_back

    @property
    def overdue(self) -> int:
        """Workers that owe the answer to a request which was taken back from them."""
        return self._jobs.overdue

    # Carrying

    async def attend(self) -> None:
        """Watch the workers, and take their answers."""
        await together(super().attend, self._jobs.attend)

    def _workers_changed(self) -> None:
        if not self._jobs.workers and self._consuming is not None:
            self._consuming.cancel()
        self.changed()

    async def carry(self, client: Client) -> None:
        """Carry requests and replies over one connection."""
        subscription = await self._source.ready(client, self.prefetch)
        await together(
            lambda: self._consume_while_any(client, subscription),
            lambda: self._replies.carry(client, self.works),
        )

    async def _consume_while_any(self, client: Client, subscription: Subscription) -> None:
        """Ask for requests while there are workers; else the broker keeps them."""
        while True:
            await self.until(lambda: self.error is None)  # answers can go
            await self.until(lambda: self._jobs.workers > 0 and not self.stopping)
            async with self._receiver_for(client, subscription) as receiver:
                with trio.CancelScope() as self._consuming:
                    await self._consume(receiver)
                # Those that have been answered are settled by the receiver that brought them.
                await self.until(lambda: not self._answering)
                await self.letters_on_their_way()

    @asynccontextmanager
    async def _receiver_for(
        self, client: Client, subscription: Subscription
    ) -> AsyncGenerator[Receiver, None]:
        receiver = self._receiver = await client.open_receiver(subscription)
        self._given_back = 0
        try:
            yield receiver
        finally:
            # Whatever has ended: a channel that goes on would keep what it was sent.
            self._receiver = None
            self._forget()
            await receiver.aclose()

    @property
    def _answering(self) -> bool:
        return self._held > 0 and (len(self._jobs) > 0 or len(self._replies) > 0)

    def _forget(self) -> None:
        """What is not settled is the broker's again, and others get it."""
        self._unpacker.returns.all_went_back()
        self._jobs.take_back()
        self._replies.forget()
        self._given_back = self._held + self.dead_letters.forget_kept()
        self.counters.requeued += self._given_back
        self._held = 0
        self.changed()

    async def _consume(self, receiver: Receiver) -> None:
        while not self.stopping:
            deliveries = await receiver.receive()
            counters = self.counters
            counters.received += len(deliveries)
            self._held += len(deliveries)
            for number, one in enumerate(deliveries):
                counters.bytes_in += len(one.body)
                counters.redelivered += one.redelivered
                try:
                    await self._give(receiver, Request(one))
                except trio.Cancelled:
                    # Nobody has these: others may, at once.
                    self._release(receiver, deliveries[number:])
                    raise

    async def _give(self, receiver: Receiver, request: Request) -> None:
        delivery = request.delivery
        try:
            if not _reply_to(delivery):
                raise Unfit("no reply_to", "the request does not say where its answer goes")
            objection = self.guard.target(_target(self.shared.protocol, delivery))
            if objection:
                raise Unfit("policy", f"its answer: {objection}")
            words = self._replies.recurring.verdict(request)
            if words:
                self.counters.rejected += 1
                raise Unfit("rejected", f"its answer ends the connection: {words}")
            message = self._unpacker.unpack(delivery)
        except Unfit as error:
            self._bury(receiver, request, error)
            return
        await self.bucket.wait(1)
        frames = message if isinstance(message, list) else [message]
        await self._jobs.give(Job(frames, (receiver, request)))
        self.bucket.spend(1)
        self.counters.forwarded += 1
        self.counters.bytes_out += len(delivery.body)

    def _bury(self, receiver: Receiver, request: Request, error: Unfit) -> None:
        delivery = request.delivery
        if error.reason == "looped":
            self.counters.looped += 1

        def done(_: bool) -> None:
            if receiver is self._receiver:
                self._unpacker.returns.settled([delivery])
                self._replies.recurring.cleared(request)
                receiver.accept([delivery])
                self.changed()

        self._held -= 1
        self.bury(
            Letter(
                error.reason,
                str(error),
                delivery.body,
                delivery.properties,
                delivery.target,
                done=done,
                kept=True,
            )
        )

    def _release(self, receiver: Receiver, deliveries: Sequence[Delivery]) -> None:
        if receiver is self._receiver:
            receiver.release(deliveries)
            self._unpacker.returns.went_back(deliveries)
            self._held -= len(deliveries)
            self.counters.requeued += len(deliveries)
            self.changed()

    def _came_back(self, job: Job, why: Why) -> None:
        receiver, request = job.context
        if why == "timeout":
            self.counters.expired += 1
        self._release(receiver, [request.delivery])

    # Replies

    def _answered(self, job: Job, frames: list[bytes]) -> None:
        receiver, request = job.context
        if receiver is not self._receiver:
            return  # it is given out again
        publication = self._publication(request.delivery, frames or [b""])
        publication.context = receiver, request
        for reason, objection in (
            ("oversize", self.guard.size(len(publication.body))),
            ("policy", self.guard.copies(publication.target, publication.properties.headers)),
        ):
            if objection:
                self._undeliverable(publication, reason, f"the answer: {objection}")
                return
        self._replies.put(publication)

    def _publication(self, delivery: Delivery, frames: list[bytes]) -> Publication:
        said = None
        if self._map.frames:
            try:
                said = self._map.read(frames[0])
                frames = frames[1:] or [b""]
            except MetadataError as error:
                # Its caller waits: the answer goes without what cannot be said of it.
                if not self.counters.malformed:
                    logger.warning("%s: a reply: %s", self.label, error)
                self.counters.malformed += 1
        body, lengths = _multipart.join(frames)
        properties = self._map.properties(said, lengths)
        correlation = delivery.properties.correlation_id
        if correlation is None:
            correlation = delivery.properties.message_id
        return Publication(
            _target(self.shared.protocol, delivery), body, _with(properties, correlation)
        )

    def _outcome(self, one: Publication, outcome: Outcome) -> None:
        result = outcome.result
        if result is Result.CONFIRMED or (
            result is Result.RETURNED and one.target.routing_key.startswith(DIRECT)
        ):
            self.counters.confirmed += 1
            self._held -= 1
            self._done(one)
        elif result is Result.RETURNED:
            self.counters.returned += 1
            self._undeliverable(one, "returned", outcome.reason)
        else:
            self.counters.rejected += 1
            self._undeliverable(one, "rejected", outcome.reason)

    def _replies_fail(self, error: str) -> None:
        if error:
            self.failed(error)
        else:
            self.works()

    def _undeliverable(self, one: Publication, reason: str, text: str) -> None:
        """The caller has gone, perhaps; its request was carried out."""
        self._held -= 1
        self.bury(
            Letter(
                reason,
                text,
                one.body,
                one.properties,
                one.target,
                done=lambda _: self._done(one),
                kept=True,
                once=True,
            )
        )

    def _done(self, one: Publication) -> None:
        receiver: Receiver
        receiver, request = one.context
        if receiver is self._receiver:
            self._unpacker.returns.accepted([request.delivery])
            receiver.accept([request.delivery])
            self.changed()

    # Stopping

    async def settle(self) -> None:
        """Take no more requests, and wait until those in hand are answered."""
        if self._consuming is not None:
            self._consuming.cancel()
        await self.until(lambda: not self._held)


def _request_of(answer: Publication) -> Request:
    request: Request
    _, request = answer.context
    return request


def _reply_to(delivery: Delivery) -> str:
    reply_to = delivery.properties.reply_to
    return reply_to if isinstance(reply_to, str) else ""


def _target(protocol: str, delivery: Delivery) -> Target:
    reply_to = _reply_to(delivery)
    return Target(address=reply_to) if protocol == "1.0" else Target("", reply_to)


def _with(properties: Properties, correlation: Any) -> Properties:
    return replace(properties, correlation_id=correlation, reply_to=None)
