"""Brokers in the picture: a box for each, with what gateways use in it, and the wires there."""

from __future__ import annotations

from typing import TypeAlias

from ..amqp_gateway._spec import BrokerSpec, RouteSpec
from ._cards import Card, Flow, Pattern, Row
from ._links import End
from ._spec import Topology

_Target: TypeAlias = tuple[str, str]
"""What it is in the broker, and its name."""

_PATTERN: dict[str, Pattern] = {
    "out": "pipeline",
    "in": "pipeline",
    "topics": "publish-subscribe",
    "call": "request-reply",
    "serve": "request-reply",
}


def broker_flows(
    topology: Topology, cards: list[Card], card_of: dict[End, tuple[Card, Row]]
) -> list[Flow]:
    """What flows between gateways and brokers; adds the brokers' cards."""
    brokers: dict[str, Card] = {}
    rows: dict[tuple[str, _Target], Row] = {}
    found: list[Flow] = []
    for gateway in topology.gateways.values():
        broker = gateway.config.spec.broker
        name = _name(broker)
        if name not in brokers:
            brokers[name] = Card(name, "broker", f"AMQP {broker.protocol}", [], None)
            cards.append(brokers[name])
        card = brokers[name]
        scheme = "amqp" if broker.addresses[0].tls is None else "amqps"
        for route in gateway.config.spec.routes:
            ours = card_of[gateway.name, route.name]
            for target, outward in _targets(route):
                if (name, target) not in rows:
                    rows[name, target] = Row((name, " ".join(target)), target[0], [target[1]])
                    card.rows.append(rows[name, target])
                theirs = (card, rows[name, target])
                source, sink = (ours, theirs) if outward else (theirs, ours)
                found.append((source, sink, _PATTERN[route.kind], scheme))
    return found


def _name(broker: BrokerSpec) -> str:
    """The broker, by the first of its addresses."""
    first = broker.addresses[0]
    more = len(broker.addresses) - 1
    return f"{first.host}:{first.port}" + (f" and {more} more" if more else "")


def _targets(route: RouteSpec) -> list[tuple[_Target, bool]]:
    """What a route uses in the broker, and whether messages or requests go there."""
    outward = route.kind in {"out", "call"} or route.socket.type == "XSUB"
    if route.address:
        target = ("address", route.address)
    elif route.queue:
        target = ("queue", route.queue)
    elif route.exchange:
        target = ("exchange", route.exchange)
    elif route.key_frame is None:
        target = ("queue", route.routing_key)
    else:
        target = ("queue", f"frame {route.key_frame}")
    found: list[tuple[_Target, bool]] = [(target, outward)]
    letters = route.dead_letters
    if letters is not None and letters.socket is None:
        what = "address" if letters.address else "exchange" if letters.exchange else "queue"
        name = letters.address or letters.exchange or letters.routing_key
        if (what, name) != target:
            found.append(((what, name), True))
    return found
