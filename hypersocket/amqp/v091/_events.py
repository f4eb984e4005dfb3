"""What a connection tells its owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from .._types import ChannelLost, ConnectionLost, Outcome, Publication
from ._message import Message

if TYPE_CHECKING:
    from ._channel import Channel


@dataclass(frozen=True, slots=True)
class Opened:
    """The connection is open.

    Attributes:
        broker: what the broker told of itself.
        heartbeat: seconds between two heartbeats; 0 for none.
    """

    broker: Mapping[str, Any]
    heartbeat: int


@dataclass(frozen=True, slots=True)
class Replied:
    """The oldest unanswered request of a channel was granted.

    Attributes:
        value: the name of the queue, or the consumer's tag; empty where there is none.
    """

    channel: Channel
    value: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Messages for a channel's consumer, in order."""

    channel: Channel
    messages: list[Message]


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of publications."""

    channel: Channel
    publications: list[Publication]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The broker ended a channel's consumer; the channel stands."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Flow:
    """The broker asks for no publications on a channel (``active`` is False), or for more again."""

    channel: Channel
    active: bool


@dataclass(frozen=True, slots=True)
class ChannelEnded:
    """A channel has ended: the broker closed it, or (``error`` is None) we did."""

    channel: Channel
    error: ChannelLost | None


@dataclass(frozen=True, slots=True)
class Blocked:
    """The broker takes no publications; None: it does again."""

    reason: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection has ended; the last event."""

    error: ConnectionLost


Event: TypeAlias = (
    Opened | Replied | Delivered | Settled | Cancelled | Flow | ChannelEnded | Blocked | Ended
)
