"""Medians and spread over the rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Summary:
    """What several rounds gave.

    Attributes:
        median: the middle.
        low: the first quartile.
        high: the third quartile.
        least: the smallest.
        most: the greatest.
        rounds: how many there were.
    """

    median: float
    low: float
    high: float
    least: float
    most: float
    rounds: int

    @property
    def spread(self) -> float:
        """Half of what lies between the quartiles, as a part of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0

    def as_json(self) -> dict[str, float]:
        """With the spread."""
        return {**asdict(self), "spread": self.spread}


def summarize(values: Sequence[float]) -> Summary:
    """Medians and quartiles of at least one value."""
    least, low, median, high, most = np.percentile(np.asarray(values), [0, 25, 50, 75, 100])
    return Summary(float(median), float(low), float(high), float(least), float(most), len(values))


def ratios(ours: Sequence[float | None], theirs: Sequence[float | None]) -> list[float]:
    """Round by round, where both have a value: what drifts meanwhile drifts for both."""
    return [
        mine / other
        for mine, other in zip(ours, theirs, strict=False)
        if mine is not None and other is not None and other > 0
    ]


def median_of_quantiles(rounds: Sequence[Sequence[float]]) -> list[float]:
    """One distribution from those of several rounds: the median of each quantile."""
    return [float(value) for value in np.median(np.asarray(rounds), axis=0)]
