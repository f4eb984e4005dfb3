"""The rare methods: those of handshakes, declarations and ends.

pamqp reads them, and writes those that have no names of the user's in them. It refuses names that
brokers allow and writes floats in 32 bits, so what has names or arguments is packed here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from .._types import Binding, Exchange, Queue, Subscription
from ._errors import Malformed
from ._values import short_string, table

try:
    from pamqp import base
    from pamqp import commands as commands
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "pamqp":
        raise
    raise ImportError("AMQP 0-9-1 needs pamqp: pip install 'hypersocket[amqp]'") from None

FRAME_METHOD: Final = 1
FRAME_HEADER: Final = 2
FRAME_BODY: Final = 3
FRAME_HEARTBEAT: Final = 8
FRAME_END: Final = 0xCE
END: Final = b"\xce"

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
HEARTBEAT: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"

MAX_PREFETCH: Final = 0xFFFF
MAX_CHANNELS: Final = 0xFFFF

_pack_head = struct.Struct("!BHI").pack
_pack_index = struct.Struct("!I").pack
_unpack_index = struct.Struct("!I").unpack_from
_pack_qos = struct.Struct("!IHB").pack

_EXCHANGE_DECLARE: Final = 40 << 16 | 10
_QUEUE_DECLARE: Final = 50 << 16 | 10
_QUEUE_BIND: Final = 50 << 16 | 20
_QUEUE_UNBIND: Final = 50 << 16 | 50
_BASIC_QOS: Final = 60 << 16 | 10
_BASIC_CONSUME: Final = 60 << 16 | 20
_NO_TICKET: Final = b"\x00\x00"


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """A whole frame."""
    return _pack_head(kind, channel, len(payload)) + payload + END


def write(method: base.Frame, channel: int) -> bytes:
    """A method of pamqp's, as a frame."""
    return frame(FRAME_METHOD, channel, _pack_index(method.index) + method.marshal())


def read(payload: bytes) -> base.Frame:
    """A method's frame, read by pamqp.

    Raises:
        Malformed: it is no method, or its arguments cannot be read.
    """
    if len(payload) < 4:
        raise Malformed("a method's frame is too short")
    index: int = _unpack_index(payload)[0]
    kind = commands.INDEX_MAPPING.get(index)
    if kind is None:
        raise Malformed(f"method {index >> 16}.{index & 0xFFFF} is not known", 540)
    try:
        method: base.Frame = kind()
        method.unmarshal(payload[4:])
    except Exception as error:
        # Whatever pamqp says of a peer's bytes, and in whichever way: this connection ends.
        raise Malformed(f"{kind.__qualname__} cannot be read: {error}", 502) from error
    return method


def _method(channel: int, index: int, *parts: bytes) -> bytes:
    return frame(FRAME_METHOD, channel, _pack_index(index) + b"".join(parts))


def _bits(*flags: bool) -> bytes:
    return bytes((sum(flag << place for place, flag in enumerate(flags)),))


def exchange_declare(channel: int, exchange: Exchange) -> bytes:
    """Exchange.Declare; ValueError names what cannot be written."""
    return _method(
        channel,
        _EXCHANGE_DECLARE,
        _NO_TICKET,
        short_string(exchange.name, "the exchange's name"),
        short_string(exchange.type, "the exchange's type"),
        _bits(exchange.passive, exchange.durable, exchange.auto_delete, False, False),
        table(exchange.arguments, "arguments"),
    )


def queue_declare(channel: int, queue: Queue) -> bytes:
    """Queue.Declare; ValueError names what cannot be written."""
    return _method(
        channel,
        _QUEUE_DECLARE,
        _NO_TICKET,
        short_string(queue.name, "the queue's name"),
        _bits(queue.passive, queue.durable, queue.exclusive, queue.auto_delete, False),
        table(queue.arguments, "arguments"),
    )


def queue_bind(channel: int, binding: Binding) -> bytes:
    """Queue.Bind; ValueError names what cannot be written."""
    names = _binding_names(binding)
    return _method(
        channel, _QUEUE_BIND, _NO_TICKET, names, b"\x00", table(binding.arguments, "arguments")
    )


def queue_unbind(channel: int, binding: Binding) -> bytes:
    """Queue.Unbind; ValueError names what cannot be written."""
    names = _binding_names(binding)
    return _method(channel, _QUEUE_UNBIND, _NO_TICKET, names, table(binding.arguments, "arguments"))


def _binding_names(binding: Binding) -> bytes:
    return (
        short_string(binding.queue, "the queue's name")
        + short_string(binding.exchange, "the exchange's name")
        + short_string(binding.routing_key, "the routing key")
    )


def basic_qos(channel: int, credit: int) -> bytes:
    """Basic.Qos: how many deliveries may be unsettled; at most 65535 can be said."""
    return _method(channel, _BASIC_QOS, _pack_qos(0, min(credit, MAX_PREFETCH), 0))


def basic_consume(channel: int, subscription: Subscription, tag: str, *, no_ack: bool) -> bytes:
    """Basic.Consume; ValueError names what cannot be written."""
    return _method(
        channel,
        _BASIC_CONSUME,
        _NO_TICKET,
        short_string(subscription.queue, "the queue's name"),
        short_string(tag, "the consumer's tag"),
        _bits(False, no_ack, subscription.exclusive, False),
        table(subscription.arguments, "arguments"),
    )


def client_properties(name: str, version: str) -> Mapping[str, Any]:
    """What the broker is told of us: what we understand, and what an operator sees."""
    return {
        "product": "hypersocket",
        "version": version,
        "platform": "Python",
        "connection_name": name,
        "capabilities": {
            "publisher_confirms": True,
            "exchange_exchange_bindings": True,
            "basic.nack": True,
            "consumer_cancel_notify": True,
            "connection.blocked": True,
            "authentication_failure_close": True,
        },
    }
