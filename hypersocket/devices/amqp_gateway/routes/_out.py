"""Out: from a PULL or SUB socket to the broker.

A message is in the gateway's care from when it is taken until the broker has confirmed it. Those
are at most ``prefetch``; what is more waits in the socket, and then with its peers.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import trio

from ....amqp import (
    AmqpError,
    Exchange,
    Outcome,
    Publication,
    Queue,
    Result,
)
from .._client import Client, Sender
from .._errors import GatewayError
from .._spec import RouteSpec
from ..messages._packing import Packer, Unfit
from ._letters import Letter
from ._route import Route, Shared
from ._suspects import Suspects
from ._taking import BATCH, Message, leave, take, take_nowait

logger = logging.getLogger("hypersocket")


class Out(Route):
    """From ØMQ to the broker."""

    kind = "out"

    def __init__(self, spec: RouteSpec, shared: Shared) -> None:
        super().__init__(spec, shared)
        self._packer = Packer(spec, shared.name, shared.protocol, self.guard)
        self._check()
        self._window = self.prefetch
        # All that was taken and is not settled, in the order of its coming.
        self._pending: dict[Publication, None] = {}
        self._unsent: list[Publication] = []  # of these, what no sender has taken yet
        self._again: list[Publication] = []  # and what is to be sent once more
        self._tries: dict[Publication, int] = {}  # how often these were sent once more
        self._failing = shared.backoff()
        self._pausing = False
        self._suspects = Suspects[Publication](
            own_key=self._packer.own_key, bounded=spec.retries is not None
        )
        self._taking: trio.CancelScope | None = None
        self._draining = False

    def _check(self) -> None:
        spec = self.spec
        if self.shared.protocol == "1.0":
            if spec.exchange or spec.queue or not spec.address:
                raise GatewayError(
                    f"route {spec.name}: AMQP 1.0 has addresses: give it an address, and neither "
                    "exchange nor queue"
                )
        elif spec.address:
            raise GatewayError(
                f"route {spec.name}: AMQP 0-9-1 has no addresses: give it an exchange or a queue"
            )
        elif spec.exchange and spec.queue:
            raise GatewayError(
                f"route {spec.name}: it goes to an exchange or to a queue, not to both"
            )
        self.check_target(self._packer)

    # Counting

    @property
    def pending(self) -> int:
        """Messages that were taken and are not settled."""
        return len(self._pending) + self.dead_letters.waiting

    @property
    def unsettled(self) -> int:
        """Messages that were taken and never confirmed."""
        return self.pending

    @property
    def unread(self) -> int:
        """Messages that the socket has received, and that were not taken."""
        queued: int = self.socket.stats().queued_in
        return queued

    # Carrying

    async def carry(self, client: Client) -> None:
        """Carry messages over one connection."""
        await self._look_for_target(client)
        target = self._packer.target
        sender = await client.open_sender(
            self._on_settled,
            address=target.address or None,
            confirm=self.spec.mode == "on-confirm",
            mandatory=self.spec.mandatory,
        )
        unsent = set(self._unsent)
        self._again = [one for one in self._pending if one not in unsent]
        self._pausing = False
        self._suspects.begin()
        self.works()
        failure: AmqpError | None = None
        try:
            await self._flow(sender)
        except AmqpError as error:
            failure = error
            raise
        finally:
            failure = failure or client.lost  # of which somebody else may have learned before
            if failure is not None and self._pending:
                self._judge(failure)

    async def _look_for_target(self, client: Client) -> None:
        if client.protocol != "0-9-1":
            return  # a link to what is not there is refused
        target = self._packer.target
        if target.exchange:
            await client.declare([Exchange(name=target.exchange, passive=True)])
        elif target.routing_key and not self._packer.own_key:
            await client.declare([Queue(name=target.routing_key, passive=True)])

    async def _flow(self, sender: Sender) -> None:
        while True:
            if self._again:
                await self._send_again(sender)
            elif self._unsent:
                await self._send(sender)
            elif self._draining:
                await self._drain()
            else:
                await self._take()

    async def _take(self) -> None:
        """Take what is there, when there is room for it; or be woken, for something else."""
        with trio.CancelScope() as self._taking:
            room = self._room
            if room <= 0:
                # A batch for each confirmation would be a batch of one.
                least = max(1, self._window // 4)
                await self.until(lambda: self._room >= least)
                room = self._room
            most = await self.bucket.wait(min(room, BATCH))
            self._took(await take(self.socket, most))
        self._taking = None

    async def _drain(self) -> None:
        await self.until(lambda: self._room > 0 or bool(self._again))
        if self._again:
            return
        most = await self.bucket.wait(min(self._room, BATCH))
        taken = take_nowait(self.socket, most)
        if taken:
            self._took(taken)
            await trio.lowlevel.checkpoint()
        else:
            self.changed()
            await self.until(lambda: bool(self._again))

    @property
    def _room(self) -> int:
        return self._window - len(self._pending) - self.dead_letters.waiting

    def _took(self, messages: list[Message]) -> None:
        counters, pack, size = self.counters, self._packer.pack, 0
        made: list[Publication] = []
        for message in messages:
            try:
                publication = pack(message)
            except Unfit as error:
                publication = error.publication
                self._fail(publication, error.reason, str(error))
            except Exception as error:
                # A fault of ours, for what is in one message: it ends nothing but that message.
                logger.exception("%s: a message cannot be packed", self.label)
                frames = [message] if isinstance(message, bytes) else message
                publication = Publication(self._packer.target, b"".join(frames))
                self._fail(publication, "malformed", repr(error))
            else:
                made.append(publication)
            size += len(publication.body)
        counters.received += len(messages)
        counters.bytes_in += size
        self.bucket.spend(len(messages))
        self._pending.update(dict.fromkeys(made))
        self._unsent = made

    async def _send(self, sender: Sender) -> None:
        """Send what was not sent before."""
        batch, before = self._unsent, sender.taken
        try:
            await self._give(sender, batch)
        finally:
            taken = sender.taken - before
            self._unsent = batch[taken:] if taken < len(batch) else []
            self.counters.forwarded += taken
            self.counters.bytes_out += sum([len(one.body) for one in batch[:taken]])

    async def _give(self, sender: Sender, batch: list[Publication]) -> None:
        before = sender.taken
        try:
            await sender.send(batch)
        except (ValueError, TypeError, OverflowError) as error:
            # What is in it cannot be written; it ends nothing but itself.
            bad = batch.pop(sender.taken - before)
            self._pending.pop(bad, None)
            self._fail(bad, "malformed", str(error))

    async def _send_again(self, sender: Sender) -> None:
        """Send what had come to nothing, in order, before all that is new."""
        if self._pausing:
            self._pausing = False
            await trio.sleep(self._failing.next())
        again = set(self._again)
        batch = [one for one in self._pending if one in again]
        self._again = []
        if not self._suspects.one_by_one:
            await self._resend(sender, [one for one in batch if self._may_try(one)])
            return
        for one in batch:
            if self._may_try(one):
                await self._send_alone(sender, one)
        self._suspects.one_by_one = False

    async def _send_alone(self, sender: Sender, one: Publication) -> None:
        # On the whole connection, among those that are sent again.
        async with self.shared.alone:
            before = sender.taken
            try:
                await self._resend(sender, [one])
            finally:
                self._suspects.alone = one if sender.taken > before else None
            await sender.wait_settled()
            if one in self._again:  # nothing became of it: that raises if the channel has ended
                await sender.send([])
            self._suspects.alone = None

    def _may_try(self, one: Publication) -> bool:
        tries = self._tries.get(one, 0)
        if self.spec.retries is not None and tries >= self.spec.retries:
            del self._pending[one]
            text = f"it was tried {tries + 1} times, and never confirmed"
            if self._suspects.words:
                text += f"; the last end: {self._suspects.words}"
            self._fail(one, "unconfirmed", text)
            return False
        self._tries[one] = tries + 1
        return True

    async def _resend(self, sender: Sender, batch: list[Publication]) -> None:
        before = sender.taken
        try:
            await self._give(sender, batch)
        finally:
            taken = sender.taken - before
            self.counters.retried += taken
            for one in batch[taken:]:
                self._tries[one] -= 1  # it was not tried
            self._again += batch[taken:]

    def _judge(self, error: AmqpError) -> None:
        """The channel or connection has ended, perhaps for what is in one message."""
        one = self._suspects.ended(error, self.counters.confirmed)
        self.searching = self._suspects.searching
        if one is not None and self._pending.pop(one, one) is None:
            self.counters.rejected += 1
            self._fail(one, "rejected", str(error))

    # Outcomes, from the client's reader

    def _on_settled(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        result = outcome.result
        pending = self._pending
        if result is Result.CONFIRMED:
            for one in publications:
                pending.pop(one, None)
            self.counters.confirmed += len(publications)
            if self._tries:
                self._forget(publications)
        elif result in {Result.UNKNOWN, Result.FAILED}:
            self._again += [one for one in publications if one in pending]
            # Where the channel has ended, the next one begins without a pause.
            self._pausing = True
            if self._taking is not None:
                self._taking.cancel()
        else:
            returned = result is Result.RETURNED
            for one in publications:
                pending.pop(one, None)
                self._fail(one, "returned" if returned else "rejected", outcome.reason)
            if returned:
                self.counters.returned += len(publications)
            else:
                self.counters.rejected += len(publications)
        self.changed()

    def _forget(self, publications: Sequence[Publication]) -> None:
        self._failing.reset()
        self._suspects.cleared(publications)
        for one in publications:
            self._tries.pop(one, None)

    def _fail(self, one: Publication, reason: str, text: str) -> None:
        self._tries.pop(one, None)
        self._suspects.cleared([one])
        if reason == "looped":
            self.counters.looped += 1
        self.bury(Letter(reason, text, one.body, one.properties, one.target))

    # Stopping

    async def settle(self) -> None:
        """Take what the socket has received, and wait until it has been confirmed."""
        self.socket.linger = self.shared.linger  # a stop may take as long, and it bounds this too
        await leave(self.socket)
        self._draining = True
        if self._taking is not None:
            self._taking.cancel()
        self.changed()
        await self.until(lambda: not (self._pending or self.unread))
