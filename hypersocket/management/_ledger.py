"""Peers for metrics: few enough names for a time series each, and counters that never go back.

A series costs the database that scrapes it, for as long as it keeps its data. So peers that
connected to us are told by host, not by connection; and of more hosts than a bound the rest are
told as one. What a connection had counted when it was last looked at is kept after its end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable

from .._stats import PeerStats
from ._measures import PEER, numbers
from ._sources import named_peers

OTHERS = "(others)"
"""The label of all peers for whom there is no label of their own."""

_PASSING = re.compile(r"^pid \d+ (?=uid )|:\d+$")  # what differs by process, or by connection


def label_of(peer: PeerStats, bound: Collection[str]) -> str:
    """The endpoint of a peer that we connect to; else its address without port or process."""
    label = peer.endpoint
    if label in bound:
        label = _PASSING.sub("", peer.address).strip("[]") or label
    return label.encode(errors="replace").decode()  # paths may hold bytes that are no text


class PeerLedger:
    """The peers of one socket, by label.

    Args:
        max_labels: how many labels there may ever be, apart from ``(others)``.
    """

    def __init__(self, max_labels: int) -> None:
        self._max_labels = max_labels
        self._past: dict[str, Counter[str]] = {}
        self._last: dict[str, tuple[str, dict[str, int]]] = {}

    def take(
        self, peers: Iterable[PeerStats], bound: Collection[str]
    ) -> dict[str, tuple[dict[str, int], dict[str, int]]]:
        """Counters and gauges by label, with those of the labels whose peers are gone."""
        last, self._last = self._last, {}
        gauges: dict[str, Counter[str]] = {}
        for name, peer in named_peers(peers, bound):
            counters = numbers(PEER, "counters", peer)
            label, before = last.pop(name, ("", {}))
            if label and any(counters[one] < before[one] for one in counters):
                self._past[label].update(before)  # another connection, of the same name
                label = ""
            label = label or self._label(label_of(peer, bound))
            self._last[name] = label, counters
            gauges.setdefault(label, Counter()).update(numbers(PEER, "gauges", peer))
        for label, counters in last.values():
            self._past[label].update(counters)
        totals = {label: Counter(past) for label, past in self._past.items()}
        for label, counters in self._last.values():
            totals[label].update(counters)
        return {
            label: (dict(total), dict(gauges.get(label, {}))) for label, total in totals.items()
        }

    def _label(self, wanted: str) -> str:
        if (
            wanted not in self._past
            and len(self._past) - (OTHERS in self._past) >= self._max_labels
        ):
            wanted = OTHERS
        self._past.setdefault(wanted, Counter())
        return wanted
