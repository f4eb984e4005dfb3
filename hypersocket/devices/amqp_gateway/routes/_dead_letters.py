"""Where failed messages go, with the reason."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import trio

from ....amqp import (
    AmqpError,
    ChannelLost,
    Exchange,
    NotSupported,
    Outcome,
    Properties,
    Publication,
    Queue,
    Result,
    Target,
)
from ....sockets import Socket
from .._client import Client, Sender
from .._counters import Counters
from .._policy import COPIES
from .._spec import DeadLetters, RouteSpec
from .._tasks import Backoff
from ..messages import _multipart
from ..messages._values import Tagger
from ._letters import GATEWAY, ROUTE, Letter
from ._suspects import Suspects

logger = logging.getLogger("hypersocket")

LAST_LETTERS = 0.5
"""Seconds to wait for letters that are on their way, before their channel or originals are given
up: they would be published again."""


class Burial:
    """The dead letters of one route.

    A letter is in its care until the target has taken it over. What the target refuses is tried
    again, with pauses, if the broker still has the original; else it is counted and logged.

    Args:
        spec: the route.
        gateway: the gateway's name.
        label: for logs.
        counters: the route's.
        socket: where they go, if that is a socket.
        backoff: between attempts.
        repeats: before letters that have been such before, and came back to the route.
        on_change: called when there are fewer letters.
        alone: held while one letter is published alone, to learn whether it is to blame.

    Attributes:
        socket: likewise.
        error: why letters do not go; empty if they do, or there are none.
    """

    def __init__(
        self,
        spec: RouteSpec,
        gateway: str,
        label: str,
        counters: Counters,
        *,
        socket: Socket | None,
        backoff: Backoff,
        repeats: Backoff,
        on_change: Callable[[], None],
        alone: trio.Lock | None = None,
    ) -> None:
        self.socket: Any = socket
        self.error = ""
        self._spec = spec
        self._to: DeadLetters | None = spec.dead_letters
        self._gateway = gateway
        self._label = label
        self._counters = counters
        self._backoff = backoff
        self._repeats = repeats
        self._on_change = on_change
        self._alone = alone or trio.Lock()
        own_key = bool(self._to and self._to.exchange and not self._to.routing_key)
        self._suspects = Suspects[Letter](own_key=own_key)
        self._posted: deque[Letter] = deque()
        self._sent: dict[Publication, Letter] = {}
        self._refused = False  # by the target, so that it is not to be asked again at once
        self._news = trio.lowlevel.ParkingLot()

    @property
    def publishes(self) -> bool:
        """Whether they go to the broker."""
        return self._to is not None and self._to.socket is None

    @property
    def waiting(self) -> int:
        """Letters that are on their way."""
        return len(self._posted) + len(self._sent)

    @property
    def kept(self) -> int:
        """Of these, letters whose original the broker has."""
        return sum(one.kept for one in (*self._posted, *self._sent.values()))

    def forget_kept(self) -> int:
        """The broker gives all originals that it has out again; returns how many those are."""
        count = self.kept
        self._posted = deque(one for one in self._posted if not one.kept)
        for publication, letter in list(self._sent.items()):
            if letter.kept:
                del self._sent[publication]
        return count

    def post(self, letter: Letter) -> None:
        """Take a letter; its ``done`` is told later, or at once where there is no target."""
        if self._to is None:
            self._drop(letter, letter.reason, letter.text)
            return
        self._posted.append(letter)
        self._news.unpark_all()

    def _drop(self, letter: Letter, reason: str, text: str) -> None:
        first = self._counters.drop(reason)
        # Told once for each reason: a peer must not be able to fill the log.
        logger.log(
            logging.WARNING if first else logging.DEBUG,
            "%s: dropping a message: %s: %s (more are counted in stats())",
            self._label,
            reason,
            text,
        )
        if letter.done is not None:
            letter.done(False)

    def _buried(self, letter: Letter) -> None:
        self._counters.dead_lettered += 1
        self._suspects.cleared([letter])
        self._backoff.reset()
        self._works()
        if letter.done is not None:
            letter.done(True)

    def _works(self) -> None:
        if self.error:
            logger.warning("%s: dead letters go again", self._label)
        self.error = ""

    def _fails(self, error: str) -> None:
        if error != self.error:
            self.error = error
            logger.warning("%s: dead letters do not go: %s", self._label, error)

    async def _wait_posted(self) -> None:
        while not self._posted:
            await self._news.park()

    # To the broker

    async def carry(self, client: Client) -> None:
        """Publish letters while this connection stands; for ever, where they go elsewhere.

        Raises:
            ConnectionLost: it does not any more.
        """
        if not self.publishes:
            await trio.sleep_forever()
        try:
            await self._carry(client)
        finally:
            if client.lost is not None and self.waiting:
                self._judge(client.lost)

    async def _carry(self, client: Client) -> None:
        self._take_back()
        while True:
            await self._wait_posted()
            self._suspects.begin()
            try:
                sender = await self._open(client)
                try:
                    await self._publish(sender)
                finally:
                    # Where the connection goes on, what is confirmed now need not come twice.
                    with trio.move_on_after(LAST_LETTERS, shield=True):
                        await sender.wait_settled()
                    await sender.aclose()  # the connection may go on, and has so many channels
            except (ChannelLost, NotSupported) as error:
                self._judge(error)
                if not self._suspects.searching:
                    self._fails(str(error))
            self._take_back()
            await trio.sleep(self._backoff.next())

    def _judge(self, error: AmqpError) -> None:
        """The channel or connection has ended, perhaps for what is in one letter."""
        letter = self._suspects.ended(error, self._counters.dead_lettered)
        if letter is None:
            return
        self._sent = {one: other for one, other in self._sent.items() if other is not letter}
        if letter in self._posted:
            self._posted.remove(letter)
        self._refuse(letter, str(error))
        self._backoff.reset()
        self._on_change()

    def _take_back(self) -> None:
        """What was sent over what has ended, and not told of, is to be sent again."""
        self._posted.extendleft(reversed(self._sent.values()))
        self._sent.clear()

    async def look_for_target(self, client: Client) -> None:
        """At the start, learn whether the target is there.

        Raises:
            ChannelLost: it is not.
        """
        to = self._to
        if to is None or not self.publishes or client.protocol != "0-9-1":
            return
        if to.exchange:
            await client.declare([Exchange(name=to.exchange, passive=True)])
        elif to.routing_key:
            await client.declare([Queue(name=to.routing_key, passive=True)])

    async def _open(self, client: Client) -> Sender:
        assert self._to is not None
        return await client.open_sender(
            self._on_settled, address=self._to.address or None, confirm=True, mandatory=True
        )

    async def _publish(self, sender: Sender) -> None:
        while True:
            await self._wait_posted()
            if self._refused:
                self._refused = False
                await trio.sleep(self._backoff.next())
            if any(self._came_back(one) for one in self._posted):
                await trio.sleep(self._repeats.next())  # they go round
            else:
                self._repeats.reset()
            if self._suspects.one_by_one:
                await self._send_alone(sender)
            else:
                letters = list(self._posted)
                self._posted.clear()
                await self._send(sender, letters)

    async def _send_alone(self, sender: Sender) -> None:
        async with self._alone:
            if not self._posted:
                return  # it was forgotten meanwhile
            letter = self._posted.popleft()
            before = sender.taken
            try:
                await self._send(sender, [letter])
            finally:
                self._suspects.alone = letter if sender.taken > before else None
            await sender.wait_settled()
            await sender.send([])  # that raises if the channel has ended
            self._suspects.alone = None
            self._suspects.one_by_one = bool(self._posted)

    async def _send(self, sender: Sender, letters: list[Letter]) -> None:
        batch = [self._publication(letter) for letter in letters]
        self._sent.update(zip(batch, letters, strict=True))
        before = sender.taken
        try:
            await sender.send(batch)
        except (ValueError, TypeError, OverflowError) as error:
            at = sender.taken - before
            # Some may have been forgotten meanwhile.
            letter = self._sent.pop(batch[at], None)
            left = [self._sent.pop(one, None) for one in batch[at + 1 :]]
            self._posted.extendleft(one for one in reversed(left) if one is not None)
            if letter is not None:
                self._refuse(letter, str(error))

    def _came_back(self, letter: Letter) -> bool:
        """Whether it was a dead letter of this route before."""
        said = letter.properties.headers
        return said.get(GATEWAY) == self._gateway and said.get(ROUTE) == self._spec.name

    def _publication(self, letter: Letter) -> Publication:
        assert self._to is not None
        said = letter.headers(self._gateway, self._spec.name)
        headers = {**letter.properties.headers, **said}
        for name in COPIES:  # they were for the message, and would have RabbitMQ route this one
            headers.pop(name, None)
        properties = replace(letter.properties, headers=headers)
        target = Target(self._to.exchange or "", self._to.routing_key, self._to.address or "")
        if self._to.exchange and not self._to.routing_key:
            target = replace(target, routing_key=letter.target.routing_key)
        return Publication(target, letter.body, properties)

    def _on_settled(self, publications: Sequence[Publication], outcome: Outcome) -> None:
        for one in publications:
            letter = self._sent.pop(one, None)
            if letter is None:
                continue
            if outcome.result is Result.CONFIRMED:
                self._buried(letter)
            elif outcome.result in {Result.UNKNOWN, Result.FAILED}:
                self._again(letter, pause=outcome.result is Result.FAILED)
            else:
                self._refuse(letter, outcome.reason or outcome.result.value)
        self._on_change()

    def _again(self, letter: Letter, *, pause: bool) -> None:
        self._refused = self._refused or pause
        self._posted.append(letter)
        self._news.unpark_all()

    def _refuse(self, letter: Letter, text: str) -> None:
        """The target does not take it."""
        if letter.kept and not letter.once:
            self._fails(text)
            self._again(letter, pause=True)
        else:
            self._drop(letter, f"{letter.reason}, and refused as a dead letter", text)

    # To a socket

    async def attend(self) -> None:
        """Send letters to a socket; for ever, where they go elsewhere."""
        if self.socket is None:
            await trio.sleep_forever()
        while True:
            await self._wait_posted()
            await self.socket.wait_connected()
            # One at a time: they are few, and each is known to have gone, or not.
            letter = self._posted[0]
            await self.socket.send_multipart(self._frames(letter))
            if await self.socket.flush() and self.socket.socket_type == "PUSH":
                continue  # it went down with its connection
            if self._posted and self._posted[0] is letter:  # else it was forgotten meanwhile
                self._posted.popleft()
                self._buried(letter)
                self._on_change()

    def _frames(self, letter: Letter) -> list[bytes]:
        headers = letter.properties.headers
        frames, _ = _multipart.split_or_whole(letter.body, headers.get(_multipart.HEADER))
        table: dict[str, Any] = {
            name: value
            for name in Properties.__dataclass_fields__
            if (value := getattr(letter.properties, name)) not in (None, {})
        }
        said = letter.headers(self._gateway, self._spec.name)
        table["headers"] = {
            name: value for name, value in {**headers, **said}.items() if name != _multipart.HEADER
        }
        tagger = Tagger(json=True, careful=True)
        text = json.dumps({name: tagger.tag(value) for name, value in table.items()})
        return [text.encode(), *frames]
