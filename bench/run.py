"""Runs the cases: every peer in every round, one after the other, so that drift is shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .build import BrokenProgramError, BuildError
from .contract import Case, Measured, Peer
from .process import BrokenPeer
from .speak import UnsupportedError


@dataclass(slots=True)
class Outcome:
    """What one peer did in one case: a place for each round, empty where it failed."""

    rounds: list[Measured | None] = field(default_factory=list[Measured | None])
    broken: list[str] = field(default_factory=list[str])
    unsupported: str = ""
    harness: bool = False
    """Whether it is the benchmark that failed, not the peer."""

    @property
    def values(self) -> list[float | None]:
        """The values, round by round."""
        return [None if measured is None else measured.value for measured in self.rounds]

    @property
    def good(self) -> list[float]:
        """The values that there are."""
        return [value for value in self.values if value is not None]


_TRIES = 2
"""So often may a peer fail in a case before it is left alone."""

Results = dict[str, dict[str, Outcome]]
"""By the name of the case, then of the peer."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How long, how often, and on which processors alone."""

    rounds: int
    seconds: float
    warmup: float
    pinned: tuple[int, ...] | None = None


def takes_part(case: Case, peer: Peer) -> bool:
    """Whether the case is about this peer."""
    named = peer.name in case.peers if case.peers else peer.sockets
    return named and peer.name not in case.not_peers


def run(
    cases: Sequence[Case],
    peers: Sequence[Peer],
    settings: Settings,
    tell: Callable[[str], None],
) -> Results:
    """Run everything; what goes wrong with a peer is in its outcome, and the others go on."""
    results: Results = {
        case.name: {peer.name: Outcome() for peer in peers if takes_part(case, peer)}
        for case in cases
    }
    for number in range(settings.rounds):
        for case in cases:
            if number >= case.rounds:
                continue
            job = replace(case.job, seconds=settings.seconds, warmup=settings.warmup)
            taking_part = [peer for peer in peers if takes_part(case, peer)]
            # Each round begins with another peer, so that none always runs after the same one.
            for place in range(len(taking_part)):
                peer = taking_part[(place + number) % len(taking_part)]
                outcome = results[case.name][peer.name]
                if outcome.unsupported or len(outcome.broken) >= _TRIES:
                    continue
                said = _one(case, peer, replace(job), outcome)
                tell(f"round {number + 1}  {case.name:22}  {peer.title:24}  {said}")
    return results


def _one(case: Case, peer: Peer, job: Any, outcome: Outcome) -> str:
    try:
        measured = case.measure(peer, job)
    except (UnsupportedError, BuildError) as error:
        outcome.unsupported = str(error)
        return f"not measured: {error}"
    except (BrokenPeer, BrokenProgramError) as error:
        outcome.harness |= isinstance(error, BrokenProgramError)
        outcome.rounds.append(None)
        outcome.broken.append(str(error))
        return f"BROKEN: {error}"
    outcome.rounds.append(measured)
    return f"{measured.value:,.2f} {case.unit}"
