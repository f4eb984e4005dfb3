"""Topics: subscriptions of ØMQ peers become bindings, and what these let through is published.

Which prefixes are wanted is learnt all the time, with a broker or without. What is bound follows,
one step after another: a peer that changes its mind in between costs the broker nothing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import trio

from ....amqp import ChannelLost
from .._client import Client, Delivery, Receiver
from .._errors import GatewayError
from .._spec import RouteSpec
from .._tasks import together
from ..messages._patterns import Separator
from ..messages._unpacking import Unfit, Unpacker
from ._bindings import Bindings, LinkBindings, QueueBindings
from ._letters import Letter
from ._route import Route, Shared

logger = logging.getLogger("hypersocket")

_OPTIONS = ("xpub_manual", "xpub_verbose", "xpub_verboser", "invert_matching")
"""With these, subscriptions are not told as the first and the last of each."""


class Topics(Route):
    """From a topic exchange, or an address for each topic, to the subscribers of an XPUB."""

    kind = "topics"
    publishes = False

    def __init__(self, spec: RouteSpec, shared: Shared) -> None:
        super().__init__(spec, shared)
        self.separator = check_topics(self)
        if any(getattr(self.socket, name) for name in _OPTIONS):
            raise GatewayError(f"route {spec.name}: XPUB: must not have {', '.join(_OPTIONS)}")
        self._unpacker = Unpacker(spec, shared.name, shared.protocol, self.guard, self.counters)
        # What is subscribed to, and by how many of these prefixes a binding is needed.
        self._prefixes: set[bytes] = set()
        self._wanted: Counter[str] = Counter()
        self._differs = True  # perhaps, from what is bound
        self._bindings: Bindings | None = None
        self._refused: dict[str, str] = {}
        self._held = 0
        self._receiving: set[trio.CancelScope] = set()

    # Counting

    @property
    def pending(self) -> int:
        """Deliveries that were received, and are not with the XPUB yet."""
        return self._held + self.dead_letters.waiting

    @property
    def credit(self) -> int:
        """How many more messages the broker may send."""
        if self._bindings is None or self.spec.mode == "no-ack":
            return 0
        return sum(max(0, self.prefetch - one.unsettled) for one in self._bindings.receivers())

    @property
    def bindings(self) -> int:
        """Bindings, or links, that subscriptions stand for."""
        return 0 if self._bindings is None else len(self._bindings.keys())

    # Subscriptions

    async def attend(self) -> None:
        """Learn what is subscribed to."""
        await together(super().attend, self._listen)

    async def _listen(self) -> None:
        while True:
            frames = await self.socket.recv_multipart()
            if len(frames) == 1 and frames[0][:1] in {b"\0", b"\1"}:
                self._subscription(frames[0][1:], wanted=frames[0][:1] == b"\1")
            elif self.counters.drop("sent by a subscriber"):
                logger.warning("%s: dropping a message that a subscriber sent", self.label)

    def _subscription(self, prefix: bytes, *, wanted: bool) -> None:
        if wanted is (prefix in self._prefixes):
            return
        pattern = self.separator.pattern(prefix)
        if wanted:
            self._prefixes.add(prefix)
        else:
            self._prefixes.discard(prefix)
        if pattern is None:  # longer than any routing key
            return
        self._wanted[pattern.key] += 1 if wanted else -1
        if not self._wanted[pattern.key]:
            del self._wanted[pattern.key]
            self._refused.pop(pattern.key, None)
        self._differs = True
        self.changed()

    # Carrying

    async def carry(self, client: Client) -> None:
        """Carry messages over one connection."""
        await self.until(lambda: not self.stopping)
        of = QueueBindings if client.protocol == "0-9-1" else LinkBindings
        bindings = of(self.spec, client, self.prefetch, self._consume)
        self._refused.clear()
        try:
            await bindings.open()
            self._bindings = bindings
            await self._follow_once(bindings)
            self.works()
            await together(bindings.run, lambda: self._follow(bindings))
        finally:
            self._bindings = None
            await bindings.aclose()

    async def _follow(self, bindings: Bindings) -> None:
        while True:
            if not await self._follow_once(bindings):
                await self.until(lambda: self._differs)

    def _differences(self, bindings: Bindings) -> list[tuple[str, bool]]:
        """What is to be bound, and then what is to be unbound."""
        there = bindings.keys()
        missing = [key for key in self._wanted if key not in there and key not in self._refused]
        spare = there - self._wanted.keys()
        return [*((key, True) for key in missing), *((key, False) for key in spare)]

    async def _follow_once(self, bindings: Bindings) -> bool:
        """Bind or unbind what differs; whether anything did."""
        self._differs = False
        differences = self._differences(bindings)
        for key, wanted in differences:
            if wanted is (key in self._wanted):  # it may have changed meanwhile
                await self._bind(bindings, key, wanted=wanted)
        return bool(differences)

    async def _bind(self, bindings: Bindings, key: str, *, wanted: bool) -> None:
        if not wanted:
            await bindings.remove(key)
            return
        objection = self.guard.binding(key)
        if not objection:
            try:
                await bindings.add(key)
            except ChannelLost as error:
                if error.condition.startswith("404"):
                    raise  # the exchange has gone, and all that was bound to it
                objection = str(error)
        if objection:
            # It ends nothing but itself; tried again with the next connection or subscriber.
            self._refused[key] = objection
            first = self.counters.drop("subscription refused")
            logger.log(
                logging.WARNING if first else logging.DEBUG,
                "%s: subscribers do not get %r: %s",
                self.label,
                key,
                objection,
            )

    # Messages

    async def _consume(self, receiver: Receiver, key: str) -> None:
        """Publish what one receiver brings, until stopped."""
        while not self.stopping:
            deliveries: list[Delivery] = []
            with trio.CancelScope() as scope:
                self._receiving.add(scope)
                try:
                    # Of failed ones that wait, no prefetch bounds how many they are.
                    await self.until(lambda: self.dead_letters.waiting < self.prefetch)
                    deliveries = await receiver.receive()
                finally:
                    self._receiving.discard(scope)
            self._held += len(deliveries)
            try:
                await self._publish(receiver, key, deliveries)
            finally:
                self._held -= len(deliveries)
                self.changed()
        await receiver.aclose()
        await trio.sleep_forever()

    async def _publish(self, receiver: Receiver, key: str, deliveries: list[Delivery]) -> None:
        counters, bindings = self.counters, self._bindings
        counters.received += len(deliveries)
        done = 0
        while done < len(deliveries):
            may = await self.bucket.wait(len(deliveries) - done)
            batch = deliveries[done : done + may]
            for one in batch:
                counters.bytes_in += len(one.body)
                counters.redelivered += one.redelivered
                if bindings is None or bindings.is_first(key, one.target.routing_key):
                    await self._publish_one(one)
            self.bucket.spend(len(batch))
            done += may
            self._accept(receiver, batch)

    async def _publish_one(self, delivery: Delivery) -> None:
        try:
            # What is bound may bring more than was allowed: `#` stands for no word at all, too.
            if objection := self.guard.topic(delivery.target.routing_key):
                raise Unfit("policy", objection)
            message = self._unpacker.unpack(delivery)
        except Unfit as error:
            if error.reason == "looped":
                self.counters.looped += 1
            letter = Letter(
                error.reason, str(error), delivery.body, delivery.properties, delivery.target
            )
            self.bury(letter)
            return
        topic = self.separator.topic(delivery.target.routing_key)
        if isinstance(message, list):
            await self.socket.send_multipart([topic, *message])
        else:
            await self.socket.send_multipart([topic, message])
        self.counters.forwarded += 1
        self.counters.bytes_out += len(delivery.body)

    def _accept(self, receiver: Receiver, deliveries: Sequence[Delivery]) -> None:
        if self.spec.mode != "no-ack":
            receiver.accept(deliveries)
        self.counters.confirmed += len(deliveries)

    # Stopping

    async def settle(self) -> None:
        """Receive nothing more, and let subscribers have what was received."""
        for scope in list(self._receiving):
            scope.cancel()
        await self.until(lambda: not self._held)
        await self.socket.flush()


def check_topics(route: Route) -> Separator:
    """Whether a route of topics has what it needs; its separator.

    Raises:
        GatewayError: it has not.
    """
    spec = route.spec
    what, other = (
        ("address", "exchange")
        if route.shared.protocol == "1.0"
        else (
            "exchange",
            "address",
        )
    )
    if not getattr(spec, what) or getattr(spec, other) or spec.queue:
        raise GatewayError(
            f"route {spec.name}: topics over AMQP {route.shared.protocol} need an {what}, and "
            f"neither {other} nor queue"
        )
    if spec.exchange:
        route.check(route.guard.exchange(spec.exchange))
    if spec.address:
        route.check(route.guard.address(spec.address))
    try:
        return Separator(spec.separator)
    except ValueError as error:
        raise GatewayError(f"route {spec.name}: {error}") from None
