"""Deadlines of connections: one heap for all of a socket's."""

from __future__ import annotations

import heapq
import math
from itertools import count
from typing import Protocol


class Timed(Protocol):
    """Who waits for a deadline."""

    def time_is_up(self, now: float) -> None:
        """The deadline it asked for has come. Does not raise."""


class Timers:
    """Who is to be told when."""

    def __init__(self) -> None:
        self._deadlines: list[tuple[float, int]] = []  # a heap
        self._timed: dict[int, Timed] = {}  # those of its entries that were not cancelled
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._timed)

    @property
    def entries(self) -> int:
        """How many are kept, with those that were cancelled."""
        return len(self._deadlines)

    @property
    def next_deadline(self) -> float:
        """When there is one to be told, or one that was cancelled; never, if none is left."""
        return self._deadlines[0][0] if self._deadlines else math.inf

    def add(self, deadline: float, timed: Timed) -> int:
        """Tell this one then; returns what :meth:`cancel` takes."""
        number = next(self._numbers)
        self._timed[number] = timed
        heapq.heappush(self._deadlines, (deadline, number))
        return number

    def cancel(self, number: int) -> None:
        """Forget one, unless it is over; what was to be told is held no longer."""
        self._timed.pop(number, None)
        if len(self._deadlines) > 2 * len(self._timed) + 16:
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._timed]
            heapq.heapify(self._deadlines)

    def tell(self, now: float) -> None:
        """Tell those whose time has come."""
        while self._deadlines and self._deadlines[0][0] <= now:
            timed = self._timed.pop(heapq.heappop(self._deadlines)[1], None)
            if timed is not None:
                timed.time_is_up(now)
