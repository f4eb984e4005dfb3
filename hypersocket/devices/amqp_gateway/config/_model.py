"""The keys of a gateway file: their types, their defaults and what they mean.

The reference in the documentation is made of these declarations.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from ..._files._keys import (
    INCLUDE,
    REQUIRED,
    VARIABLES,
    Name,
    Seconds,
    Several,
    SocketType,
    Table,
    VariableValues,
    endpoint_only,
)
from .._spec import AckMode, Metadata, OwnMessages, RouteKind
from ._broker_model import BROKER_TABLES, Arguments, BrokerTable, Positive, ShortText

GatewayName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,255}$")]
Timeout: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=True)]


class RouteSocketTable(Table):
    """The ØMQ side of a route. An endpoint, or a list, stands for a table with `bind`."""

    type: SocketType | None = Field(
        None,
        description="The socket type, where the kind of the route leaves a choice.",
    )
    bind: Several = Field((), description="Endpoints to listen at: one, or a list.")
    connect: Several = Field(
        (),
        description="Endpoints to connect to: one, or a list. In a topology file names, too, as"
        " for the sockets of devices.",
    )
    subscribe: Several = Field((), description='Topics, for a SUB; `""` is every message.')
    options: dict[str, Any] = Field(
        {},
        description="Options of the socket type, by the names and in the units of the table of"
        " options. Text stands for bytes.",
    )


Attached: TypeAlias = Annotated[RouteSocketTable, BeforeValidator(endpoint_only)]


class DeadLettersTable(Table):
    """`dead_letters`: where a route's failed messages go, with the reason.

    It has one of `exchange`, `queue`, `address` and `socket`.
    """

    exchange: ShortText | None = Field(None, description="An exchange (0-9-1).")
    routing_key: ShortText = Field("", description="With which key, for an exchange.")
    queue: ShortText | None = Field(
        None, min_length=1, description="A queue (0-9-1), by the default exchange."
    )
    address: str | None = Field(None, min_length=1, description="A node (1.0).")
    socket: Attached | None = Field(
        None,
        description="A PUSH or PUB socket: a frame of JSON with the reason and the metadata, then"
        " the frames of the message.",
    )


class PolicyTable(Table):
    """`policy`: what a route may touch, and how much.

    Patterns have `*`, `?` and `[...]` as file names have them in a shell, and what is not given is
    not limited. It holds for what messages and subscribers ask for as well as for the file itself.
    """

    exchanges: Several | None = Field(
        None, description="Exchanges that may be published to, or bound: a pattern, or a list."
    )
    queues: Several | None = Field(
        None,
        description="Queues that may be consumed from, or published to by the default exchange.",
    )
    addresses: Several | None = Field(None, description="Nodes, in AMQP 1.0.")
    topics: Several | None = Field(
        None, description="Routing keys that may be published with, or bound."
    )
    max_message_size: int | None = Field(None, ge=1, description="Bytes of a body, at most.")
    rate: Positive | None = Field(
        None, description="Messages a second, at most; more are held back and never dropped."
    )


class PropertiesTable(Table):
    """`properties`: what is said of every message that the route publishes.

    It goes before what a message's own metadata says; headers are merged, one by one.
    """

    content_type: ShortText | None = Field(None, description="MIME type.")
    content_encoding: ShortText | None = Field(None, description="MIME content encoding.")
    headers: dict[str, Any] | None = Field(
        None, description="Headers (0-9-1), or application properties (1.0)."
    )
    annotations: dict[str, Any] | None = Field(
        None, description="Message annotations (1.0); in 0-9-1 they are headers, too."
    )
    durable: bool | None = Field(None, description="Whether a broker keeps it through a restart.")
    priority: int | None = Field(None, ge=0, le=255, description="Higher goes first.")
    message_id: ShortText | None = Field(None, description="Of the message.")
    correlation_id: ShortText | None = Field(None, description="Of the message that it answers.")
    reply_to: ShortText | None = Field(None, description="Where an answer goes.")
    ttl: Positive | None = Field(None, description="Seconds after which it is of no use.")
    type: ShortText | None = Field(None, description="Type (0-9-1), or subject (1.0).")
    user_id: ShortText | None = Field(None, description="Who sent it; brokers check it.")
    app_id: ShortText | None = Field(None, description="App id (0-9-1), or group id (1.0).")


class RouteTable(Table):
    """`[routes.NAME]`: one way for messages, of which a gateway has as many as wanted.

    `NAME` is of letters, digits, `-` and `_`. Which keys count for which kind of route is said
    with each; one that does not count is a mistake.
    """

    kind: RouteKind = Field(
        description="`out`: from ØMQ to the broker. `in`: from the broker to ØMQ. `topics`:"
        " publish and subscribe, with subscriptions as bindings. `call`: REQ clients to a service"
        " at the broker. `serve`: requests at the broker to REP services."
    )
    socket: Attached = Field(description="The ØMQ side.")
    exchange: ShortText | None = Field(
        None,
        description="0-9-1. out, call: published to; the default exchange if there is none. in:"
        " bound to a queue of the gateway's own, which goes with the connection. topics: bound for"
        " subscribers, or published to.",
    )
    routing_key: str | None = Field(
        None,
        description="out, call: the key, or a template with `{frame[0]}`, `{header[NAME]}` and"
        " `{property[NAME]}`; in AMQP 1.0 it is the subject. in, 0-9-1: the key of the binding.",
    )
    key_frame: int | None = Field(
        None,
        ge=0,
        description="out: the number of the frame, from 0, that is the routing key; it is taken"
        " out of the message.",
    )
    queue: ShortText | None = Field(
        None,
        min_length=1,
        description="0-9-1. in, serve: consumed from. out, call: published to, by the default"
        " exchange.",
    )
    address: str | None = Field(
        None, min_length=1, description="1.0: the node that messages go to, or come from."
    )
    filter: str | None = Field(
        None, min_length=1, description="in, 1.0: a selector, which the broker has to know of."
    )
    arguments: Arguments = Field(
        {}, description="in, serve, 0-9-1: of the consumer, such as `x-priority`."
    )
    mode: AckMode = Field(
        "on-confirm",
        description="out, in: when a message leaves the gateway's care. `on-confirm`: the other"
        " side has taken it over. `on-publish`: it was written. `no-ack`: in, the broker forgets a"
        " message as the gateway takes it; out, as `on-publish`.",
    )
    ack: Literal["sent", "reply"] = Field(
        "sent",
        description="in: the broker is told that a message is done when the connection of a ØMQ"
        " peer has taken it, or when a worker has answered.",
    )
    prefetch: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="How many messages may be in the route's care at once; by default the"
        " high-water mark of its socket.",
    )
    mandatory: bool = Field(
        True, description="out, 0-9-1: whether what the broker cannot route counts as failed."
    )
    durable: bool = Field(
        True,
        description="out, topics with XSUB, call, serve: whether messages outlive a restart of the"
        " broker where nothing else says.",
    )
    properties: PropertiesTable | None = Field(
        None,
        description="out, topics with XSUB, call, serve: what is said of every message that is"
        " published.",
    )
    metadata: Metadata = Field(
        "none",
        description="Whether messages have a leading frame with their metadata, and how it is"
        " written. With `none`, what the broker says of a message is dropped.",
    )
    retries: int | None = Field(
        None,
        ge=0,
        description="out, topics with XSUB: how often a message is published again whose fate is"
        " not known, or that the broker could not take; by default for ever.",
    )
    max_deliveries: int | None = Field(
        None,
        ge=1,
        description="in, serve: a message that was given out so often is poisonous, and goes to"
        " the dead letters. By default there is no limit.",
    )
    timeout: Timeout | None = Field(
        None,
        description="call: seconds until a request gets an error as its reply. in with"
        ' `ack = "reply"`, serve: seconds until a job is taken back from its worker. 30 by default,'
        " `inf` for never.",
    )
    reply_queue: ShortText | None = Field(
        None,
        min_length=1,
        description="call: the queue, or address, for replies. By default direct reply-to (0-9-1),"
        " or a dynamic node (1.0), which not every broker has. With a `timeout`, a reply is"
        " waited for there beyond the end of the connection.",
    )
    subscribe: Several | None = Field(
        None,
        description='topics with XSUB: what the gateway subscribes to; by default `""`, which is'
        " everything.",
    )
    separator: str = Field(
        ".",
        description="topics: what stands between the words of an ØMQ topic; the broker's is a dot.",
    )
    max_hops: int = Field(
        4,
        ge=1,
        description="How many gateways a message may have come through, this one included.",
    )
    hop_header: bool = Field(
        True,
        description="out, topics with XSUB, call, serve: whether the gateway adds its name to the"
        " header by which loops are found. Without it, none is found that comes through this route;"
        " a broker reads no table with each message then.",
    )
    own_messages: OwnMessages = Field(
        "cut",
        description="in: what becomes of messages that this gateway itself has published. `cut`:"
        " they are loops, and fail. `pass`: they are passed on, as is right where `out` and `in`"
        " have the same queue and nothing feeds messages back; `max_hops` still counts.",
    )
    dead_letters: DeadLettersTable | None = Field(
        None, description="Where failed messages go; by default they are counted and logged."
    )
    policy: PolicyTable | None = Field(None, description="What the route may touch.")


class MonitorKeys(Table):
    """What a gateway tells of itself."""

    linger: Seconds = Field(
        10.0, description="Seconds that a graceful stop may take, to settle what can be settled."
    )
    monitor: Attached | None = Field(
        None,
        description="A socket (XPUB, or PUB) that publishes events and statistics; an endpoint"
        " stands for a table with `bind`.",
    )
    monitor_interval: float = Field(
        1.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds between two publications of statistics.",
    )
    metrics: str | None = Field(
        None, description="`HOST:PORT` at which counters are served as OpenMetrics."
    )


class GatewayTable(MonitorKeys):
    """`[gateway]`: the gateway as a whole. The table may be left out."""

    name: GatewayName | None = Field(
        None,
        description="For logs, statistics and the header that finds loops, so that each gateway"
        " needs its own; by default the file's name.",
    )


class GatewayFileTable(Table):
    """The file as a whole."""

    include: Several = INCLUDE
    variables: VariableValues = VARIABLES
    gateway: GatewayTable = Field(
        GatewayTable.model_validate({}),
        description="The gateway as a whole, `[gateway]`.",
    )
    broker: BrokerTable | None = Field(
        None, json_schema_extra=REQUIRED, description="The broker, `[broker]`."
    )
    routes: dict[Name, RouteTable] = Field(
        {},
        json_schema_extra=REQUIRED,
        description="What the gateway carries, `[routes.NAME]`: one or more.",
    )


TABLES: tuple[type[BaseModel], ...] = (
    GatewayFileTable,
    GatewayTable,
    *BROKER_TABLES,
    RouteTable,
    RouteSocketTable,
    PropertiesTable,
    DeadLettersTable,
    PolicyTable,
)
"""What the reference describes, in its order."""
