"""How long to wait before a failed device is started again."""

from __future__ import annotations

import random


class Pauses:
    """Each pause is twice the last, less a random part of up to a half.

    So devices that failed together do not all come back in the same moment.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._last = 0.0

    def ran(self, duration: float) -> None:
        """The device ran for ``duration`` seconds: well, if that is more than the last pause."""
        if duration > self._last:
            self._failures = 0

    def next(self, first: float, most: float) -> float:
        """The pause before the next start, in seconds.

        Args:
            first: the longest that the first pause may be, in seconds.
            most: the longest that any pause may be, in seconds.
        """
        longest = min(first * 2 ** min(self._failures, 62), most)
        self._failures += 1
        self._last = longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        return self._last
