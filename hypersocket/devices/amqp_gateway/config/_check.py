"""From the tables of a gateway file to a gateway that can run: everything is looked at."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NoReturn

from ....amqp import Target
from ..._files._checks import metrics_problem
from ..._files._problems import NOTHING, Key
from .._client import ProtocolName
from .._errors import GatewayError
from .._gateway import AmqpGateway
from .._policy import Guard
from .._spec import (
    SOCKET_TYPES,
    BrokerSpec,
    DeadLetters,
    GatewaySpec,
    Policy,
    RouteSpec,
)
from ..messages._patterns import Separator
from ..messages._strict import Checker, MetadataError
from ..messages._template import Template, TemplateError
from ._broker_check import BrokerChecker, Context, check_arguments
from ._broker_model import BrokerTable
from ._config import GatewayConfig
from ._kinds import INSTEAD, KEYS
from ._model import (
    DeadLettersTable,
    MonitorKeys,
    RouteTable,
)
from ._socket_check import Resolve, SocketChecker

_TARGETS = ("exchange", "queue", "address", "routing_key", "key_frame")


class GatewayChecker:
    """Makes a :class:`GatewayConfig` of the tables, and reports all that is wrong.

    Args:
        name: the gateway's.
        settings: its own table.
        broker: ``[broker]``; None where it is missing.
        routes: ``[routes]``.
        context: takes mistakes.
        resolve: for the endpoints that sockets connect to.
    """

    def __init__(
        self,
        name: str,
        settings: MonitorKeys,
        broker: BrokerTable | None,
        routes: dict[str, RouteTable],
        context: Context,
        resolve: Resolve | None = None,
    ) -> None:
        self._name = name
        self._settings = settings
        self._broker = broker
        self._routes = routes
        self._context = context
        self._report = context.report
        self._sockets = SocketChecker(context, resolve)
        self._protocol: ProtocolName | None = None
        if broker is not None and not context.were_wrong((*context.key, "broker", "protocol")):
            self._protocol = broker.protocol

    def config(self, settings_key: Key) -> GatewayConfig:
        """What the file says; to be thrown away where something was reported.

        Args:
            settings_key: where the gateway's own table stands.
        """
        key = self._context.key
        if self._broker is None and not self._context.were_wrong((*key, "broker")):
            self._report((*key, "broker"), NOTHING, "this is missing: expected a table")
        if not self._routes and not self._context.lost_from((*key, "routes")):
            text = "this is missing: a gateway carries nothing without [routes.NAME]"
            self._report((*key, "routes"), NOTHING, text)
        broker = BrokerSpec(addresses=())
        if self._broker is not None:
            broker = BrokerChecker(self._broker, self._context, self._name).broker()
        settings = self._settings
        monitor = None
        if settings.monitor is not None:
            where = (*settings_key, "monitor")
            monitor = self._sockets.make(where, settings.monitor, ("XPUB", "PUB"), "a monitor has")
            if monitor.type == "XPUB":
                # So that each new subscriber is told at once how things are.
                monitor = replace(monitor, options={"xpub_verbose": True, **monitor.options})
        if settings.metrics is not None:
            text = metrics_problem(settings.metrics)
            if text:
                self._report((*settings_key, "metrics"), settings.metrics, text)
        routes: list[RouteSpec] = []
        for name, table in self._routes.items():
            before = self._context.mistakes
            routes.append(self._route((*key, "routes", name), name, table))
            if self._context.mistakes == before:
                self._try(routes[-1], broker)
        spec = GatewaySpec(
            name=self._name, broker=broker, routes=tuple(routes), linger=settings.linger
        )
        return GatewayConfig(
            spec=spec,
            monitor=monitor,
            monitor_interval=settings.monitor_interval,
            metrics=settings.metrics,
            identity=(self._name, settings, self._broker, self._routes, *self._context.seen),
        )

    def _try(self, route: RouteSpec, broker: BrokerSpec) -> None:
        """Make a route, so that whatever it objects to is told now and not later."""
        key: Key = (*self._context.key, "routes", route.name)
        if not broker.addresses or self._context.lost_from(key):
            return
        try:
            AmqpGateway(
                GatewaySpec(name=self._name, broker=broker, routes=(route,)), connect=_never
            )
        except GatewayError as error:
            self._report(key, NOTHING, str(error).removeprefix(f"route {route.name}: "))
        except ImportError as error:
            self._report((*key, "metadata"), route.metadata, str(error))

    # Routes

    def _route(self, key: Key, name: str, table: RouteTable) -> RouteSpec:
        self._check_counting(key, table)
        self._check_values(key, table)
        type_ = "DEALER" if table.kind == "in" and table.ack == "reply" else ""
        types = (type_,) if type_ else SOCKET_TYPES[table.kind]
        if table.kind == "in" and not type_:
            types = ("PUSH", "PUB")
        socket = self._sockets.make((*key, "socket"), table.socket, types, self._whose(table))
        policy = Policy(**({} if table.policy is None else table.policy.model_dump()))
        spec = RouteSpec(
            name=name,
            kind=table.kind,
            socket=socket,
            exchange=table.exchange or "",
            routing_key=(table.queue if self._calls_queue(table) else table.routing_key) or "",
            key_frame=table.key_frame,
            queue="" if self._calls_queue(table) else table.queue or "",
            address=table.address or "",
            filter=table.filter or "",
            arguments=table.arguments,
            mode=table.mode,
            ack=table.ack,
            prefetch=table.prefetch,
            mandatory=table.mandatory,
            durable=table.durable,
            properties=self._properties((*key, "properties"), table),
            metadata=table.metadata,
            retries=table.retries,
            max_deliveries=table.max_deliveries,
            timeout=_finite(30.0 if table.timeout is None else table.timeout),
            reply_queue=table.reply_queue or "",
            subscribe=table.subscribe if table.subscribe is not None else ("",),
            separator=table.separator,
            max_hops=table.max_hops,
            hop_header=table.hop_header,
            own_messages=table.own_messages,
            dead_letters=self._dead_letters((*key, "dead_letters"), table.dead_letters),
            policy=policy,
        )
        self._check_target(key, table)
        self._check_policy(key, spec)
        return spec

    @staticmethod
    def _calls_queue(table: RouteTable) -> bool:
        """Whether requests go to a queue by its name, which is the default exchange's way."""
        return table.kind == "call" and table.queue is not None

    @staticmethod
    def _whose(table: RouteTable) -> str:
        if table.kind == "in":
            return f'a route of kind "in" with ack = "{table.ack}" has'
        return f'a route of kind "{table.kind}" has'

    def _check_counting(self, key: Key, table: RouteTable) -> None:
        for name in sorted(table.model_fields_set):
            counts = KEYS.get(name)
            if counts is None:
                continue
            value: object = getattr(table, name)
            if table.kind not in counts.kinds:
                kinds = ", ".join(counts.kinds)
                text = f'it does not count for a route of kind "{table.kind}", but for {kinds}'
                self._report((*key, name), value, text)
            elif counts.protocol is not None and self._protocol not in {None, counts.protocol}:
                instead = f": {INSTEAD[name]}" if name in INSTEAD else ""
                text = f"it is of AMQP {counts.protocol}, and the broker's protocol is another"
                self._report((*key, name), value, text + instead)

    def _check_values(self, key: Key, table: RouteTable) -> None:
        if table.mode == "no-ack" and table.ack == "reply":
            text = 'with ack = "reply" the broker has to keep a message until it is answered'
            self._report((*key, "mode"), table.mode, text)
        if table.kind == "in" and table.ack == "sent" and "timeout" in table.model_fields_set:
            text = 'it counts with ack = "reply" alone: nobody answers here'
            self._report((*key, "timeout"), table.timeout, text)
        self._check_xpub(key, table)
        if table.kind == "in" and self._protocol == "1.0" and table.routing_key is not None:
            text = "it is of AMQP 0-9-1, and the broker's protocol is another: the address says all"
            self._report((*key, "routing_key"), table.routing_key, text)
        if table.key_frame is not None and table.routing_key is not None:
            text = "give it or key_frame: the key is either in a frame or here"
            self._report((*key, "routing_key"), table.routing_key, text)
        try:
            Separator(table.separator)
        except ValueError:
            text = "expected one ASCII character, which is neither * nor #"
            self._report((*key, "separator"), table.separator, text)
        check_arguments(self._report, (*key, "arguments"), table.arguments)
        self._check_template(key, table)

    def _check_xpub(self, key: Key, table: RouteTable) -> None:
        """What counts for the publishing half of topics alone."""
        if table.kind != "topics" or table.socket.type == "XSUB":
            return
        if table.subscribe is not None:
            text = "it counts for an XSUB; an XPUB is told by its subscribers what they want"
            self._report((*key, "subscribe"), list(table.subscribe), text)
        for name in ("durable", "properties", "retries"):
            if name in table.model_fields_set:
                text = "it counts for an XSUB; from an XPUB nothing is published to the broker"
                self._report((*key, name), getattr(table, name), text)

    def _check_template(self, key: Key, table: RouteTable) -> None:
        where: Key = (*key, "routing_key")
        if table.routing_key is None:
            return
        try:
            template = Template(table.routing_key) if table.kind in {"out", "call"} else None
        except TemplateError as error:
            self._report(where, table.routing_key, str(error))
            return
        if template is not None and template.needs_metadata and table.metadata == "none":
            text = 'it asks for metadata: give the route metadata = "json" or "msgpack"'
            self._report(where, table.routing_key, text)
        fixed = table.routing_key if template is None else template.fixed
        if fixed is not None and len(fixed.encode()) > 255:
            self._report(where, table.routing_key, "a routing key has 255 bytes at most")

    def _check_target(self, key: Key, table: RouteTable) -> None:
        """Whether it is clear where messages go, or come from."""
        if self._protocol is None or self._context.were_wrong(*((*key, one) for one in _TARGETS)):
            return
        if self._protocol == "1.0":
            if table.address is None:
                way = "come from" if table.kind in {"in", "serve"} else "go to"
                text = f"this is missing: the node that messages {way}"
                self._report((*key, "address"), NOTHING, text)
            return
        objection = _objection_091(table)
        if objection:
            self._report(key, NOTHING, objection)
        if table.kind == "topics" and table.exchange and self._broker is not None:
            for one in self._broker.exchanges:
                if one.name == table.exchange and one.type != "topic":
                    text = f"subscriptions need a topic exchange, and this is {one.type}"
                    self._report((*key, "exchange"), table.exchange, text)

    def _check_policy(self, key: Key, spec: RouteSpec) -> None:
        """Whether the policy allows what the route is told to do always."""
        guard = Guard(spec.policy)
        for name, check in (
            ("exchange", guard.exchange),
            ("queue", guard.queue),
            ("address", guard.address),
        ):
            value = getattr(spec, name)
            objection = check(value) if value else ""
            if objection:
                self._report((*key, name), value, objection)
        try:
            fixed = (
                (spec.routing_key if spec.kind == "in" else Template(spec.routing_key).fixed)
                if spec.key_frame is None
                else None
            )
        except TemplateError:
            return
        if fixed and (spec.exchange or spec.address):
            allows = guard.binding if spec.kind == "in" else guard.topic
            objection = allows(fixed)
        elif fixed and not spec.queue:
            objection = guard.target(Target("", fixed))
        else:
            return
        if objection:
            where = "routing_key" if "routing_key" in self._given(spec.name) else "queue"
            self._report((*key, where), fixed, objection)

    def _given(self, name: str) -> set[str]:
        return self._routes[name].model_fields_set

    # Parts of a route

    def _properties(self, key: Key, table: RouteTable) -> dict[str, Any]:
        if table.properties is None:
            return {}
        given = table.properties.model_dump(exclude_unset=True)
        checker = Checker(self._protocol or "0-9-1")
        for name, value in given.items():
            if table.kind == "call" and name in {"reply_to", "correlation_id"}:
                text = 'a route of kind "call" makes it for each request'
                self._report((*key, name), value, text)
            try:
                checker.properties({name: value})
            except MetadataError as error:
                self._report((*key, name), value, str(error).partition(": ")[2])
        return given

    def _dead_letters(self, key: Key, table: DeadLettersTable | None) -> DeadLetters | None:
        if table is None:
            return None
        names = ("exchange", "queue", "address", "socket")
        given = [name for name in names if getattr(table, name) is not None]
        wrong = self._context.were_wrong(*((*key, name) for name in names))
        if len(given) != 1 and not wrong:
            text = "expected one of exchange, queue, address and socket"
            self._report(key, NOTHING, text if not given else f"{text}, not {' and '.join(given)}")
            return None
        for name, protocol in (("exchange", "0-9-1"), ("queue", "0-9-1"), ("address", "1.0")):
            if name in given and self._protocol not in {None, protocol}:
                text = f"it is of AMQP {protocol}, and the broker's protocol is another"
                self._report((*key, name), getattr(table, name), f"{text}: {INSTEAD[name]}")
        if table.routing_key and table.exchange is None:
            text = "it counts for an exchange alone"
            self._report((*key, "routing_key"), table.routing_key, text)
        if table.exchange == "" and not table.routing_key:
            text = "the default exchange needs a queue's name as routing_key: give queue instead"
            self._report((*key, "exchange"), table.exchange, text)
        socket = None
        if table.socket is not None:
            where = (*key, "socket")
            socket = self._sockets.make(where, table.socket, ("PUSH", "PUB"), "dead letters have")
        return DeadLetters(
            exchange="" if table.queue is not None else table.exchange,
            routing_key=table.queue or table.routing_key,
            address=table.address,
            socket=socket,
        )


def _objection_091(table: RouteTable) -> str:
    """What is not clear about where messages go, or come from."""
    if table.kind == "topics":
        return "" if table.exchange else "it has no exchange: name a topic exchange"
    if table.kind == "serve":
        return "" if table.queue else "it has no queue: name the one that requests come to"
    if table.exchange and table.queue:
        return "it has exchange and queue: give one of them"
    if table.kind == "in":
        if table.queue and table.routing_key:
            return "it has queue and routing_key: a key is for an exchange"
        return (
            "" if table.exchange or table.queue else "it has neither queue nor exchange: name one"
        )
    keyed = table.routing_key is not None or table.key_frame is not None
    if table.queue and keyed:
        return "it has queue and a routing key: to a queue goes what has the queue's name"
    if not (table.exchange or table.queue or keyed):
        return "it has neither exchange nor queue: say where messages go"
    return ""


def _finite(seconds: float) -> float | None:
    return None if math.isinf(seconds) else seconds


def _never(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("a gateway that is only checked does not connect")
