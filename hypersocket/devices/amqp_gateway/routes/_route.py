"""What all routes have in common: a socket, counters, dead letters, a beginning and an end.

A route outlives connections. :meth:`Route.run` is called with each new client, one at a time, and
is over when that client is; what is unsettled stays in the route and is taken up by the next call.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import trio

from .... import sockets
from ....amqp import Declaration
from ....sockets import Socket
from ..._balance import AddressedDealer
from .._client import Client, ProtocolName
from .._counters import Counters
from .._errors import GatewayError
from .._policy import Guard, TokenBucket
from .._spec import DeadLetters, RouteKind, RouteSocket, RouteSpec
from .._stats import RouteStats
from .._tasks import Backoff, together
from ..messages._packing import Packer
from ._dead_letters import LAST_LETTERS, Burial
from ._letters import Letter

logger = logging.getLogger("hypersocket")

PREFETCH = 1000
"""Messages in a gateway's care where neither the route nor its socket has a bound."""

Message: TypeAlias = bytes | list[bytes]
"""A single-part message, or the frames of any."""

_SOCKETS: Mapping[str, type[Socket]] = {
    one.socket_type: one
    for one in (
        *(sockets.Pull, sockets.Push, sockets.Pub, sockets.Sub),
        *(sockets.XPub, sockets.XSub, sockets.Router),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the routes of a gateway share.

    Attributes:
        name: the gateway's, also in the hop header.
        protocol: which protocol the broker speaks.
        linger: seconds that a graceful stop may take.
        declare: what the gateway declares after each connect.
        backoff: makes pauses between attempts.
        on_active: called when a route begins to carry messages.
        alone: held while one message is published alone, to learn whether it is to blame.
    """

    name: str
    protocol: ProtocolName
    linger: float
    backoff: Callable[[], Backoff]
    declare: tuple[Declaration, ...] = ()
    on_active: Callable[[], None] = lambda: None
    alone: trio.Lock = field(default_factory=trio.Lock)


class Route(ABC):
    """One route of a gateway.

    A subclass has :meth:`carry`, and :meth:`settle` for its graceful stop. It may have
    :meth:`attend`, for what goes on without a broker too.

    Args:
        spec: what it is to do.
        shared: what it shares with the others.

    Attributes:
        spec: likewise.
        shared: likewise.
        label: for logs.
        counters: what is counted.
        guard: what the policy allows.
        bucket: the policy's rate.
        socket: the ØMQ side; the gateway opens and closes it.
        dead_letters: where failed messages go.
        stopping: whether nothing more is to be taken.
        error: why it carries no messages now; None if it does.
        searching: whether it has ended for one of its messages, which it will find.

    Raises:
        GatewayError: it cannot work.
    """

    kind: ClassVar[RouteKind]

    publishes: ClassVar[bool] = True
    """Whether it publishes what it carries. Of one that does not, dead letters may go to the broker
    all the same, by another connection."""

    def __init__(self, spec: RouteSpec, shared: Shared) -> None:
        self.spec = spec
        self.shared = shared
        self.label = f"gateway {shared.name}, route {spec.name}"
        self.counters = Counters()
        self.guard = Guard(spec.policy)
        self.bucket = TokenBucket(spec.policy.rate)
        self.socket: Any = self.make_socket(spec.socket)
        buried = spec.dead_letters
        grave = None if buried is None or buried.socket is None else self.make_socket(buried.socket)
        self.dead_letters = Burial(
            spec,
            shared.name,
            self.label,
            self.counters,
            socket=grave,
            backoff=shared.backoff(),
            repeats=shared.backoff(),
            on_change=self.changed,
            alone=shared.alone,
        )
        self._check_dead_letters()
        self.stopping = False
        self.searching = False
        self.error: str | None = "there is no connection to the broker yet"
        self._changed = trio.lowlevel.ParkingLot()
        self._told = ""

    # For the gateway

    def sockets(self) -> dict[str, Socket]:
        """Its sockets, which the gateway opens before all else, by names of their own."""
        found: dict[str, Socket] = {self.spec.name: self.socket}
        if self.dead_letters.socket is not None:
            found[f"{self.spec.name}.dead-letters"] = self.dead_letters.socket
        return found

    async def attend(self) -> None:
        """Do what goes on with a connection or without; runs as long as the gateway.

        A subclass that extends this runs both, with :func:`together`.
        """
        await self.dead_letters.attend()

    async def run(self, client: Client, *, buries: bool = True) -> None:
        """Carry messages for as long as this client's connection stands.

        Args:
            client: the connection.
            buries: whether dead letters go by it, too; otherwise :meth:`bury_by` carries them.

        Raises:
            ConnectionLost: it does not any more.
            ChannelLost: the broker refuses what this route needs; others may go on.

        Cancelled, or raising, it keeps what is unsettled for the next call.
        """
        self.searching = False
        try:
            await self.dead_letters.look_for_target(client)
            if buries:
                await together(lambda: self.carry(client), lambda: self.bury_by(client))
            else:
                await self.carry(client)
        finally:
            self.error = self.error or "it is not connected to the broker"

    async def bury_by(self, client: Client) -> None:
        """Publish dead letters, as long as this client's connection stands.

        Raises:
            ConnectionLost: it does not any more.
        """
        await self.dead_letters.carry(client)

    async def stop(self) -> None:
        """Take nothing more, and return when everything is settled that can be.

        It goes on beside :meth:`run` and :meth:`attend`, and is cancelled when the time is over.
        """
        self.stopping = True
        self.changed()
        await self.settle()
        await self.until(lambda: not self.dead_letters.waiting)

    def failed(self, error: str, *, tell: bool = True) -> None:
        """It does not work now; told once for each change."""
        self.error = error
        if tell and error != self._told:
            self._told = error
            logger.warning("%s: %s", self.label, error)

    def stats(self) -> RouteStats:
        """A snapshot of the counters."""
        return self.counters.snapshot(
            self.spec.name,
            self.spec.kind,
            active=self.error is None,
            error=self.error or self.dead_letters.error,
            pending=self.pending,
            credit=self.credit,
            bindings=self.bindings,
            overdue=self.overdue,
        )

    # What a subclass has

    @abstractmethod
    async def carry(self, client: Client) -> None:
        """Carry messages, as :meth:`run` says; call :meth:`works` when all is there for that."""

    @abstractmethod
    async def settle(self) -> None:
        """Return when nothing is pending any more; :attr:`stopping` is on, :meth:`run` goes on."""

    @property
    def pending(self) -> int:
        """Messages in the route's care, dead letters included."""
        return self.dead_letters.waiting

    @property
    def credit(self) -> int:
        """How many more messages the broker may send."""
        return 0

    @property
    def bindings(self) -> int:
        """Bindings that subscriptions stand for."""
        return 0

    @property
    def overdue(self) -> int:
        """Workers that owe the answer to a job which was taken back from them."""
        return 0

    @property
    def unsettled(self) -> int:
        """At the end: messages taken from ØMQ which the broker never confirmed."""
        return 0

    @property
    def unread(self) -> int:
        """At the end: messages that the socket has received, and that were not taken."""
        return 0

    @property
    def returned(self) -> int:
        """At the end: deliveries that were not settled, so that the broker keeps them."""
        return 0

    # For subclasses

    def works(self) -> None:
        """All is there: the route carries messages."""
        if self._told:
            self._told = ""
            logger.warning("%s: works again", self.label)  # as loud as what it takes back
        self.error = None
        self.changed()
        self.shared.on_active()

    def changed(self) -> None:
        """Something changed that somebody may wait for with :meth:`until`."""
        self._changed.unpark_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it is so; looks whenever :meth:`changed` is called."""
        while not holds():
            await self._changed.park()

    async def letters_on_their_way(self) -> None:
        """Wait, but not for long, for dead letters whose originals the broker gives out again."""
        with trio.move_on_after(LAST_LETTERS):
            await self.until(lambda: not self.dead_letters.kept)

    @property
    def prefetch(self) -> int:
        """How many messages may be in the route's care at once."""
        if self.spec.prefetch is not None:
            return self.spec.prefetch
        name = "rcvhwm" if self.socket.socket_type in {"PULL", "SUB", "XSUB"} else "sndhwm"
        return int(getattr(self.socket, name)) or PREFETCH

    def bury(self, letter: Letter) -> None:
        """A message failed: to the dead letters, or counted and logged where there are none."""
        self.dead_letters.post(letter)

    def check(self, objection: str) -> None:
        """Raise if the policy objects to what the route is told to do always."""
        if objection:
            raise GatewayError(f"route {self.spec.name}: {objection}")

    def check_target(self, packer: Packer) -> None:
        """Raise if the policy objects to where the route publishes, as far as that is known."""
        target = packer.target
        if not packer.own_key:
            self.check(self.guard.target(target))
        elif target.address:
            self.check(self.guard.address(target.address))
        elif target.exchange:
            self.check(self.guard.exchange(target.exchange))

    def _check_dead_letters(self) -> None:
        to = self.spec.dead_letters
        if to is None:
            return
        ways = [to.exchange is not None, to.address is not None, to.socket is not None]
        if sum(ways) != 1:
            raise GatewayError(
                f"route {self.spec.name}: dead letters go to one of exchange, address and socket"
            )
        if to.exchange:
            self.check(self.guard.exchange(to.exchange))
        elif to.exchange is not None:
            self.check(self.guard.queue(to.routing_key))
        elif to.address is not None:
            self.check(self.guard.address(to.address))
        if (to.address is None) is (self.shared.protocol == "1.0") and to.socket is None:
            right = "an address" if self.shared.protocol == "1.0" else "an exchange"
            raise GatewayError(
                f"route {self.spec.name}: with AMQP {self.shared.protocol}, dead letters go to "
                f"{right} or a socket"
            )
        if self._gets_back(to):
            raise GatewayError(
                f"route {self.spec.name}: dead letters must not go to where the route receives "
                "from: it would get them again and again"
            )
        if self._publishes_to(to):
            raise GatewayError(
                f"route {self.spec.name}: dead letters must not go to where the route publishes, "
                "or receives, itself: what was refused there, or may not go there, would go there"
            )
        if to.socket is not None and to.socket.type not in {"PUSH", "PUB"}:
            raise GatewayError(
                f"route {self.spec.name}: dead letters go to a PUSH or a PUB, "
                f"not to a {to.socket.type}"
            )

    def _gets_back(self, to: DeadLetters) -> bool:
        """Whether the route is given its own dead letters, as far as the spec tells."""
        spec = self.spec
        if spec.kind not in {"in", "serve"}:
            return False
        if to.address is not None:
            return to.address == spec.address
        if to.exchange == "":
            return to.routing_key == spec.queue
        return to.exchange == spec.exchange and to.routing_key in {"", spec.routing_key}

    def _publishes_to(self, to: DeadLetters) -> bool:
        """Whether letters go the way of the route's messages, as far as the spec tells."""
        spec = self.spec
        if spec.kind in {"in", "serve"} or to.socket is not None:
            return False
        if to.address is not None:
            return to.address == spec.address
        if to.exchange == "":
            return not spec.exchange and to.routing_key in {spec.queue, spec.routing_key}
        if spec.kind == "topics" and spec.socket.type == "XPUB":
            return to.exchange == spec.exchange  # by whatever key: it may be bound to all of them
        return to.exchange == spec.exchange and to.routing_key in {"", spec.routing_key}

    def make_socket(self, given: RouteSocket) -> Socket:
        """A socket as it is told, not yet open.

        Raises:
            GatewayError: it cannot be made so.
        """
        chosen = AddressedDealer if given.type == "DEALER" else _SOCKETS.get(given.type)
        if chosen is None:
            known = ", ".join([*_SOCKETS, "DEALER"])
            raise GatewayError(
                f"route {self.spec.name}: there is no socket type {given.type!r} here, but {known}"
            )
        options: dict[str, Any] = {**self.defaults(given.type), **given.options}
        if given.subscribe:
            options["subscribe"] = given.subscribe
        try:
            return chosen(bind=given.bind, connect=given.connect, **options)
        except (TypeError, ValueError) as error:
            raise GatewayError(f"route {self.spec.name}: {given.type}: {error}") from error

    def defaults(self, socket_type: str) -> dict[str, Any]:
        """Options of sockets that are other than the sockets' own, where the route says nothing."""
        if socket_type == "PUSH":
            return {"immediate": True}  # what no peer has taken yet is to be for whoever is there
        if socket_type in {"DEALER", "ROUTER"}:
            return {"router_mandatory": True}  # to learn that a peer has gone
        return {}
