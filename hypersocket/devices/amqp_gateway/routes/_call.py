"""Call: requests from a ROUTER's clients to an AMQP service, and its replies back to them.

A request is published once at most. What becomes of it otherwise is told by an error reply of
three frames: ``hs-error``, a code, and words.

| code | what has happened |
| --- | --- |
| ``timeout`` | there was no reply in time |
| ``returned`` | the broker could not route it: there is no such service |
| ``rejected`` | the broker refuses it, or it cannot be published |
| ``unavailable`` | the connection was lost, or the broker cannot take it now |
| ``oversize`` | it was carried out; its reply is larger than the policy allows |

After ``timeout`` and ``unavailable`` the request may have been carried out, or not.

When the connection is lost, so are replies to a queue that lasts as long as the connection (direct
reply-to, dynamic nodes): then ``unavailable`` is told at once. With a ``reply_queue`` a reply can
still come by the next connection, and is waited for until the timeout; where there is none, nothing
would ever end the wait for one that was lost, so that ``unavailable`` is told at once, too. What no
connection has taken yet is published by the next one.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace

import trio

from ...._errors import HostUnreachable
from ....amqp import AmqpError, ChannelLost, Outcome, Publication, Result, Subscription
from .._client import Client, Delivery, PromptReceiver, PromptSender, Receiver, Sender
from .._errors import GatewayError
from .._spec import RouteSpec
from .._tasks import together
from ..messages import _multipart
from ..messages._metadata import PropertyMap
from ..messages._packing import Packer, Unfit
from ..messages._unpacking import damaged
from ._intake import Intake
from ._letters import Letter
from ._requests import CODES, ERROR, Request, divided
from ._route import Route, Shared

logger = logging.getLogger("hypersocket")

DIRECT = "amq.rabbitmq.reply-to"
BATCH = 64
"""Requests that are published together, if they are there at once."""

LONGER = 2
"""As much longer as a peer is the broker looked for, which has a service to ask in its turn."""


class Call(Route):
    """From REQ and DEALER clients to an AMQP service."""

    kind = "call"

    def __init__(self, spec: RouteSpec, shared: Shared) -> None:
        super().__init__(spec, shared)
        self._check()
        self._packer = Packer(spec, shared.name, shared.protocol, self.guard)
        self.check_target(self._packer)
        self._map = PropertyMap(spec, shared.name, shared.protocol)
        # Whether requests wait for their replies beyond the connection.
        self._outlasts = bool(spec.reply_queue) and spec.timeout is not None
        self._requests: dict[str, Request] = {}  # in the order of their deadlines
        self._unsent: list[Request] = []
        self._run = secrets.token_hex(4)  # by which late replies are known
        self._intake = Intake(self.socket, self._forward, self._stop_taking)
        self._taking: trio.CancelScope | None = None
        self._now: PromptSender | None = None  # by whom requests can go where they are read
        self._draining = False
        self._rest = 0  # what the socket had received when the stop began
        self._reply_to = ""

    def _check(self) -> None:
        spec = self.spec
        if self.shared.protocol == "1.0":
            if spec.exchange or spec.queue or not spec.address:
                raise GatewayError(
                    f"route {spec.name}: a call over AMQP 1.0 needs the address of its service, "
                    "and neither exchange nor queue"
                )
        elif spec.address or not (spec.exchange or spec.queue or spec.routing_key):
            raise GatewayError(
                f"route {spec.name}: a call over AMQP 0-9-1 needs the queue of its service, or an "
                "exchange and a routing key, and no address"
            )

    # Counting

    @property
    def pending(self) -> int:
        """Requests without a reply."""
        return len(self._requests) + self.dead_letters.waiting

    @property
    def unsettled(self) -> int:
        """Requests without a reply."""
        return self.pending

    @property
    def unread(self) -> int:
        """Requests that the socket has received, and that were not taken."""
        queued: int = self.socket.stats().queued_in
        return queued

    # Always

    async def attend(self) -> None:
        """End requests whose time is over."""
        await together(super().attend, self._expire)

    async def _expire(self) -> None:
        timeout = self.spec.timeout
        if timeout is None:
            await trio.sleep_forever()
        while True:
            first = next(iter(self._requests.values()), None)
            # A request that comes from now on has no earlier deadline than this.
            now = trio.current_time()
            await trio.sleep_until(now + timeout if first is None else first.deadline)
            now = trio.current_time()
            for one in [one for one in self._requests.values() if one.deadline <= now]:
                self.counters.expired += 1
                if one.unknown or not one.taken:
                    self._fail(one, "unavailable", "there was no connection to the broker")
                else:
                    self._fail(one, "timeout", f"there was no reply in {timeout:g} s")

    # While a connection stands

    async def carry(self, client: Client) -> None:
        """Carry requests and replies over one connection."""
        sender = await client.open_sender(
            self._on_settled,
            address=self._packer.target.address or None,
            confirm=True,
            mandatory=self.spec.mandatory,
        )
        receiver: Receiver | None = None
        try:
            receiver = await self._open_receiver(client, sender)
            self.works()
            self._reply_to, where = receiver.address, receiver
            self._now = sender if isinstance(sender, PromptSender) else None
            await together(lambda: self._send(sender), lambda: self._receive(where))
        finally:
            if not self._outlasts:
                self._lose()
            with trio.move_on_after(1, shield=True):
                await _close(receiver, sender)

    async def _open_receiver(self, client: Client, sender: Sender) -> Receiver:
        name, credit = self.spec.reply_queue, self.prefetch
        if client.protocol == "1.0":
            subscription = Subscription(address=name, dynamic=not name, credit=credit)
            try:
                return await client.open_receiver(subscription)
            except ChannelLost as error:
                if name or error.temporary:
                    raise
                hint = f"{error}: name a queue for replies as reply_queue"
                raise ChannelLost(hint, condition=error.condition) from error
        if name:
            return await client.open_receiver(
                # Of two that read from it, each would get replies to the other.
                Subscription(queue=name, credit=credit, exclusive=True)
            )
        return await client.open_receiver(
            Subscription(queue=DIRECT, credit=credit, settled=True), sender=sender
        )

    def _lose(self) -> None:
        for one in [one for one in self._requests.values() if one.taken]:
            self._fail(
                one,
                "unavailable",
                "the connection to the broker was lost: the request may have been carried out",
            )

    # Requests

    async def _send(self, sender: Sender) -> None:
        while True:
            if not self._unsent:
                await self._take()
            batch = [one for one in self._unsent if one.token in self._requests]
            self._unsent = batch
            for one in batch:
                said = one.publication.properties
                if said.reply_to != self._reply_to:  # it was made for another connection
                    one.publication.properties = replace(said, reply_to=self._reply_to)
            await self._publish(sender, batch)

    async def _publish(self, sender: Sender, batch: list[Request]) -> None:
        before = sender.taken
        bad: str | None = None
        # Taken counts from here on: a reply may be read before this returns.
        for one in batch:
            one.taken = True
        try:
            await sender.send([one.publication for one in batch])
        except (ValueError, TypeError, OverflowError) as error:
            bad = str(error)
        finally:
            taken = sender.taken - before
            for one in batch[taken:]:
                one.taken = False
            self._unsent = batch[taken:]
            self._published(batch[:taken])
        if bad is not None:
            self.counters.rejected += 1
            self._fail(self._unsent.pop(0), "rejected", bad)

    @property
    def _room(self) -> int:
        return self.prefetch - len(self._requests) - self.dead_letters.waiting

    async def _take(self) -> None:
        """Wait for requests, and take what is there, so far as there is room."""
        room = self._room
        if room <= 0:
            await self.until(lambda: self._room > 0)
            return
        if self._draining:
            self._take_rest(min(room, self._rest))
            self._rest = max(0, min(self._rest - room, self.unread))
            if not self._unsent:
                self.changed()
                if not self._rest:
                    await trio.sleep_forever()
            return
        with trio.CancelScope() as self._taking:
            room = await self.bucket.wait(min(room, BATCH))
            await self._intake.take(room)

    def _stop_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()

    def _forward(self, messages: list[list[bytes]]) -> int:
        """Publish requests where they were read; says how many more may be taken at once."""
        for frames in messages:
            self._took(frames)
        # One that could not be sent the last time may have been answered since.
        batch = [one for one in self._unsent if one.token in self._requests]
        if batch and not self._publish_now(batch):
            return 0
        if self.spec.policy.rate is not None:
            return 0  # to be waited for
        return min(self._room, BATCH)

    def _publish_now(self, batch: list[Request]) -> bool:
        if self._now is None:
            return False
        # Taken counts from here on: a refusal is told before this returns.
        for one in batch:
            one.taken = True
        try:
            taken = self._now.send_nowait([one.publication for one in batch])
        except (ValueError, TypeError, OverflowError):
            taken = False  # which is found again, and told, by who publishes them with patience
        if taken:
            self._unsent = []
            self._published(batch)
        else:
            for one in batch:
                one.taken = False
        return taken

    def _published(self, batch: list[Request]) -> None:
        self.counters.forwarded += len(batch)
        self.counters.bytes_out += sum([len(one.publication.body) for one in batch])

    def _take_rest(self, most: int) -> None:
        try:
            for _ in range(most):
                self._took(self.socket.recv_multipart_nowait())
        except (trio.WouldBlock, trio.ClosedResourceError):
            pass

    def _took(self, frames: list[bytes]) -> None:
        envelope, frames = divided(frames)
        timeout = self.spec.timeout
        deadline = float("inf") if timeout is None else trio.current_time() + timeout
        # Nobody can guess the identifiers of requests that were not sent to him.
        one = Request(self._run + secrets.token_hex(16), envelope, deadline)
        self.counters.received += 1
        self.bucket.spend(1)
        try:
            if not frames:
                raise Unfit("malformed", "the request has no frames", _nothing(self._packer))
            publication = self._packer.pack(frames if len(frames) > 1 else frames[0])
        except Unfit as error:
            self._unfit(one, error)
            return
        self.counters.bytes_in += len(publication.body)
        said = publication.properties
        # What no caller waits for any more need not be carried out.
        ttl = timeout if said.ttl is None or (timeout or said.ttl) < said.ttl else said.ttl
        publication.properties = replace(
            said, correlation_id=one.token, reply_to=self._reply_to, ttl=ttl
        )
        publication.context = one
        one.publication = publication
        self._requests[one.token] = one
        self._unsent.append(one)

    def _unfit(self, one: Request, error: Unfit) -> None:
        publication = error.publication
        self.counters.bytes_in += len(publication.body)
        if error.reason == "looped":
            self.counters.looped += 1
        self.bury(
            Letter(
                error.reason,
                str(error),
                publication.body,
                publication.properties,
                publication.target,
            )
        )
        self._answer(one, [ERROR, b"rejected", str(error).encode("utf-8", "replace")])

    # Replies

    async def _receive(self, receiver: Receiver) -> None:
        settled = not self.spec.reply_queue and self.shared.protocol == "0-9-1"

        def take(deliveries: list[Delivery]) -> None:
            sink = self.socket._sink
            sink.fed = True
            try:
                for one in deliveries:
                    self._replied(one)
            finally:
                sink.fed = False
                sink.write()  # clients wait for nothing else
            if not settled:
                receiver.accept(deliveries)

        if isinstance(receiver, PromptReceiver):
            receiver.give_to(take, busy_poll=LONGER * self.socket.busy_poll)
        while True:
            take(await receiver.receive())

    def _replied(self, delivery: Delivery) -> None:
        token = delivery.properties.correlation_id
        if isinstance(token, bytes):
            token = token.decode("latin-1")
        one = self._requests.pop(token, None) if isinstance(token, str) else None
        if one is None:
            self._drop_stray(token)
            return
        objection = self.guard.size(len(delivery.body))
        if objection:
            self.counters.drop("oversize")
            self._answer(one, [ERROR, b"oversize", f"the answer: {objection}".encode()])
            self.changed()
            return
        lengths = delivery.properties.headers.get(_multipart.HEADER)
        frames, wrong = _multipart.split_or_whole(delivery.body, lengths)
        if wrong:
            damaged(self.counters, self.label, wrong)
        if self._map.frames:
            frames = [self._map.frame(delivery), *frames]
        self._answer(one, frames)
        self.changed()

    def _drop_stray(self, token: object) -> None:
        ours = isinstance(token, str) and token.startswith(self._run)
        reason = "late reply" if ours else "unknown reply"
        if self.counters.drop(reason):
            logger.warning("%s: dropping a reply: %s", self.label, reason)

    def _answer(self, one: Request, frames: list[bytes]) -> None:
        try:
            if not self.socket._send_now([[*one.envelope, *frames]]):
                self.counters.drop("client full")
        except HostUnreachable:
            self.counters.drop("client gone")
        except trio.ClosedResourceError:
            self.counters.drop("stopped")

    def _fail(self, one: Request, code: str, text: str) -> None:
        """End a request with an error reply."""
        if self._requests.pop(one.token, None) is not None:
            self._answer(one, [ERROR, code.encode(), text.encode("utf-8", "replace")])
            self.changed()

    def _on_settled(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        result, counters = outcome.result, self.counters
        if result is Result.CONFIRMED:
            counters.confirmed += len(publications)
            return
        if result is Result.RETURNED:
            counters.returned += len(publications)
        elif result is Result.REJECTED:
            counters.rejected += len(publications)
        for publication in publications:
            one: Request = publication.context
            if result is Result.UNKNOWN:
                one.unknown = True
                if self._outlasts:
                    continue  # the reply may come by the next connection
            self._fail(one, CODES[result], outcome.reason or result.value)

    # Stopping

    async def settle(self) -> None:
        """Take no more than was received, and wait until all is answered."""
        # Clients stay connected: they wait for their replies.
        self._rest = self.unread
        self._draining = True
        self._stop_taking()
        self.changed()
        await self.until(lambda: not (self._requests or self._rest))
        await self.socket.flush()


def _nothing(packer: Packer) -> Publication:
    return Publication(packer.target, b"")


async def _close(receiver: Receiver | None, sender: Sender) -> None:
    try:
        if receiver is not None:
            await receiver.aclose()
        await sender.aclose()
    except AmqpError:
        pass  # it has ended already
