"""Finds the message for which the broker has ended a channel, a link, or the connection.

Where several were unconfirmed then, nobody says for which. They are sent again one at a time: one
that is alone when it happens again is guilty, and is not sent any more. That is for what is in the
message, or for where it wants to go; what is wrong with the route holds all of them back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Generic, TypeVar

from ....amqp import AmqpError, ChannelLost

T = TypeVar("T")

STRIKES = 3
"""How often a message is alone when the broker cannot go on, before it is guilty: that may be for
what another route has sent, or pass."""

_OF_MESSAGES = (
    *("311", "406", "amqp:precondition-failed"),
    *("amqp:invalid-field", "amqp:decode-error", "amqp:not-implemented"),
    "amqp:link:message-size-exceeded",
)
"""Conditions by which a broker ends a channel or link for what is in one message."""

_OF_TOPICS = ("403", "amqp:unauthorized-access")
_TOPIC = re.compile(r"access to topic '")
"""RabbitMQ's words for one routing key; what is forbidden as a whole is "access to exchange"."""

_FAULTS = (
    *("501", "502", "503", "505", "540", "541"),
    *("amqp:internal-error", "amqp:decode-error", "amqp:invalid-field", "amqp:not-implemented"),
    *("amqp:connection:framing-error", "amqp:frame-size-too-small"),
)
"""Conditions by which a broker ends a connection, or a session, when it cannot go on with it."""


def strikes_for(error: AmqpError, *, own_key: bool) -> int:
    """How often a message has to be alone when this happens, to be guilty; 0: it is not to blame.

    Args:
        error: how the channel or connection ended.
        own_key: whether messages have routing keys of their own.
    """
    condition = error.condition
    if isinstance(error, ChannelLost):
        if condition.startswith(_OF_MESSAGES):
            return 1
        if own_key and condition.startswith(_OF_TOPICS) and _TOPIC.search(str(error)):
            return 1
    return STRIKES if condition.startswith(_FAULTS) else 0


class Suspects(Generic[T]):
    """Finds the guilty one among what is sent again.

    Args:
        own_key: whether messages have routing keys of their own.
        bounded: whether a message is given up when it was tried so often, whatever the reason.

    Attributes:
        one_by_one: whether they are to be sent one at a time.
        searching: whether the last end was for one of them, as far as can be told.
        alone: which one is under way, with no other.
        words: the broker's, at the last end.
    """

    def __init__(self, *, own_key: bool, bounded: bool = False) -> None:
        self.one_by_one = False
        self.searching = False
        self.alone: T | None = None
        self.words = ""
        self._own_key = own_key
        self._strikes: dict[T, int] = {}
        self._bounded = bounded
        self._confirmed = -1

    def begin(self) -> None:
        """There is a channel again."""
        self.alone = None

    def ended(self, error: AmqpError, confirmed: int) -> T | None:
        """It has ended: which one is guilty of that, if that is known.

        Args:
            error: how.
            confirmed: how many messages the broker has taken by now.
        """
        alone, self.alone = self.alone, None
        self.words = str(error)
        needed = strikes_for(error, own_key=self._own_key)
        self.searching = needed > 0
        # Nothing was confirmed between two ends: one may be in the way, whatever the reason. That
        # is not to cost the others their attempts.
        fruitless, self._confirmed = confirmed == self._confirmed, confirmed
        self.one_by_one = self.searching or (fruitless and self._bounded)
        if alone is None or not needed:
            return None
        self._strikes[alone] = self._strikes.get(alone, 0) + 1
        if self._strikes[alone] < needed:
            return None
        del self._strikes[alone]
        return alone

    def cleared(self, these: Iterable[T]) -> None:
        """The broker has taken them."""
        for one in these:
            self._strikes.pop(one, None)
