"""Finds the request whose answer has the broker end the whole connection.

With a connection goes what was received by it: answers are forgotten, and the broker gives their
requests out again, to be carried out again. So a request is known again by what is in it. Those
whose answers were on their way when a connection ended are suspect, and their next answers go one
at a time, until the broker has taken them; the one that is alone when that happens again and again
is guilty.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TypeVar

from ....amqp import AmqpError
from .._client import Delivery
from ._suspects import strikes_for

T = TypeVar("T")

MOST = 1000
"""Requests that are remembered at most, suspect or guilty: others may have been given them."""


class Request:
    """A request, and what it is known again by.

    Attributes:
        delivery: as the broker gave it out.
    """

    __slots__ = ("_key", "delivery")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self._key: bytes | None = None

    @property
    def key(self) -> bytes:
        """What is in it, in short; made when it is asked for first, which is seldom."""
        if self._key is None:
            self._key = _known_by(self.delivery)
        return self._key


class Recurring:
    """Requests that come again because of what their answers did.

    Attributes:
        suspected: whether there are suspects.
    """

    def __init__(self) -> None:
        self._strikes: dict[bytes, int] = {}  # of suspects
        self._guilty: dict[bytes, str] = {}  # and the broker's words

    @property
    def suspected(self) -> bool:
        return bool(self._strikes)

    def suspects(self, request: Request) -> bool:
        """Whether the answer to this one is to go alone."""
        return bool(self._strikes) and request.key in self._strikes

    def ended(self, error: AmqpError, alone: Request | None, under_way: Iterable[Request]) -> None:
        """The connection has ended, perhaps for what is in an answer.

        Args:
            error: how.
            alone: whose answer was on its way, with no other.
            under_way: whose answers were on their way.
        """
        needed = strikes_for(error, own_key=False)
        if not needed:
            return
        for one in under_way:
            self._strikes.setdefault(one.key, 0)
        if alone is not None:
            key = alone.key
            strikes = self._strikes.pop(key, 0) + 1
            if strikes < needed:
                self._strikes[key] = strikes
            else:
                self._guilty[key] = str(error)
        _keep_newest(self._strikes)
        _keep_newest(self._guilty)

    def verdict(self, request: Request) -> str:
        """The broker's words for what the answer to this one did; empty if it is not guilty.

        Only one that was given out before can be: another that looks the same is innocent.
        """
        if not self._guilty or not request.delivery.redelivered:
            return ""
        return self._guilty.get(request.key, "")

    def cleared(self, request: Request) -> None:
        """It is done: the broker has taken its answer, or does not want it."""
        if self._strikes or self._guilty:
            self._strikes.pop(request.key, None)
            self._guilty.pop(request.key, None)


def _known_by(delivery: Delivery) -> bytes:
    said = delivery.properties
    names = repr((said.reply_to, said.correlation_id, said.message_id)).encode()
    return hashlib.blake2b(names + b"\0" + delivery.body, digest_size=16).digest()


def _keep_newest(these: dict[bytes, T]) -> None:
    for key in list(these)[: max(0, len(these) - MOST)]:
        del these[key]
