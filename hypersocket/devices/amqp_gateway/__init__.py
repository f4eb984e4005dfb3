"""The AMQP gateway: a device between ØMQ sockets and a broker.

::

    from hypersocket.devices import amqp_gateway

    config = amqp_gateway.load("bridge.toml")
    await amqp_gateway.run_gateway(amqp_gateway.AmqpGateway(config.spec), config)
"""

from __future__ import annotations

from ._client import BrokerAddress
from ._errors import GatewayError
from ._gateway import AmqpGateway
from ._spec import (
    SOCKET_TYPES,
    BrokerSpec,
    DeadLetters,
    GatewaySpec,
    Policy,
    RouteSocket,
    RouteSpec,
)
from ._stats import GatewayResult, GatewayStats, RouteStats
from ._watched import run as run_gateway
from .config._config import GatewayConfig
from .config._load import load, loads

__all__ = [
    "SOCKET_TYPES",
    "AmqpGateway",
    "BrokerAddress",
    "BrokerSpec",
    "DeadLetters",
    "GatewayConfig",
    "GatewayError",
    "GatewayResult",
    "GatewaySpec",
    "GatewayStats",
    "Policy",
    "RouteSocket",
    "RouteSpec",
    "RouteStats",
    "load",
    "loads",
    "run_gateway",
]
