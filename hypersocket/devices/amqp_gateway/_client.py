"""The one small interface to a broker, whichever protocol it speaks.

A client is one connection. It does not reconnect: that is the gateway's, which makes a new one,
declares everything again and takes up unsettled work. Every call may raise
:class:`~hypersocket.amqp.ConnectionLost`; those of a sender or receiver
:class:`~hypersocket.amqp.ChannelLost` as well, after which that one alone is of no more use.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from ...amqp import (
    Binding,
    ConnectionLost,
    Declaration,
    Outcome,
    Properties,
    Publication,
    Subscription,
    Target,
)

ProtocolName: TypeAlias = Literal["0-9-1", "1.0"]

OnSettled: TypeAlias = Callable[[Sequence[Publication], Outcome], None]
"""Told what became of publications. Called from the client's reader; may not wait nor raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """One broker, and how to log in to it.

    Attributes:
        host: name or address.
        port: TCP port.
        tls: the context, with verification on; None for plain TCP.
        server_name: TLS: the name that the broker's certificate must have; empty for ``host``.
        vhost: 0-9-1: the virtual host. 1.0: sent as the open frame's hostname, if not None; to
            RabbitMQ with ``vhost:`` before it.
        username: for PLAIN.
        password: for PLAIN; never shown.
        sasl: ``"PLAIN"``, ``"EXTERNAL"`` or ``"ANONYMOUS"``.
        heartbeat: seconds without traffic after which the peer counts as dead; 0 for never.
        connect_timeout: seconds until everything up to the open connection must be done.
        container_id: 1.0: our container's name; 0-9-1: shown as the connection's name.
        frame_max: the largest frame that we take, in bytes.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    server_name: str = ""
    vhost: str | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    sasl: Literal["PLAIN", "EXTERNAL", "ANONYMOUS"] = "PLAIN"
    heartbeat: float = 10.0
    connect_timeout: float = 10.0
    container_id: str = "hypersocket"
    frame_max: int = 131_072


class Delivery(Protocol):
    """A message from the broker. It stays the broker's until it is settled."""

    @property
    def body(self) -> bytes:
        """The bytes. 1.0 bodies that are not Data sections: as documented in the mapping."""
        ...

    @property
    def properties(self) -> Properties:
        """Decoded when first asked for. Never raises: what cannot be decoded is given as bytes.

        0-9-1: identifiers and header values that are not UTF-8 are bytes; other text that is not
        has surrogate escapes, as ``bytes.decode("utf-8", "surrogateescape")`` gives them, which go
        out as they came in. The same goes for :attr:`target`.
        """
        ...

    @property
    def target(self) -> Target:
        """Where it had been published, as far as the protocol tells."""
        ...

    @property
    def redelivered(self) -> bool:
        """Whether somebody was given it before (1.0: not the first acquirer, or counted)."""
        ...

    @property
    def delivery_count(self) -> int | None:
        """How often it was given out and came back; None where nothing tells."""
        ...

    @property
    def counted(self) -> bool:
        """Whether the broker counts: no count, or one of 0, says that it never came back."""
        ...


class Sender(Protocol):
    """Publishes. One channel (0-9-1) or one session and link (1.0) of its own."""

    async def send(self, publications: Sequence[Publication]) -> None:
        """Take publications over, in order; each one's outcome is told to ``on_settled`` once.

        Waits while too much is unwritten, while the broker has blocked the connection, and (1.0)
        while there is no credit. What the protocol cannot carry (an integer of more than 64 bits
        in a header, a routing key of more than 255 bytes, ...) is ``REJECTED`` at once, with the
        reason and before this returns; the others are none the worse for it. If the channel or
        connection ends, all that were taken and have no outcome get :attr:`Result.UNKNOWN`, and
        then this and later calls raise.

        Cancelled: those not yet taken over were not sent, and have no outcome; ``taken`` of the
        sender tells how many publications it has taken since it was made.
        """
        ...

    @property
    def taken(self) -> int:
        """Publications taken over so far."""
        ...

    @property
    def unsettled(self) -> int:
        """Publications without an outcome."""
        ...

    async def wait_settled(self) -> None:
        """Wait until every publication has its outcome."""
        ...

    async def aclose(self) -> None:
        """End it. What has no outcome gets :attr:`Result.UNKNOWN`."""
        ...


