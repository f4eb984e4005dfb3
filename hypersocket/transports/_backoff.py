"""How long to wait before connecting again."""

from __future__ import annotations

import math
import random

from .._option_groups import SocketOptions


class Backoff:
    """The pauses between attempts: each twice the last, less a random part of up to a half."""

    def __init__(self, options: SocketOptions) -> None:
        self._options = options
        self._failures = 0
        self._last = 0.0

    def stood(self, duration: float) -> None:
        """A connection has stood for ``duration`` seconds.

        If that is longer than the last pause, the next is the first again. A peer that accepts us
        and then throws us out at once is no better than one that is not there.
        """
        if duration > self._last:
            self._failures = 0

    def next(self) -> float:
        """The pause before the next attempt, in seconds; infinite for never."""
        first, most = self._options.reconnect_ivl, self._options.reconnect_ivl_max
        pause = first * 2 ** min(self._failures, 62) if most > first else first
        self._failures += 1
        if math.isinf(pause):
            return pause
        part = random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        self._last = min(pause, max(most, first)) * part
        return self._last
