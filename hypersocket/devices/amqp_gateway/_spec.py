"""What a gateway is to do: what a configuration file, or a program, says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ...amqp import Declaration
from ._client import BrokerAddress, ProtocolName

RouteKind: TypeAlias = Literal["out", "in", "topics", "call", "serve"]
AckMode: TypeAlias = Literal["on-confirm", "on-publish", "no-ack"]
Metadata: TypeAlias = Literal["none", "json", "msgpack"]
OwnMessages: TypeAlias = Literal["cut", "pass"]

SOCKET_TYPES: Mapping[str, tuple[str, ...]] = {
    "out": ("PULL", "SUB"),
    "in": ("PUSH", "PUB", "DEALER"),
    "topics": ("XPUB", "XSUB"),
    "call": ("ROUTER",),
    "serve": ("DEALER",),
}
"""The socket types that a route may have, the default first. An `in` route with
``ack = "reply"`` has a DEALER, and only such a one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSocket:
    """The ØMQ side of a route: a type, endpoints and options, as in a topology file."""

    type: str
    bind: tuple[str, ...] = ()
    connect: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Where a route's failed messages go, with the reason; counted and logged where nowhere.

    One of ``exchange`` (with ``routing_key``), ``address`` (1.0) or ``socket`` (a PUSH or PUB: a
    JSON frame with the reason and metadata, then the frames of the message).
    """

    exchange: str | None = None
    routing_key: str = ""
    address: str | None = None
    socket: RouteSocket | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a route may touch, and how much. Patterns are of :mod:`fnmatch`; None allows all.

    Attributes:
        exchanges: names that may be published to, or bound.
        queues: names that may be consumed from, or (default exchange) published to.
        addresses: the same for 1.0.
        topics: routing keys that may be published with, or bound, as seen on the wire.
        max_message_size: bytes of a body; None for no limit but the sockets' own.
        rate: messages a second at most, held back and never dropped; None for no limit.
    """

    exchanges: tuple[str, ...] | None = None
    queues: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    topics: tuple[str, ...] | None = None
    max_message_size: int | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """One route. Which attributes count depends on ``kind``; the reference says for which.

    Attributes:
        name: for logs, statistics, monitors.
        kind: which way, and how.
        socket: the ØMQ side.
        exchange: out, topics, call: published to; in: bound to a queue of the gateway's own, which
            goes with the connection, and what is in it.
        routing_key: out, call: fixed key, or a template: ``{frame[0]}`` is the text of a frame,
            ``{header[NAME]}``, ``{property[NAME]}`` of the metadata frame. in: the binding's key.
        key_frame: out: the number of the frame that is the routing key, and is taken out; None
            for ``routing_key``.
        queue: in, serve: consumed from; out with neither exchange nor address: published to.
        address: the same for 1.0.
        filter: in, 1.0: a selector.
        arguments: of the consumer (0-9-1).
        mode: the shovel's names. ``on-confirm``: a message leaves the gateway's care when the
            other side has confirmed it. ``on-publish``: when it was written. ``no-ack``: in: the
            broker forgets a message as the gateway takes it; out: as ``on-publish``.
        ack: in: ``"sent"``, the ØMQ peer's connection took it; ``"reply"``, a worker answered.
        prefetch: how many messages may be in the gateway's care at once; None for the socket's
            high-water mark (1000 if it has none).
        mandatory: out: whether what cannot be routed counts as failed.
        durable: out: whether messages are marked persistent where no metadata says.
        properties: fixed properties by the names of :class:`~hypersocket.amqp.Properties`.
        metadata: a leading frame of JSON or msgpack, both ways; ``"none"`` drops what was said.
        retries: out, topics with XSUB: how often what came back UNKNOWN or FAILED is tried again;
            None for ever.
        max_deliveries: in, serve: a message that was given out so often is poisonous; None for
            ever.
        timeout: call: seconds until a request gets an error reply; in with ``ack = "reply"`` and
            serve: seconds until a job is taken back from its worker; None for never.
        reply_queue: call: a named queue for replies (1.0 brokers without dynamic nodes need one);
            empty for direct reply-to (0-9-1) or a dynamic node (1.0). With a ``timeout``, replies
            are waited for there beyond the end of the connection.
        subscribe: topics with XSUB: prefixes that the gateway subscribes to.
        separator: topics: how words of an ØMQ topic are told apart; the broker's is ``"."``.
        max_hops: how many gateways a message may have come through, this one included.
        hop_header: out, topics with XSUB, call, serve: whether our name is added to the header by
            which gateways find loops. Without it, none finds one that comes through this route;
            what a message says already is left as it is.
        own_messages: in: ``"cut"``: what this gateway has published itself is a loop; ``"pass"``:
            it is passed on, since nothing feeds it back.
        dead_letters: where failed messages go.
        policy: what it may touch.
    """

    name: str
    kind: RouteKind
    socket: RouteSocket
    exchange: str = ""
    routing_key: str = ""
    key_frame: int | None = None
    queue: str = ""
    address: str = ""
    filter: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    mode: AckMode = "on-confirm"
    ack: Literal["sent", "reply"] = "sent"
    prefetch: int | None = None
    mandatory: bool = True
    durable: bool = True
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metadata: Metadata = "none"
    retries: int | None = None
    max_deliveries: int | None = None
    timeout: float | None = 30.0
    reply_queue: str = ""
    subscribe: tuple[str, ...] = ("",)
    separator: str = "."
    max_hops: int = 4
    hop_header: bool = True
    own_messages: OwnMessages = "cut"
    dead_letters: DeadLetters | None = None
    policy: Policy = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSpec:
    """The broker: one protocol, one or several addresses that are tried in turn.

    Attributes:
        protocol: ``"0-9-1"`` or ``"1.0"``.
        addresses: tried in turn, from the first at every start.
        reconnect_ivl: seconds before the second attempt; doubled each time, with jitter.
        reconnect_ivl_max: what it may grow to.
        declare: declared after each connect, in order (0-9-1).
    """

    protocol: ProtocolName = "0-9-1"
    addresses: tuple[BrokerAddress, ...]
    reconnect_ivl: float = 0.2
    reconnect_ivl_max: float = 10.0
    declare: tuple[Declaration, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySpec:
    """A whole gateway.

    Attributes:
        name: for logs, statistics, monitors, and the hop header.
        broker: where the broker is.
        routes: what it carries.
        linger: seconds that a graceful stop may take.
    """

    name: str
    broker: BrokerSpec
    routes: tuple[RouteSpec, ...]
    linger: float = 10.0
