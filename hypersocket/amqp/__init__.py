"""AMQP 0-9-1 and 1.0 without I/O: bytes and the time in, events and bytes out.

Importing this needs nothing; ``v091`` needs the extra ``amqp``, and ``v10`` the extra ``amqp10``.
"""

from ._types import (
    CONFIRMED,
    NO_PROPERTIES,
    AmqpError,
    Binding,
    ChannelLost,
    ConnectionLost,
    Declaration,
    Exchange,
    Identifier,
    NotSupported,
    Outcome,
    Properties,
    Publication,
    Queue,
    Result,
    Subscription,
    Target,
)

__all__ = [
    "CONFIRMED",
    "NO_PROPERTIES",
    "AmqpError",
    "Binding",
    "ChannelLost",
    "ConnectionLost",
    "Declaration",
    "Exchange",
    "Identifier",
    "NotSupported",
    "Outcome",
    "Properties",
    "Publication",
    "Queue",
    "Result",
    "Subscription",
    "Target",
]
