"""Answers on their way to callers, until it is known what became of each.

An answer is not lost with its channel: it goes by the next one, while its request stays the
broker's. One for which the broker ends the channel is found, as in :mod:`._suspects`, and ends
nothing but itself; one for which it ends the whole connection, as in :mod:`._recurring`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf

import trio

from ....amqp import (
    AmqpError,
    ChannelLost,
    ConnectionLost,
    NotSupported,
    Outcome,
    Publication,
    Result,
)
from .._client import Client, Sender
from .._tasks import Backoff
from ._recurring import Recurring, Request
from ._suspects import STRIKES, Suspects

LINKS = 64
"""Links to reply addresses that are kept open (1.0, where the peer has no anonymous relay)."""

FULL = "amqp:resource-limit-exceeded"
"""The condition where the peer allows no more links, or sessions, which they have of their own."""

NO_CREDIT = 5.0
"""Seconds that a reply address may give no credit: others wait behind it."""

OVERDUE = 5.0
"""Seconds that others wait for the outcome of an answer, where they have to."""

CLOSING = 1.0
"""Seconds to wait for outcomes that are on their way, before a channel is closed."""


class Replies:
    """Publishes answers: to the default exchange, by the anonymous relay, or by a link each.

    Args:
        on_outcome: told each answer, and what became of it: confirmed, returned or rejected. It
            may not wait nor raise.
        on_failing: told why answers do not go, and, with an empty text, that they do again.
        backoff: between channels.
        alone: held while one answer is published alone, to learn whether it is to blame.
        request_of: which request an answer is for.

    Attributes:
        recurring: which requests' answers have ended a connection, or may have.
    """

    def __init__(
        self,
        on_outcome: Callable[[Publication, Outcome], None],
        on_failing: Callable[[str], None],
        backoff: Backoff,
        alone: trio.Lock,
        request_of: Callable[[Publication], Request],
    ) -> None:
        self.recurring = Recurring()
        self._request_of = request_of
        self._on_outcome = on_outcome
        self._on_failing = on_failing
        self._backoff = backoff
        self._alone = alone
        self._suspects = Suspects[Publication](own_key=False)
        self._waiting: dict[Publication, None] = {}
        self._sent: dict[Publication, float] = {}  # and when others wait for it no longer
        self._unknown: dict[Publication, None] = {}  # what became of them, and not sent again
        self._tries: dict[Publication, int] = {}  # by links of their own that ended
        self._company = False  # of the one that is alone: others that are overdue
        self._pausing = False
        self._failing = False
        self._settled = 0
        self._client: Client | None = None
        self._by_address = False
        self._links: dict[str, Sender] = {}  # who was used last is last
        self._news = trio.lowlevel.ParkingLot()
        self._outcomes = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        """How many answers have no outcome yet."""
        return len(self._waiting) + len(self._sent)

    def put(self, one: Publication) -> None:
        """Take an answer."""
        self._waiting[one] = None
        self._news.unpark_all()

    def forget(self) -> None:
        """Their requests are carried out again."""
        self._waiting.clear()
        self._sent.clear()
        self._tries.clear()
        if self._client is None or self._client.lost is None:  # else it is to be judged
            self._unknown.clear()
        self._outcomes.unpark_all()

    async def carry(self, client: Client, ready: Callable[[], None]) -> None:
        """Publish answers while this connection stands.

        Args:
            client: the connection.
            ready: called when answers can go.

        Raises:
            ConnectionLost: it does not stand any more.
            ChannelLost: at the beginning, the broker refuses what this needs.
        """
        self._client = client
        self._unknown.clear()
        self._suspects.begin()
        try:
            await self._carry(client, ready)
        finally:
            if client.lost is not None:
                self._judge_end(client.lost)

    def _judge_end(self, error: ConnectionLost) -> None:
        """The connection has ended, perhaps for what is in one answer."""
        alone = self._suspects.alone
        self.recurring.ended(
            error,
            self._request_of(alone) if alone is not None and alone in self._unknown else None,
            map(self._request_of, self._unknown),
        )

    async def _carry(self, client: Client, ready: Callable[[], None]) -> None:
        try:
            sender = await client.open_sender(self._on_settled)
        except (NotSupported, ChannelLost):
            if client.protocol == "0-9-1":
                raise
            self._by_address = True
            ready()
            await self._carry_by_address(client)
            return
        self._by_address = False
        ready()
        while True:
            await self._carry_by(sender)
            await trio.sleep(self._backoff.next())
            sender = await client.open_sender(self._on_settled)

    # By one channel, or the anonymous relay

    async def _carry_by(self, sender: Sender) -> None:
        """Publish by one channel, until it ends."""
        self._suspects.begin()
        try:
            await self._publish(sender)
        except ChannelLost as error:
            self._judge(error)
        finally:
            with trio.move_on_after(CLOSING, shield=True):
                await sender.wait_settled()
            await sender.aclose()

    async def _publish(self, sender: Sender) -> None:
        while True:
            await self._wait()
            suspects = self._suspects_waiting()
            if len(suspects) < len(self._waiting):
                await self._send(sender, [one for one in self._waiting if one not in suspects])
            if suspects:
                one = next(iter(suspects))
                await self._all_settled()
                await self._send_alone(sender, one)
                self._suspects.one_by_one = self._suspects.one_by_one and bool(self._waiting)

    def _suspects_waiting(self) -> Mapping[Publication, None]:
        """Those that are to go one at a time."""
        if self._suspects.one_by_one:
            return self._waiting
        if not self.recurring.suspected:
            return {}
        suspects = self.recurring.suspects
        return {one: None for one in self._waiting if suspects(self._request_of(one))}

    async def _wait(self) -> None:
        while not self._waiting:
            await self._news.park()
        if self._pausing:
            self._pausing = False
            await trio.sleep(self._backoff.next())

    async def _send(self, sender: Sender, batch: Sequence[Publication]) -> None:
        for one in batch:
            self._waiting.pop(one, None)
            self._sent[one] = inf
        before = sender.taken
        try:
            await sender.send(batch)
        finally:
            taken = sender.taken - before
            overdue = trio.current_time() + OVERDUE
            for one in batch[:taken]:
                if one in self._sent:
                    self._sent[one] = overdue
                    self._unknown.pop(one, None)
            self._put_back(batch[taken:])

    async def _send_alone(self, sender: Sender, one: Publication) -> None:
        async with self._alone:
            if one not in self._waiting:
                return  # it was forgotten meanwhile
            before = sender.taken
            self._company = sender.unsettled > 0
            try:
                await self._send(sender, [one])
            finally:
                self._suspects.alone = one if sender.taken > before else None
            await self._all_settled()
            await sender.send([])  # that raises if the channel has ended
            self._suspects.alone = None

    async def _all_settled(self) -> None:
        """Wait for outcomes that are on their way, but not for those that are overdue."""
        now = trio.current_time()
        for one, overdue in [it for it in self._sent.items() if it[1] > now]:
            with trio.move_on_at(overdue):
                while one in self._sent:
                    await self._outcomes.park()

    def _judge(self, error: ChannelLost) -> None:
        """The channel has ended, perhaps for what is in one answer."""
        if self._company:
            self._suspects.alone = None  # once is enough here: it is to be certain
        guilty = self._suspects.ended(error, self._settled)
        if guilty is not None:
            self._tell(guilty, Outcome(Result.REJECTED, str(error)))
            self._backoff.reset()
        elif not self._suspects.searching:
            self._failing = True
            self._on_failing(str(error))

    # By a link for each address

    async def _carry_by_address(self, client: Client) -> None:
        try:
            while True:
                await self._wait()
                suspects = self._suspects_waiting()
                for one in list(self._waiting):
                    if one not in self._waiting:
                        continue  # it was forgotten meanwhile
                    if one in suspects:
                        await self._send_alone_to_address(client, one)
                    else:
                        await self._send_to_address(client, one)
        finally:
            links, self._links = self._links, {}
            with trio.move_on_after(CLOSING, shield=True):
                for sender in links.values():
                    with contextlib.suppress(AmqpError):
                        await sender.aclose()

    async def _send_alone_to_address(self, client: Client, one: Publication) -> None:
        await self._all_settled()
        async with self._alone:
            self._suspects.alone = one
            await self._send_to_address(client, one)
            await self._all_settled()
            if client.lost is None:  # else it may be to blame for that
                self._suspects.alone = None

    async def _send_to_address(self, client: Client, one: Publication) -> None:
        address = one.target.address
        try:
            sender = await self._link_to(client, address)
            with trio.move_on_after(NO_CREDIT) as scope:
                await self._send(sender, [one])
        except (ChannelLost, NotSupported) as error:
            if error.temporary:
                self._pausing = True  # it waits still, or again
            else:
                self._tell(one, Outcome(Result.RETURNED, str(error)))
            return
        if scope.cancelled_caught and one in self._waiting:
            text = f"{address!r} gives no credit"
            self._tell(one, Outcome(Result.RETURNED, text))

    async def _link_to(self, client: Client, address: str) -> Sender:
        sender = self._links.pop(address, None)
        if sender is not None:
            try:
                await sender.send([])  # that raises if the link has ended
            except ChannelLost:
                sender = None
        while len(self._links) >= LINKS and await self._close_idle():
            pass
        while sender is None:
            try:
                sender = await client.open_sender(self._on_settled, address=address)
            except ChannelLost as error:
                if error.condition != FULL or not await self._close_idle():
                    raise
        self._links[address] = sender
        return sender

    async def _close_idle(self) -> bool:
        """Close the idle link that was used longest ago; False: there is none."""
        for address, sender in self._links.items():
            if not sender.unsettled:
                del self._links[address]
                with contextlib.suppress(ChannelLost):  # it has ended already
                    await sender.aclose()
                return True
        return False

    # Outcomes, from the client's reader

    def _on_settled(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        result = outcome.result
        if result not in {Result.UNKNOWN, Result.FAILED}:
            for one in publications:
                self._tell(one, outcome)
            return
        if result is Result.FAILED:
            self._pausing = True
        else:
            self._unknown.update((one, None) for one in publications if one in self._sent)
            if self._by_address:
                self._count(publications, outcome.reason)
        # Whoever sends them by what has ended is told so.
        self._again(publications)

    def _count(self, publications: Sequence[Publication], reason: str) -> None:
        """The link to one address has ended, and these have no outcome."""
        for one in publications:
            tries = self._tries[one] = self._tries.get(one, 0) + 1
            if tries >= STRIKES:
                self._tell(one, Outcome(Result.REJECTED, reason))

    def _again(self, publications: Sequence[Publication]) -> None:
        # Who is overdue goes last: beside it, nobody is alone.
        now = trio.current_time()
        self._put_back(sorted(publications, key=lambda one: self._sent.get(one, inf) <= now))
        self._news.unpark_all()
        self._outcomes.unpark_all()

    def _put_back(self, publications: Iterable[Publication]) -> None:
        """They wait again, unless they were forgotten or have their outcomes."""
        for one in publications:
            if self._sent.pop(one, None) is not None:
                self._waiting[one] = None

    def _tell(self, one: Publication, outcome: Outcome) -> None:
        if self._sent.pop(one, None) is not None:
            self._outcomes.unpark_all()
        elif self._waiting.pop(one, one) is not None:
            return  # it was forgotten
        self._tries.pop(one, None)
        self._unknown.pop(one, None)
        self._settled += 1
        self._suspects.cleared([one])
        self.recurring.cleared(self._request_of(one))
        self._on_outcome(one, outcome)
        if self._failing:
            self._failing = False
            self._on_failing("")
