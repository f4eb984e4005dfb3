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
