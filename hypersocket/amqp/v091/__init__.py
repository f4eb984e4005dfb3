"""AMQP 0-9-1 without I/O: :class:`Connection` turns bytes into events, and requests into bytes.

Needs the extra ``amqp``.
"""

from __future__ import annotations

from ._channel import Channel, ChannelState
from ._confirms import ConfirmWindow
from ._connection import Connection, Settings, State
from ._errors import channel_closed, connection_closed
from ._events import (
    Blocked,
    Cancelled,
    ChannelEnded,
    Delivered,
    Ended,
    Event,
    Flow,
    Opened,
    Replied,
    Settled,
)
from ._message import ACCEPTED, REJECTED, RELEASED, Message
from ._settlements import Settlements

__all__ = [
    "ACCEPTED",
    "REJECTED",
    "RELEASED",
    "Blocked",
    "Cancelled",
    "Channel",
    "ChannelEnded",
    "ChannelState",
    "ConfirmWindow",
    "Connection",
    "Delivered",
    "Ended",
    "Event",
    "Flow",
    "Message",
    "Opened",
    "Replied",
    "Settings",
    "Settled",
    "Settlements",
    "State",
    "channel_closed",
    "connection_closed",
]
