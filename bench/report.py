"""What was measured, as JSON and as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .contract import Case, Peer
from .run import Outcome, Results, Settings
from .statistics import Summary, ratios, summarize
from .targets import TARGETS, Target


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that tables and plots are made of."""

    cases: Sequence[Case]
    peers: Sequence[Peer]
    absent: dict[str, str]
    settings: Settings
    results: Results

    def outcome(self, case: str, peer: str) -> Outcome | None:
        """What a peer did in a case, if it took part."""
        return self.results.get(case, {}).get(peer)

    def summary(self, case: str, peer: str) -> Summary | None:
        """Its median and spread, if it has a value."""
        outcome = self.outcome(case, peer)
        return summarize(outcome.good) if outcome and outcome.good else None

    def broken(self) -> list[str]:
        """One line for each peer that failed in a case."""
        return [
            f"{case}, {peer}: {outcome.broken[0]}"
            for case, peers in self.results.items()
            for peer, outcome in peers.items()
            if outcome.broken
        ]

    def ratio(self, target: Target, ours: str) -> Summary | None:
        """What a target asks for, as measured with one form of our core."""
        mine = self.outcome(target.case, ours)
        if mine is None or not mine.good:
            return None
        if target.against == "bytes":
            return summarize(mine.good)
        against = ours if target.against == "self" else target.against
        theirs = self.outcome(target.against_case or target.case, against)
        found = ratios(mine.values, theirs.values) if theirs else []
        return summarize(found) if found else None


def as_json(report: Report) -> dict[str, Any]:
    """The whole report; every round is in it."""
    return {
        "format": 1,
        "settings": asdict(report.settings),
        "system": system(),
        "peers": {peer.name: peer.version() for peer in report.peers},
        "absent": report.absent,
        "cases": {case.name: _case_json(report, case) for case in report.cases},
        "targets": [_target_json(report, target) for target in TARGETS],
    }


def system() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.system(),
        "architecture": platform.machine(),
        "processors": os.cpu_count(),
    }


def _case_json(report: Report, case: Case) -> dict[str, Any]:
    peers: dict[str, Any] = {}
    for name, outcome in report.results[case.name].items():
        summary = report.summary(case.name, name)
        peers[name] = {
            "values": outcome.values,
            "summary": summary.as_json() if summary else None,
            "more": [measured.more for measured in outcome.rounds if measured],
            "broken": outcome.broken,
            "unsupported": outcome.unsupported or None,
        }
    job = asdict(case.job)
    del job["endpoint"], job["seconds"], job["warmup"]
    return {
        "title": case.title,
        "unit": case.unit,
        "better": case.better,
        "job": job,
        "peers": peers,
    }


def _target_json(report: Report, target: Target) -> dict[str, Any]:
    measured = {
        peer.name: (summary.median, target.met(summary.median))
        for peer in report.peers
        if peer.name.startswith("hypersocket-") and (summary := report.ratio(target, peer.name))
    }
    return {**asdict(target), "measured": measured}


def as_markdown(report: Report) -> str:
    """The tables: targets first, then every case, then what went wrong."""
    return "\n".join(
        [
            *_heading(report),
            *_targets(report),
            *_measurements(report),
            *_more(report),
            *_notes(report),
        ]
    )


def _heading(report: Report) -> list[str]:
    facts, settings = system(), report.settings
    versions = ", ".join(f"{peer.title} {peer.version()}" for peer in report.peers)
    how = f"{settings.rounds} rounds of {settings.seconds:g} s, interleaved"
    return [
        "<!-- Written by `python -m bench compare`; do not edit. -->",
        "",
        f"{', '.join(str(fact) for fact in facts.values())} processors; {how}. {versions}.",
        "",
    ]


def _ours(report: Report) -> list[Peer]:
    return [peer for peer in report.peers if peer.name.startswith("hypersocket-")]


def _targets(report: Report) -> list[str]:
    ours = _ours(report)
    if not ours:
        return []
    titles = {peer.name: peer.title for peer in report.peers}
    cases = {case.name: case.title for case in report.cases}
    cells = [*(f"{peer.title}" for peer in ours)]
    lines = [
        f"| work | against | asked of the compiled core | {' | '.join(cells)} |",
        f"| --- | --- | --- |{' --- |' * len(cells)}",
    ]
    for target in TARGETS:
        if target.case not in cases:
            continue
        against = {
            "bytes": "a fixed bound, bytes",
            "self": f"itself: {cases.get(target.against_case, target.against_case)}",
        }.get(target.against, titles.get(target.against, target.against))
        asked = target.asked + (" (of the pure one)" if target.core == "pure" else "")
        verdicts = [_verdict(report, target, peer) for peer in ours]
        lines.append(f"| {cases[target.case]} | {against} | {asked} | {' | '.join(verdicts)} |")
    return ["### Targets", "", *lines, ""]


def _verdict(report: Report, target: Target, peer: Peer) -> str:
    summary = report.ratio(target, peer.name)
    if summary is None:
        return "not measured"
    digits = (
        number(summary.median)
        if target.against == "bytes"
        else f"{summary.median:.2f} ({summary.least:.2f} to {summary.most:.2f})"
    )
    return f"{digits}: {'met' if target.met(summary.median) else 'not met'}"


def _measurements(report: Report) -> list[str]:
    lines = [
        f"| work | unit | {' | '.join(peer.title for peer in report.peers)} |",
        f"| --- | --- |{' ---: |' * len(report.peers)}",
    ]
    for case in report.cases:
        cells = [_cell(report, case, peer) for peer in report.peers]
        lines.append(f"| {case.title} | {case.unit} | {' | '.join(cells)} |")
    return ["### Medians, and the spread between the quartiles", "", *lines, ""]


def _cell(report: Report, case: Case, peer: Peer) -> str:
    outcome = report.outcome(case.name, peer.name)
    if outcome is None:
        return ""
    summary = report.summary(case.name, peer.name)
    if outcome.unsupported and summary is None:
        return "not supported"
    if summary is None:
        return "**broken**"
    text = f"{number(summary.median)} ±{100 * summary.spread:.0f} %"
    return f"{text}, **broken in {len(outcome.broken)}**" if outcome.broken else text


def _more(report: Report) -> list[str]:
    """Figures that come along with some cases."""
    lines = []
    for case in report.cases:
        for peer in report.peers:
            outcome = report.outcome(case.name, peer.name)
            rounds = [m.more for m in outcome.rounds if m] if outcome else []
            for key in _ALONG:
                values = [facts[key] for facts in rounds if key in facts]
                if values:
                    middle = summarize(values).median
                    lines.append(f"| {case.title} | {peer.title} | {key} | {middle:,.6g} |")
    if not lines:
        return []
    head = ["| work | peer | figure | median |", "| --- | --- | --- | ---: |"]
    return ["### Also measured", "", *head, *lines, ""]


_ALONG = ("p99", "accepted in", "served in", "subscribed in", "bytes a subscription")


def _notes(report: Report) -> list[str]:
    lines = [f"- {name}: {why}." for name, why in report.absent.items()]
    for case in report.cases:
        for name, outcome in report.results[case.name].items():
            if outcome.unsupported:
                lines.append(f"- {case.name}, {name}: not measured: {outcome.unsupported}.")
    lines += [f"- **{line}**" for line in report.broken()]
    return ["### Not measured, or broken", "", *(lines or ["Nothing."]), ""]


def number(value: float) -> str:
    """A figure with three digits that matter, and separators between thousands."""
    if value >= 1000:
        digits = max(0, len(str(int(value))) - 4)
        value = round(value, -digits)
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.3g}"
