"""What a connection tells its caller, beside messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .._message import Message
from .metadata import PeerInfo


@dataclass(frozen=True, slots=True)
class HandshakeSucceeded:
    """Both sides agree: messages may be sent from now on."""

    peer: PeerInfo


@dataclass(frozen=True, slots=True)
class Subscribe:
    """The peer wants messages that begin with ``topic``; only a PUB or XPUB is told so."""

    topic: bytes


@dataclass(frozen=True, slots=True)
class Cancel:
    """The peer takes back one :class:`Subscribe` of the same topic."""

    topic: bytes


Event: TypeAlias = Message | HandshakeSucceeded | Subscribe | Cancel
"""A message is an event by itself, so that the busiest path makes no object for it."""


def find_topics(events: list[Event], start: int) -> None:
    """Replace messages that are subscriptions, from ``start`` on.

    A multipart message is never one: its first frame may begin with any octet.
    """
    for index in range(start, len(events)):
        message = events[index]
        if type(message) is bytes and message[:1] in (b"\0", b"\1"):
            events[index] = Subscribe(message[1:]) if message[0] else Cancel(message[1:])
