"""Topics of the monitor feed: what is told of which device, socket and peer.

A topic has five levels, each of which ends with a slash: ``hs1/orders/in/10.0.0.7:4711/stats/``.
A subscription matches a prefix of bytes, so one that ends with a slash means whole names:
``hs1/order/`` does not match what is told of ``orders``. In a name, every byte that could be
mistaken for structure is percent-encoded as in RFC 3986.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes

from .._errors import HypersocketError

VERSION = "hs1"
"""The first level: the scheme of topics and bodies. Another scheme would have another."""

STATS = "stats"
"""The event's name of statistics, which come at each interval."""

MAX_NAME = 255
"""Bytes of a name of a device or socket. A topic stays far below what a peer may subscribe to."""

MAX_TOPIC = 4096
"""Bytes of a topic that are read at most: names, the longest of paths, all of it encoded."""

_SAFE = ":@[]#*~"  # beside letters, digits and _.-: what addresses are written with


class FeedError(HypersocketError, ValueError):
    """A message is not one of a monitor feed; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What one message of a feed is about.

    Attributes:
        device: the name of the device or program that publishes.
        socket: the name of its socket; empty where the message is about the device as a whole.
        peer: the peer's name; empty where the message is about the socket as a whole.
        event: ``"stats"``, or the name of the event.
    """

    device: str
    socket: str = ""
    peer: str = ""
    event: str

    def __bytes__(self) -> bytes:
        levels = (VERSION, self.device, self.socket, self.peer, self.event)
        return b"".join(_escaped(level) for level in levels)


def parse_topic(topic: bytes) -> Topic:
    """Read the topic of a message.

    Raises:
        FeedError: it is not one of a monitor feed, or one of another version.
    """
    if len(topic) > MAX_TOPIC:
        raise FeedError(f"a topic of {len(topic)} bytes, where {MAX_TOPIC} are the most")
    version, *levels = topic.split(b"/")
    if version != VERSION.encode():
        raise FeedError(f"the topic {short(topic)} does not begin with {VERSION}/")
    if len(levels) != 5 or levels[-1] or not levels[0] or not levels[3]:
        raise FeedError(
            f"the topic {short(topic)} is not {VERSION}/DEVICE/SOCKET/PEER/EVENT/,"
            " of which SOCKET and PEER may be empty"
        )
    try:
        device, socket, peer, event = (unquote_to_bytes(level).decode() for level in levels[:4])
    except UnicodeDecodeError:
        raise FeedError(f"a name in the topic {short(topic)} is not UTF-8") from None
    return Topic(device=device, socket=socket, peer=peer, event=event)


def topic_prefix(
    device: str | None = None, socket: str | None = None, peer: str | None = None
) -> bytes:
    """What to subscribe to for everything, or for one device, or socket, or peer of it.

    ``topic_prefix("orders")`` is everything of that device, its sockets and their peers;
    ``topic_prefix("orders", "")`` what is told of the device as a whole alone, and likewise
    ``topic_prefix("orders", "in", "")`` of its socket ``in``.

    Raises:
        ValueError: a name is given below one that is not.
    """
    levels = [device, socket, peer]
    given = [level for level in levels if level is not None]
    if levels[: len(given)] != given:
        raise ValueError("a socket is one of a device, and a peer one of a socket: give both")
    return b"".join(_escaped(level) for level in (VERSION, *given))


def _escaped(name: str) -> bytes:
    # Paths of sockets may hold bytes that are no text; these stand as question marks.
    return quote_from_bytes(name.encode(errors="replace"), safe=_SAFE).encode() + b"/"


def short(topic: bytes) -> str:
    """A topic for an error's text."""
    return repr(topic if len(topic) <= 80 else topic[:80] + b"...")
