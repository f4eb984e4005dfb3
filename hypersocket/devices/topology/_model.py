"""The keys of a topology file: their types, their defaults and what they mean.

The reference in the documentation is made of these declarations.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field

from .._files._keys import (
    INCLUDE,
    VARIABLES,
    Name,
    Seconds,
    Several,
    SocketType,
    Table,
    VariableValues,
    endpoint_only,
)
from ..amqp_gateway.config._broker_model import BrokerTable
from ..amqp_gateway.config._model import GatewayName, MonitorKeys, RouteTable
from ._spec import Balance, Kind, Restart


class SocketTable(Table):
    """The sockets of a device: `frontend`, `backend`, `capture`, `control` and `monitor`.

    For the last three, an endpoint or a list of them stands for a table with `bind`.
    """

    type: SocketType | None = Field(
        None,
        description="The socket type. What follows from the device's `kind` need not be written:"
        " a queue has ROUTER and DEALER, a forwarder XSUB and XPUB, a streamer PULL and PUSH;"
        " a capture socket is a PUB, a control socket a REP, a monitor socket an XPUB.",
    )
    bind: Several = Field(
        (),
        description="Endpoints to listen at: one, or a list.",
    )
    connect: Several = Field(
        (),
        description="Endpoints to connect to: one, or a list. `NAME.frontend`, `NAME.backend` and"
        " so on stand for the first endpoint that this socket of a device binds, and `NAME` for"
        " that of one in `[sockets.NAME]`.",
    )
    subscribe: Several = Field(
        (),
        description='Topics, for a SUB; `""` is every message.',
    )
    options: dict[str, Any] = Field(
        {},
        description="Options of the socket type, by the names and in the units of the table of"
        " options. Text stands for bytes.",
    )


Attached: TypeAlias = Annotated[SocketTable, BeforeValidator(endpoint_only)]


class DeviceTable(Table):
    """`[devices.NAME]`: a device, which `hypersocket run` runs.

    `NAME` is of letters, digits, `-` and `_`.
    """

    kind: Kind = Field(description="Which device it is.")
    frontend: SocketTable = Field(description="The socket towards clients, publishers or sources.")
    backend: SocketTable = Field(description="The socket towards services, subscribers or sinks.")
    balance: Balance = Field(
        "round-robin",
        description="How a queue chooses among services: in turn, or the one with the fewest"
        " requests that it has not answered.",
    )
    capture: Attached | None = Field(
        None, description="A socket that is sent a copy of every message."
    )
    control: Attached | None = Field(
        None,
        description="A socket that takes `PAUSE`, `RESUME`, `TERMINATE` and `STATISTICS`. A device"
        " that was terminated stays so until the topology is started again.",
    )
    monitor: Attached | None = Field(
        None, description="A socket that publishes the device's events and statistics."
    )
    monitor_interval: float = Field(
        1.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds between two publications of statistics.",
    )
    metrics: str | None = Field(
        None,
        description="`HOST:PORT` at which the device's counters are served as OpenMetrics. Devices"
        " with the same one share it.",
    )
    part: Name | None = Field(
        None,
        description="The part of the topology that the device belongs to, such as a machine or a"
        " site. `--only` takes names of parts as well as of devices; the picture draws the parts"
        " apart.",
    )
    host: str | None = Field(
        None,
        description="The host name or address by which others reach the device: what references"
        " to its tcp endpoints have in place of `*` or of what was bound.",
    )
    label: str | None = Field(None, description="A few words for the picture.")
    restart: Restart = Field(
        "backoff",
        description="What happens when the device has failed: it is started again after a pause,"
        " or everything is stopped and the run fails.",
    )
    restart_ivl: Seconds = Field(
        0.5,
        description="Seconds before the first restart. Each next pause is twice as long; each is"
        " shortened by a random part of up to a half.",
    )
    restart_ivl_max: Seconds = Field(
        30.0, description="Seconds that the pause between restarts may grow to."
    )


class PlainSocketTable(Table):
    """`[sockets.NAME]`: a socket of a program that is not run from this file.

    It is checked and drawn, others can refer to it, and its program can open it with
    `topology.socket("NAME")`, so that the file is the only place that knows addresses.
    """

    type: SocketType = Field(description="The socket type.")
    bind: Several = Field((), description="Endpoints to listen at: one, or a list.")
    connect: Several = Field(
        (), description="Endpoints or references to connect to, as those of a device's socket."
    )
    subscribe: Several = Field((), description='Topics, for a SUB; `""` is every message.')
    options: dict[str, Any] = Field({}, description="Options of the socket type.")
    program: Name | None = Field(
        None,
        description="The program that has the socket, for the picture: sockets of one program are"
        " drawn together. By default the socket's own name.",
    )
    count: int = Field(1, ge=1, description="How many such programs there are, for the picture.")
    part: Name | None = Field(None, description="The part of the topology that it belongs to.")
    host: str | None = Field(None, description="The host by which others reach it.")
    label: str | None = Field(None, description="A few words for the picture.")


class GatewayMemberTable(MonitorKeys):
    """`[gateways.NAME]`: an AMQP gateway, which `hypersocket run` runs.

    Either `config` names its file, or its tables stand here: `[gateways.NAME.broker]` and
    `[gateways.NAME.routes.ROUTE]` as in a gateway file, and the keys of `[gateway]` in
    `[gateways.NAME]` itself.
    """

    config: str | None = Field(
        None,
        min_length=1,
        description="The gateway's own file, as a path relative to this one. The variables of this"
        " file go before those of that.",
    )
    name: GatewayName | None = Field(
        None, description="For the header that finds loops; by default `NAME`."
    )
    broker: BrokerTable | None = Field(
        None, description="The broker, as in a gateway file, where `config` names none."
    )
    routes: dict[Name, RouteTable] = Field(
        {}, description="What it carries, as in a gateway file, where `config` names none."
    )
    part: Name | None = Field(None, description="The part of the topology that it belongs to.")
    host: str | None = Field(None, description="The host by which others reach it.")
    label: str | None = Field(None, description="A few words for the picture.")
    restart: Restart = Field(
        "backoff",
        description="What happens when the gateway has failed; a broker that is away for some time"
        " is no failure.",
    )
    restart_ivl: Seconds = Field(0.5, description="As for devices.")
    restart_ivl_max: Seconds = Field(30.0, description="As for devices.")


class TopologyTable(Table):
    """The file as a whole."""

    title: str = Field("", description="What the topology is; the heading of its picture.")
    include: Several = INCLUDE
    variables: VariableValues = VARIABLES
    devices: dict[Name, DeviceTable] = Field({}, description="The devices, `[devices.NAME]`.")
    sockets: dict[Name, PlainSocketTable] = Field(
        {}, description="Sockets of other programs, `[sockets.NAME]`."
    )
    gateways: dict[Name, GatewayMemberTable] = Field(
        {}, description="Gateways to brokers, `[gateways.NAME]`."
    )


TABLES: tuple[type[BaseModel], ...] = (
    TopologyTable,
    DeviceTable,
    SocketTable,
    PlainSocketTable,
    GatewayMemberTable,
)
"""What the reference describes, in its order."""