class Receiver(Protocol):
    """Receives. One channel (0-9-1) or one session and link (1.0) of its own."""

    @property
    def address(self) -> str:
        """The queue or node; the one that the broker named, where it chose."""
        ...

    async def receive(self) -> list[Delivery]:
        """Wait for at least one delivery, and take all that are there. Cancelled, takes none.

        Raises:
            ChannelLost: also when the broker cancelled the consumer (its queue was deleted, ...).
        """
        ...

    def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Settle: done. Returns at once; written with the next batch."""
        ...

    def reject(self, deliveries: Sequence[Delivery]) -> None:
        """Settle: not wanted; the broker dead-letters or drops it."""
        ...

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Settle: give it back to the broker, for this or another consumer."""
        ...

    @property
    def unsettled(self) -> int:
        """Deliveries received and not settled, those not yet taken by :meth:`receive` included."""
        ...

    async def aclose(self) -> None:
        """End it. What was settled is written first; the broker gives the rest to others."""
        ...


@runtime_checkable
class PromptSender(Sender, Protocol):
    """A sender whose connection can be written without a task of its own."""

    def send_nowait(self, publications: Sequence[Publication]) -> bool:
        """Take publications over, as :meth:`send` does, where nothing has to be waited for.

        Returns:
            Whether they were taken: all or none. None where the channel or connection has ended;
            :meth:`send` says why.
        """
        ...


@runtime_checkable
class PromptReceiver(Receiver, Protocol):
    """A receiver whose deliveries may be settled while they are read."""

    def give_to(self, take: Callable[[list[Delivery]], None], *, busy_poll: float = 0.0) -> None:
        """Have deliveries given to ``take`` as they are read, before any task is woken.

        Where the answers of the broker have come soon lately, its connection may be looked at for
        ``busy_poll`` seconds before it is waited for.

        ``take`` may not wait. What it raises, :meth:`receive` raises, which waits for nothing
        else then.
        """
        ...


class Client(Protocol):
    """One open connection to a broker."""

    @property
    def protocol(self) -> ProtocolName:
        """Which protocol it speaks."""
        ...

    @property
    def broker(self) -> Mapping[str, Any]:
        """What the broker told of itself (product, version, capabilities...)."""
        ...

    async def declare(self, declarations: Sequence[Declaration]) -> list[str]:
        """Declare in order; returns the queues' names, in order (the broker may have chosen).

        Raises:
            ChannelLost: the broker refuses one; the text names which, and the broker's words.
            NotSupported: AMQP 1.0 cannot.
        """
        ...

    async def bind(self, binding: Binding) -> None:
        """Bind a queue to an exchange."""
        ...

    async def unbind(self, binding: Binding) -> None:
        """Undo that."""
        ...

    async def open_sender(
        self,
        on_settled: OnSettled,
        *,
        address: str | None = None,
        confirm: bool = True,
        mandatory: bool = True,
    ) -> Sender:
        """A way to publish.

        Args:
            on_settled: told of outcomes.
            address: 1.0: the node that everything goes to; None for the anonymous relay, which
                takes each publication's own address. 0-9-1 looks at the publication's target.
            confirm: whether the broker tells outcomes. If not, written is ``CONFIRMED``.
            mandatory: 0-9-1: whether what cannot be routed comes back.

        Raises:
            ChannelLost: refused (1.0: no such node, not allowed).
            NotSupported: 1.0: no address was given, and the peer has no anonymous relay.
        """
        ...

    async def open_receiver(
        self, subscription: Subscription, *, sender: Sender | None = None
    ) -> Receiver:
        """A way to receive.

        Args:
            subscription: what.
            sender: 0-9-1: receive on this sender's channel, which direct reply-to
                (``amq.rabbitmq.reply-to``, with ``settled``) asks for; the channel's end is the
                end of both. A sender has one such receiver at most. 1.0 does not look at it.

        Raises:
            ChannelLost: refused (no such queue, not allowed, in exclusive use).
        """
        ...

    @property
    def blocked(self) -> str | None:
        """The broker's words, while it takes no publications (0-9-1: connection.blocked)."""
        ...

    @property
    def lost(self) -> ConnectionLost | None:
        """Why the connection ended; None while it stands."""
        ...

    async def wait_lost(self) -> ConnectionLost:
        """Wait until the connection has ended."""
        ...

    def abandon(self, reason: str) -> None:
        """End the connection here and now, and tell the broker nothing: nobody may be there.

        It is lost when this returns, if it was not before, and leaving its context takes no time.

        Args:
            reason: why, for the error.
        """
        ...


class Connect(Protocol):
    """What opens a connection: ``async with connect(address) as client``.

    ``clients.v091.connect`` and ``clients.v10.connect`` are such. On leaving, senders and
    receivers are ended and the connection is closed in good order, within a bounded time; it owns
    the nursery in which the connection's tasks run, and what the body raises leaves as itself.
    """

    def __call__(
        self,
        address: BrokerAddress,
        *,
        on_blocked: Callable[[str | None], None] | None = None,
    ) -> AbstractAsyncContextManager[Client]:
        """Connect; raises :class:`ConnectionLost` with the broker's words on failure."""
        ...
