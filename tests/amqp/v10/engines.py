"""An engine that is open, and its links, with proton as a server at the other end."""

from __future__ import annotations

from typing import Any, TypeVar

from hypersocket.amqp import (
    Publication,
    Subscription,
    Target,
)
from hypersocket.amqp.v10 import (
    Engine,
    Event,
    Opened,
    ReceiverLink,
    SenderLink,
    encode_data,
)

from .peer import Peer, pump

E = TypeVar("E", bound=Event)
NODE = Target(address="node")


def engine_of(**options: Any) -> Engine:
    return Engine(peer="peer", container_id="us", **options)


def opened(peer: Peer, **options: Any) -> Engine:
    engine = engine_of(**options)
    pump(engine, peer)
    assert engine.events() == [Opened()]
    return engine


def only(engine: Engine, kind: type[E]) -> E:
    found = [event for event in engine.events() if isinstance(event, kind)]
    assert len(found) == 1
    return found[0]


def sender(
    engine: Engine, peer: Peer, address: str | None = "node", *, confirm: bool = True
) -> SenderLink:
    link = engine.open_sender(address, confirm=confirm)
    pump(engine, peer)
    assert link.is_open
    engine.events()
    return link


def receiver(engine: Engine, peer: Peer, **options: Any) -> ReceiverLink:
    link = engine.open_receiver(Subscription(**{"address": "node", **options}))
    pump(engine, peer)
    assert link.is_open
    link.start()
    pump(engine, peer)
    engine.events()
    return link


def publications(count: int, size: int = 10, **more: Any) -> list[Publication]:
    return [Publication(NODE, b"%0*d" % (size, at), **more) for at in range(count)]


def data(body: bytes) -> bytes:
    return encode_data(body) + body
