"""ZMTP 3.1 and 3.0, sans-I/O: it knows bytes and times, and neither sockets nor clocks."""

from __future__ import annotations

from .commands import MAX_PING_CONTEXT, MAX_TTL
from .connection import MAX_PENDING_PONGS, Connection
from .events import Cancel, Event, HandshakeSucceeded, Subscribe
from .greeting import GREETING_SIZE, VERSION
from .heartbeat import Heartbeat
from .limits import Limits
from .mechanism import HandshakeContext, Mechanism, Null, Progress
from .metadata import COMPATIBLE, MAX_ROUTING_ID, WITH_ROUTING_ID, Metadata, PeerInfo
from .states import TRANSITIONS, Input, State, render_markdown, render_mermaid

__all__ = [
    "COMPATIBLE",
    "GREETING_SIZE",
    "MAX_PENDING_PONGS",
    "MAX_PING_CONTEXT",
    "MAX_ROUTING_ID",
    "MAX_TTL",
    "TRANSITIONS",
    "VERSION",
    "WITH_ROUTING_ID",
    "Cancel",
    "Connection",
    "Event",
    "HandshakeContext",
    "HandshakeSucceeded",
    "Heartbeat",
    "Input",
    "Limits",
    "Mechanism",
    "Metadata",
    "Null",
    "PeerInfo",
    "Progress",
    "State",
    "Subscribe",
    "render_markdown",
    "render_mermaid",
]
