"""A peer made of bytes, and the shortest ways to a connection in a given state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypersocket._message import Message
from hypersocket.zmtp import Connection, Event, Heartbeat, Limits, State

GREETING_3_1 = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
GREETING_3_0 = GREETING_3_1[:11] + b"\0" + GREETING_3_1[12:]

MATCH = {
    "PUSH": "PULL",
    "PULL": "PUSH",
    "PUB": "SUB",
    "XPUB": "XSUB",
    "SUB": "PUB",
    "XSUB": "XPUB",
    "REQ": "REP",
    "REP": "REQ",
    "DEALER": "ROUTER",
    "ROUTER": "DEALER",
    "PAIR": "PAIR",
}


def frame(body: bytes, flags: int = 0) -> bytes:
    if len(body) < 256:
        return bytes((flags, len(body))) + body
    return bytes((flags | 2,)) + len(body).to_bytes(8, "big") + body


def command(name: bytes, data: bytes = b"") -> bytes:
    return frame(bytes((len(name),)) + name + data, 4)


def prop(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + len(value).to_bytes(4, "big") + value


def ready(socket_type: str, *more: bytes) -> bytes:
    return command(b"READY", prop(b"Socket-Type", socket_type.encode()) + b"".join(more))


def handshake(local: str, greeting: bytes = GREETING_3_1, *more: bytes) -> bytes:
    """What a peer sends so that a local socket of that type is content."""
    return greeting + ready(MATCH[local], *more)


def connection(socket_type: str = "PULL", **options: Any) -> Connection:
    options = {"as_server": True, "now": 0.0} | options
    return Connection(socket_type, **options)


def in_traffic(
    socket_type: str = "PULL", greeting: bytes = GREETING_3_1, **options: Any
) -> Connection:
    """A connection after its handshake, with nothing left to send."""
    made = connection(socket_type, **options)
    made.receive(handshake(socket_type, greeting), 0.0)
    (_,) = made.next_events()
    made.data_to_send()
    return made


def feed(conn: Connection, *pieces: bytes, now: float = 0.0) -> list[Event]:
    events: list[Event] = []
    for piece in pieces:
        conn.receive(piece, now)
        while conn.has_pending_input:
            events += conn.next_events()
    return events


def state_of(conn: Connection) -> State:
    """The state, asked for anew: a type checker believes that calls do not change it."""
    return conn.state


def has_more(conn: Connection) -> bool:
    """As above, for input that is left."""
    return conn.has_pending_input


def encoded(conn: Connection, messages: Iterable[Message]) -> bytes:
    out: list[bytes] = []
    conn.encode(messages, out)
    return b"".join(out)


def join(one: Connection, two: Connection) -> tuple[list[Event], list[Event]]:
    """Let two connections talk until both are silent; return the events of each."""
    events: tuple[list[Event], list[Event]] = ([], [])
    while True:
        to_two, to_one = one.data_to_send(), two.data_to_send()
        if not to_two and not to_one:
            return events
        for conn, data, seen in ((two, to_two, events[1]), (one, to_one, events[0])):
            if data:
                seen += feed(conn, data)


TIGHT = Limits(
    max_message_size=1000,
    max_frames=3,
    max_command_size=200,
    max_metadata_size=150,
    max_topic_size=20,
)
BEAT = Heartbeat(interval=10.0, timeout=15.0, ttl=30.0)
