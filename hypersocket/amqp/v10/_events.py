"""What an :class:`~hypersocket.amqp.v10.Engine` tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from .._types import AmqpError, ConnectionLost, Outcome, Publication

if TYPE_CHECKING:
    from ._links import Link
    from ._receiver import ReceiverLink
    from ._sender import SenderLink


@dataclass(slots=True)
class Opened:
    """The peer has opened the connection, and lets us begin sessions."""


@dataclass(slots=True)
class Ended:
    """The connection has ended; links have been told before. Nothing comes after this."""

    error: ConnectionLost


@dataclass(slots=True)
class LinkOpened:
    """The peer has attached its end of a link."""

    link: Link


@dataclass(slots=True)
class LinkEnded:
    """A link has ended: refused, detached by the peer, closed by us, or with its connection.

    Attributes:
        link: which.
        error: why; None if we had closed it.
    """

    link: Link
    error: AmqpError | None


@dataclass(slots=True)
class CreditGiven:
    """The peer lets a link send more."""

    link: SenderLink


@dataclass(slots=True)
class Settled:
    """What became of publications, in the order of the peer's answers."""

    link: SenderLink
    publications: list[Publication]
    outcome: Outcome


@dataclass(slots=True)
class Received:
    """There are deliveries to :meth:`~hypersocket.amqp.v10.ReceiverLink.take`."""

    link: ReceiverLink


Event: TypeAlias = Opened | Ended | LinkOpened | LinkEnded | CreditGiven | Settled | Received
