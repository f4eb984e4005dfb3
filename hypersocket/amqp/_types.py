"""What both AMQP protocols have in common: a message, where it goes, and what became of it.

Values are neutral: one spelling for what 0-9-1 and 1.0 call by different names and count in
different units. How each field looks on the wire is the affair of :mod:`.v091` and :mod:`.v10`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

Identifier: TypeAlias = str | bytes | int | UUID
"""A message id or a correlation id. 0-9-1 has text alone (bytes, where a peer sent such)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """What is said of a message beside its body. None, or empty, is: not said.

    Attributes:
        content_type: MIME type.
        content_encoding: MIME content encoding.
        headers: 0-9-1's headers table; 1.0's application properties.
        annotations: 1.0's message annotations; 0-9-1 has none.
        durable: whether a broker keeps it through a restart.
        priority: 0 to 255; higher goes first.
        message_id: of this message.
        correlation_id: of the message that this one answers.
        reply_to: where an answer goes: a queue (0-9-1) or an address (1.0).
        ttl: seconds after which it is of no use.
        timestamp: when it was made, in seconds since 1970 (UTC).
        type: 0-9-1's type; 1.0's subject.
        user_id: who sent it; a broker may check it.
        app_id: 0-9-1's app-id; 1.0's group-id.
    """

    content_type: str | None = None
    content_encoding: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    annotations: Mapping[str, Any] = field(default_factory=dict[str, Any])
    durable: bool | None = None
    priority: int | None = None
    message_id: Identifier | None = None
    correlation_id: Identifier | None = None
    reply_to: str | None = None
    ttl: float | None = None
    timestamp: float | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None


NO_PROPERTIES = Properties()
"""Nothing said. Clients know this object, and encode it once."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message is published.

    Attributes:
        exchange: 0-9-1: an exchange; empty for the default one, which routes to the queue named
            by the routing key. Empty in 1.0.
        routing_key: 0-9-1: the routing key. 1.0: the subject, if not empty.
        address: 1.0: the node's address; empty in 0-9-1.
    """

    exchange: str = ""
    routing_key: str = ""
    address: str = ""


class Result(enum.Enum):
    """What became of a message that was published."""

    CONFIRMED = "confirmed"
    """The broker has taken it over (0-9-1: Basic.Ack; 1.0: accepted)."""
    RETURNED = "returned"
    """It could not be routed (0-9-1: Basic.Return; 1.0: released)."""
    REJECTED = "rejected"
    """The broker refuses it (0-9-1: Basic.Nack; 1.0: rejected, or modified as undeliverable)."""
    FAILED = "failed"
    """The broker could not take it now; another attempt may succeed (1.0: modified)."""
    UNKNOWN = "unknown"
    """The channel, link or connection ended before the broker answered: it has it, or has not."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a publication, and the broker's words for it.

    Attributes:
        result: what became of it.
        reason: the broker's own words, such as ``"312 NO_ROUTE"``; empty where there are none.
    """

    result: Result
    reason: str = ""


CONFIRMED = Outcome(Result.CONFIRMED)


class Publication:
    """One message on its way to the broker.

    Attributes:
        target: where it goes.
        body: its bytes.
        properties: what is said of it.
        context: whatever its sender wants to find again when the outcome comes.
    """

    __slots__ = ("body", "context", "properties", "target")

    def __init__(
        self,
        target: Target,
        body: bytes,
        properties: Properties = NO_PROPERTIES,
        context: Any = None,
    ) -> None:
        self.target = target
        self.body = body
        self.properties = properties
        self.context = context


# --- what there can be in a broker ---------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An exchange to be declared (0-9-1).

    Attributes:
        name: its name.
        type: ``"direct"``, ``"fanout"``, ``"topic"``, ``"headers"``, or a plugin's.
        durable: whether it outlives a restart of the broker.
        auto_delete: whether it goes when nothing is bound to it any more.
        passive: whether it must be there already.
        arguments: the broker's own.
    """

    name: str
    type: str = "topic"
    durable: bool = True
    auto_delete: bool = False
    passive: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue to be declared (0-9-1). An empty name lets the broker choose one."""

    name: str = ""
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    passive: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """From an exchange to a queue (0-9-1)."""

    queue: str
    exchange: str
    routing_key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


Declaration: TypeAlias = Exchange | Queue | Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What to receive.

    Attributes:
        queue: 0-9-1: the queue.
        address: 1.0: the node's address. Empty, with ``dynamic``, asks the peer to make one.
        dynamic: 1.0: a temporary node of the peer's making.
        filter: 1.0: a selector (``apache.org:selector-filter:string``); empty for none.
        credit: how many deliveries may be unsettled at once (0-9-1: prefetch), at least 1; 1.0: or
            0, which gets none, to see whether the node is there.
        settled: whether deliveries count as settled when they are sent (0-9-1: no-ack).
        exclusive: 0-9-1: whether nobody else may consume from the queue.
        arguments: 0-9-1: the broker's own.
    """

    queue: str = ""
    address: str = ""
    dynamic: bool = False
    filter: str = ""
    credit: int = 1000
    settled: bool = False
    exclusive: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


# --- how it ends ---------------------------------------------------------------------


class AmqpError(Exception):
    """The broker, or the way to it, said no.

    Attributes:
        condition: the broker's code: ``"404"`` or ``"NOT_FOUND"``-like in 0-9-1's text form
            (``"404 NOT_FOUND"``), ``"amqp:not-found"`` in 1.0; empty where the way failed.
        temporary: whether trying again, unchanged, can help.
    """

    def __init__(self, message: str, *, condition: str = "", temporary: bool = False) -> None:
        super().__init__(message)
        self.condition = condition
        self.temporary = temporary


class ConnectionLost(AmqpError):
    """The connection to the broker could not be made, or ended. Everything on it has ended."""


class ChannelLost(AmqpError):
    """The broker ended a channel (0-9-1), or a session or link (1.0); the connection stands."""


class NotSupported(AmqpError):
    """The protocol, or this broker, has no such thing."""
