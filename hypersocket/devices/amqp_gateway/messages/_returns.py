"""How often a message came back, where the broker says no more than that it did."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

from .._client import Delivery

REMEMBERED = 4096
"""Messages that are with the broker again, and whose counts are remembered."""

_Known: TypeAlias = tuple[object, ...]


class Returns:
    """Counts what was given out before.

    A message is known by its id, by where it was published, and by its body, and others may look
    the same. So each one that goes back leaves its own count, and one that comes takes only one of
    those: what is here at the same time is not the same message, however much it looks like it.
    """

    def __init__(self) -> None:
        self._here: dict[int, tuple[Delivery, _Known, int]] = {}
        self._back: dict[_Known, deque[int]] = {}

    def came(self, delivery: Delivery) -> int:
        """One that was given out before has come; returns how often that was, as far as is known.

        It is remembered until it is told what became of it.
        """
        known = _known_by(delivery)
        counts = self._back.get(known)
        count = 1
        if counts:
            count += counts.popleft()
            if not counts:
                del self._back[known]
        self._here[id(delivery)] = delivery, known, count
        return count

    def settled(self, deliveries: Sequence[Delivery]) -> None:
        """They will not come again."""
        if self._here:
            for one in deliveries:
                self._here.pop(id(one), None)

    def accepted(self, deliveries: Sequence[Delivery]) -> None:
        """They will not come again, and what looks like them does no harm."""
        if self._here:
            for one in deliveries:
                here = self._here.pop(id(one), None)
                if here is not None:
                    self._back.pop(here[1], None)

    def went_back(self, deliveries: Sequence[Delivery]) -> None:
        """The broker has them again."""
        if self._here:
            for one in deliveries:
                here = self._here.pop(id(one), None)
                if here is not None:
                    self._remember(here[1], here[2])

    def all_went_back(self) -> None:
        """The broker has all of them again that were not settled."""
        here, self._here = self._here, {}
        for _, known, count in here.values():
            self._remember(known, count)

    def _remember(self, known: _Known, count: int) -> None:
        counts = self._back.pop(known, None) or deque[int]()
        counts.append(count)
        if len(self._back) >= REMEMBERED:
            del self._back[next(iter(self._back))]
        self._back[known] = counts


def _known_by(delivery: Delivery) -> _Known:
    target = delivery.target
    identifier = delivery.properties.message_id
    return identifier, target.exchange, target.routing_key, hash(delivery.body)
