"""AMQP 1.0 without I/O: Qpid Proton's engine behind bytes, time and typed events.

Needs the extra ``amqp10``. :class:`Engine` is one connection; it makes :class:`SenderLink` and
:class:`ReceiverLink`.

How a message (part 3.2) maps to a body and :class:`~hypersocket.amqp.Properties`:

=================  ======================================  ==============================
Properties         section and field                       type on the wire
=================  ======================================  ==============================
content_type       properties: content-type                symbol
content_encoding   properties: content-encoding            symbol
headers            application-properties                  map of str to any simple value
annotations        message-annotations                     map of symbol (``x-opt-...``)
durable            header: durable                         boolean
priority           header: priority                        ubyte; a peer's default is 4
message_id         properties: message-id                  str, ulong, uuid or binary
correlation_id     properties: correlation-id              str, ulong, uuid or binary
reply_to           properties: reply-to                    str
ttl                header: ttl                             uint: milliseconds
timestamp          properties: creation-time               timestamp: milliseconds
type               properties: subject                     str
user_id            properties: user-id                     binary: UTF-8
app_id             properties: group-id                    str
=================  ======================================  ==============================

A target's ``routing_key``, if not empty, is the subject, and its ``address`` goes to ``to`` on an
anonymous relay. An int in headers is a long (a ulong beyond 2**63), a float a double, a naive
datetime is UTC; lists and maps in headers are written as such, though 3.2.5 has simple values only:
brokers pass them on.

Bodies go out as one Data section. What comes in: Data sections are joined; of an AmqpValue, bytes
are taken as they are, text as UTF-8 and null as nothing; any other value, and AmqpSequences (joined
into one list), become JSON, with bytes as ``{"base64": ...}``, UUIDs as text and times in ISO 8601.
"""

from ._codec import CodecError
from ._conditions import Condition
from ._delivery import Delivery
from ._encoding import encode_data, encode_prefix
from ._engine import Engine
from ._events import CreditGiven, Ended, Event, LinkEnded, LinkOpened, Opened, Received, Settled
from ._links import Link
from ._quirks import NO_QUIRKS, RABBITMQ, RABBITMQ_3, Quirks, quirks_of
from ._receiver import ReceiverLink
from ._sections import Sections
from ._sender import SenderLink

__all__ = [
    "NO_QUIRKS",
    "RABBITMQ",
    "RABBITMQ_3",
    "CodecError",
    "Condition",
    "CreditGiven",
    "Delivery",
    "Ended",
    "Engine",
    "Event",
    "Link",
    "LinkEnded",
    "LinkOpened",
    "Opened",
    "Quirks",
    "Received",
    "ReceiverLink",
    "Sections",
    "SenderLink",
    "Settled",
    "encode_data",
    "encode_prefix",
    "quirks_of",
]
