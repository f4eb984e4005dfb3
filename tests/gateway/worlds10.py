"""What tests of the gateway over AMQP 1.0 have in common."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from hypersocket.devices.amqp_gateway._client import BrokerAddress
from hypersocket.devices.amqp_gateway._gateway import AmqpGateway
from hypersocket.devices.amqp_gateway._spec import BrokerSpec, GatewaySpec, RouteSpec
from hypersocket.devices.amqp_gateway.clients import v10

from ..amqp.v10.peer import Peer, serve
from ..brokers.proton_c import ProtonBroker
from ..brokers.rabbitmq import RabbitMQ
from . import worlds


def gateway(
    where: RabbitMQ | BrokerAddress, *routes: RouteSpec, name: str = "gw", **changes: Any
) -> AmqpGateway:
    """A gateway over AMQP 1.0, not yet running."""
    address = where if isinstance(where, BrokerAddress) else worlds.address(where)
    broker = BrokerSpec(
        protocol="1.0", addresses=(address,), reconnect_ivl=0.05, reconnect_ivl_max=0.5
    )
    given = {"linger": worlds.PATIENCE, **changes}
    return AmqpGateway(GatewaySpec(name=name, broker=broker, routes=routes, **given))


def anonymous(port: int) -> BrokerAddress:
    """A broker that asks nobody who he is."""
    return BrokerAddress(
        host="127.0.0.1",
        port=port,
        sasl="ANONYMOUS",
        heartbeat=worlds.PATIENCE,
        connect_timeout=worlds.PATIENCE,
    )


def of(broker: ProtonBroker) -> BrokerAddress:
    """Where proton's broker is."""
    return anonymous(broker.port)


def stats(gw: AmqpGateway) -> Any:
    """Of its first route."""
    return gw.stats().routes[0]


def connect(where: RabbitMQ | BrokerAddress) -> Any:
    """A program that speaks AMQP 1.0, for an ``async with``."""
    address = where if isinstance(where, BrokerAddress) else worlds.address(where)
    return v10.connect(address)


@asynccontextmanager
async def peer_on_tcp(make: Callable[[], Peer]) -> AsyncGenerator[tuple[BrokerAddress, list[Peer]]]:
    """A server of proton's engine on a TCP port: where it is, and a peer for each connection."""
    peers: list[Peer] = []

    async def talk(stream: trio.SocketStream) -> None:
        peer = make()
        peers.append(peer)
        async with stream:
            await serve(peer, stream)

    async with trio.open_nursery() as nursery:
        listen = functools.partial(trio.serve_tcp, talk, 0, host="127.0.0.1")
        (listener,) = await nursery.start(listen)
        yield anonymous(listener.socket.getsockname()[1]), peers
        nursery.cancel_scope.cancel()
