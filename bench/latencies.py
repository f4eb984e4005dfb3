"""Collects the times of round trips, the same way for every peer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from . import stamp
from .job import Job
from .speak import WrongMessage

QUANTILES = 200
_DISTINCT = 64


class Latencies:
    """Iterating gives requests to send until the time is over; each has to be replied to.

    The clock runs from when a request is handed out to when its reply is handed in.
    """

    def __init__(self, job: Job) -> None:
        self._requests = [stamp.stamped(stamp.RUN, n, job.size) for n in range(_DISTINCT)]
        self._job = job
        self._samples: list[float] = []
        self._asked = b""
        self._since = 0.0

    def __iter__(self) -> Iterator[bytes]:
        requests, clock = self._requests, time.perf_counter
        number = 0
        for seconds in (self._job.warmup, self._job.seconds):
            self._samples = []
            deadline = clock() + seconds
            while clock() < deadline or not self._samples:
                number += 1
                self._asked = requests[number % _DISTINCT]
                self._since = clock()
                yield self._asked

    def replied(self, reply: bytes) -> None:
        """Stop the clock.

        Raises:
            WrongMessage: it is not what was asked for.
        """
        self._samples.append(time.perf_counter() - self._since)
        if reply != self._asked:
            raise WrongMessage("a reply is not that to the request")

    def facts(self) -> dict[str, Any]:
        """What to tell the parent: the number of samples, and quantiles in microseconds."""
        return summary([1e6 * sample for sample in self._samples])


def summary(samples: list[float]) -> dict[str, Any]:
    """The number of samples, and evenly spaced quantiles from least to greatest."""
    ordered = sorted(samples)
    last = len(ordered) - 1
    quantiles = [round(ordered[last * n // QUANTILES], 2) for n in range(QUANTILES + 1)]
    tail = {
        name: round(ordered[int(last * part)], 2)
        for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))
    }
    return {"samples": len(ordered), "quantiles": quantiles, **tail}
