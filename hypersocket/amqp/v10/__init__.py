"""AMQP 1.0 without I/O: Qpid Proton's engine behind bytes, time and typed events.

Needs the extra ``amqp10``. :class:`Engine` is one connection; it makes :class:`SenderLink` and
:class:`ReceiverLink`. How messages map is in ``_message.py``'s docstring.
"""

from ._codec import CodecError
from ._conditions import Condition
from ._delivery import Delivery
from ._engine import Engine
from ._events import CreditGiven, Ended, Event, LinkEnded, LinkOpened, Opened, Received, Settled
from ._links import Link, ReceiverLink, SenderLink
from ._message import NO_QUIRKS, RABBITMQ_3, Quirks, Sections, encode_data, encode_prefix, quirks_of

__all__ = [
    "NO_QUIRKS",
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
