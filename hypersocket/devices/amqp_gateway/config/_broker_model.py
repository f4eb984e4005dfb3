"""The keys of ``[broker]`` in a gateway file: where it is, who we are, what has to be there.

The reference in the documentation is made of these declarations.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from ..._files._keys import REQUIRED, Seconds, Several, Table


def _text_only(value: Any) -> Any:
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise ValueError('expected { env = "NAME" }, { file = "PATH" } or text in quotes')  # noqa: TRY004
    return cast("object", value)


ShortText: TypeAlias = Annotated[str, StringConstraints(max_length=255)]
Positive: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Arguments: TypeAlias = dict[str, Any]


class SecretTable(Table):
    """A password: `{ env = "NAME" }`, `{ file = "PATH" }`, or text in place of the table.

    It is never logged or shown.
    """

    env: str | None = Field(None, description="The variable of the environment that holds it.")
    file: str | None = Field(
        None,
        description="The file that holds it, as a path relative to this one. A line end after it is"
        " left away.",
    )
    text: str | None = Field(
        None,
        repr=False,
        description="The password itself, which whoever can read the file then has.",
    )


class TlsTable(Table):
    """`[broker.tls]`: how `amqps` connections are secured.

    None of it is needed for a broker whose certificate is of an authority that the system trusts.
    """

    ca: str | None = Field(
        None,
        description="A file of certificates (PEM) that are trusted in place of the system's; this"
        " and the other paths are relative to the file.",
    )
    cert: str | None = Field(
        None, description="The gateway's own certificate (PEM), for a broker that asks for one."
    )
    key: str | None = Field(
        None, description="The key to it, where that is not in the same file; not encrypted."
    )
    verify: bool = Field(
        True,
        description="Whether the broker has to prove who it is. Without it, anybody on the way can"
        " read and change everything, the password too: there is a warning.",
    )
    server_name: str | None = Field(
        None, description="The name in the broker's certificate, if it is not that in the URL."
    )


class ExchangeTable(Table):
    """`[[broker.exchanges]]`: an exchange that has to be there (0-9-1)."""

    name: ShortText = Field(min_length=1, description="Its name.")
    type: str = Field(
        "topic",
        min_length=1,
        description='`"direct"`, `"fanout"`, `"topic"`, `"headers"`, or a type that a plugin of the'
        " broker has.",
    )
    durable: bool = Field(True, description="Whether it outlives a restart of the broker.")
    auto_delete: bool = Field(
        False, description="Whether it goes when nothing is bound to it any more."
    )
    passive: bool = Field(
        False, description="Whether it is only looked for, and not made: it fails if it is missing."
    )
    arguments: Arguments = Field({}, description="The broker's own, such as `alternate-exchange`.")


class QueueTable(Table):
    """`[[broker.queues]]`: a queue that has to be there (0-9-1)."""

    name: ShortText = Field(min_length=1, description="Its name.")
    durable: bool = Field(True, description="Whether it outlives a restart of the broker.")
    exclusive: bool = Field(
        False, description="Whether only this connection may use it; it goes with the connection."
    )
    auto_delete: bool = Field(
        False, description="Whether it goes when nobody consumes from it any more."
    )
    passive: bool = Field(
        False, description="Whether it is only looked for, and not made: it fails if it is missing."
    )
    arguments: Arguments = Field(
        {},
        description="The broker's own, such as `x-queue-type`, `x-max-length` or"
        " `x-dead-letter-exchange`.",
    )


class BindingTable(Table):
    """`[[broker.bindings]]`: from an exchange to a queue (0-9-1)."""

    exchange: ShortText = Field(min_length=1, description="From which exchange.")
    queue: ShortText = Field(min_length=1, description="To which queue.")
    routing_key: ShortText = Field(
        "",
        description="Which messages: the key itself for a direct exchange, a pattern with `*` and"
        " `#` for a topic exchange.",
    )
    arguments: Arguments = Field({}, description="What a headers exchange compares.")


class BrokerTable(Table):
    """`[broker]`: where the broker is, and how to log in."""

    url: Several = Field(
        (),
        json_schema_extra=REQUIRED,
        description="`amqp://USER@HOST:PORT/VHOST`, `amqps://` for TLS; or a list, of which each is"
        " tried in turn. The port is 5672, with TLS 5671, if none is given. What is after the `/`"
        " is percent-encoded: the virtual host, `/` if there is none; in AMQP 1.0 what the"
        " open frame has as `hostname`, the host's name if there is none, and for RabbitMQ, which"
        " is known by what it says of itself, `vhost:` before it. A password may stand after the"
        " user, percent-encoded; better is `password`.",
    )
    protocol: Literal["0-9-1", "1.0"] = Field("0-9-1", description="Which AMQP is spoken.")
    username: str | None = Field(
        None,
        description="For URLs without one. Where neither has one, 0-9-1 logs in as `guest` with the"
        " password `guest`, as brokers allow it on their own machine.",
    )
    password: Annotated[SecretTable, BeforeValidator(_text_only)] | None = Field(
        None,
        repr=False,
        description='For URLs without one: `{ env = "NAME" }`, `{ file = "PATH" }`, or the text.',
    )
    sasl: Literal["PLAIN", "EXTERNAL", "ANONYMOUS"] | None = Field(
        None,
        description="How to log in: by user and password, by `tls.cert`, or as nobody. By default"
        " the first that there is something for, in this order.",
    )
    heartbeat: Seconds = Field(
        10.0,
        description="Seconds without a sign of life after which a connection counts as lost; 0 for"
        " never.",
    )
    connect_timeout: Positive = Field(
        10.0, description="Seconds until everything up to the open connection must be done."
    )
    reconnect_ivl: Positive = Field(
        0.2,
        description="Seconds before the second attempt to connect. Each next pause is twice as"
        " long; each is shortened by a random part.",
    )
    reconnect_ivl_max: Positive = Field(
        10.0, description="Seconds that the pause between attempts may grow to."
    )
    tls: TlsTable | None = Field(
        None, description="How `amqps` connections are secured, `[broker.tls]`."
    )
    exchanges: tuple[ExchangeTable, ...] = Field(
        (), description="Declared after each connect, before all else: `[[broker.exchanges]]`."
    )
    queues: tuple[QueueTable, ...] = Field(
        (), description="Declared after the exchanges: `[[broker.queues]]`."
    )
    bindings: tuple[BindingTable, ...] = Field(
        (), description="Made after the queues: `[[broker.bindings]]`."
    )


BROKER_TABLES: tuple[type[BaseModel], ...] = (
    BrokerTable,
    SecretTable,
    TlsTable,
    ExchangeTable,
    QueueTable,
    BindingTable,
)
