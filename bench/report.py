"""What was measured, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from . import machine
from .contract import Case, Peer, grouped
from .run import Outcome, Results, Settings
from .statistics import Summary, ratios, summarize
from .targets import TARGETS, Target


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that tables and plots are made of.

    Attributes:
        cases: what was measured.
        peers: what took part.
        absent: what could not be here, by its title, and why.
        settings: how long, how often.
        results: what came out.
        profiles: where a profile is, beside the table, for the cases that have one.
    """

    cases: Sequence[Case]
    peers: Sequence[Peer]
    absent: dict[str, str]
    settings: Settings
    results: Results
    profiles: dict[str, str] = field(default_factory=dict[str, str])

    def outcome(self, case: str, peer: str) -> Outcome | None:
        """What a peer did in a case, if it took part."""
        return self.results.get(case, {}).get(peer)

    def summary(self, case: str, peer: str) -> Summary | None:
        """Its median and spread, if it has a value."""
        outcome = self.outcome(case, peer)
        return summarize(outcome.good) if outcome and outcome.good else None

    def faults(self) -> list[str]:
        """What is broken of ours, or of the harness, a line each; never another peer's failure."""
        return [
            f"{case}, {peer}: {outcome.broken[0]}"
            for case, peers in self.results.items()
            for peer, outcome in peers.items()
            if outcome.broken and (outcome.harness or peer.startswith(("bare", "hypersocket-")))
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
        "format": 2,
        "settings": asdict(report.settings),
        "system": machine.facts(),
        "peers": {peer.name: peer.version() for peer in report.peers},
        "absent": report.absent,
        "cases": {case.name: _case_json(report, case) for case in report.cases},
        "targets": [_target_json(report, target) for target in TARGETS],
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
    notes = _Notes(report)
    return "\n".join(
        [
            *_heading(report),
            *_targets(report),
            *_measurements(report, notes),
            *_more(report),
            *notes.lines(),
        ]
    )


def _heading(report: Report) -> list[str]:
    settings, commit = report.settings, machine.commit()
    how = f"{settings.rounds} rounds of {settings.seconds:g} s, the peers in turns"
    rows = {
        **machine.described(),
        "measured": f"{how}; processes {machine.pinned(settings.pinned)}",
        **{
            peer.title: peer.version() + (f" at {commit}" if commit and _is_ours(peer) else "")
            for peer in report.peers
        },
    }
    return [
        "<!-- Written by `python -m bench compare`; do not edit. -->",
        "",
        "| what | which |",
        "| --- | --- |",
        *(f"| {what} | {which} |" for what, which in rows.items()),
        "",
    ]


def _is_ours(peer: Peer) -> bool:
    return peer.name.startswith("hypersocket-")


def _targets(report: Report) -> list[str]:
    ours = [peer for peer in report.peers if _is_ours(peer)]
    cases = {case.name: case.title for case in report.cases}
    chosen = [target for target in TARGETS if target.case in cases]
    if not ours or not chosen:
        return []
    titles = {peer.name: peer.title for peer in report.peers}
    lines = [
        f"| work | against | asked of the compiled core | {_columns(ours)} |",
        f"| --- | --- | --- |{' --- |' * len(ours)}",
    ]
    for target in chosen:
        against = {
            "bytes": "a fixed bound, bytes",
            "self": f"itself: {cases.get(target.against_case, target.against_case)}",
        }.get(target.against, titles.get(target.against, target.against))
        asked = target.asked + (" (of the pure one)" if target.core == "pure" else "")
        verdicts = [_verdict(report, target, peer) for peer in ours]
        lines.append(f"| {cases[target.case]} | {against} | {asked} | {' | '.join(verdicts)} |")
    return ["### Targets", "", *lines, "", *_where_to_look(report, chosen)]


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


def _where_to_look(report: Report, targets: Sequence[Target]) -> list[str]:
    """For each case with a target that is not met, the profile that says where its time goes."""
    lines: dict[str, None] = {}
    for target in targets:
        summary = report.ratio(target, f"hypersocket-{target.core}")
        if summary is None or target.met(summary.median):
            continue
        if target.against == "bytes":
            lines[f"- `{target.case}`: a matter of memory, which no profile of time shows"] = None
            continue
        core = "" if target.core == "compiled" else f" --core {target.core}"
        place = report.profiles.get(target.case + core)
        found = f"[profile]({place}), by" if place else "not profiled yet:"
        command = f"python -m bench profile {target.case}{core}"
        lines[f"- `{target.case}`: {found} `{command}`"] = None
    return ["What is not met, and where its time goes:", "", *lines, ""] if lines else []


def _columns(peers: Sequence[Peer]) -> str:
    return " | ".join(peer.title for peer in peers)


def _measurements(report: Report, notes: _Notes) -> list[str]:
    lines = [
        f"| name | work | unit | {_columns(report.peers)} |",
        f"| --- | --- | --- |{' ---: |' * len(report.peers)}",
    ]
    for case in report.cases:
        cells = [_cell(report, case, peer, notes) for peer in report.peers]
        lines.append(f"| {case.name} | {case.title} | {case.unit} | {' | '.join(cells)} |")
    return ["### Medians, and the spread between the quartiles", "", *lines, ""]


def _cell(report: Report, case: Case, peer: Peer, notes: _Notes) -> str:
    outcome = report.outcome(case.name, peer.name)
    if outcome is None:
        return ""
    summary = report.summary(case.name, peer.name)
    figure = f"{number(summary.median)} ±{100 * summary.spread:.0f} %" if summary else ""
    if outcome.broken:
        note = notes.broken(case, peer, outcome)
        times = f" in {len(outcome.broken)} of {len(outcome.rounds)} rounds" if figure else ""
        return ", ".join(filter(None, [figure, f"**broken**{times} ({note})"]))
    if outcome.unsupported:
        return figure or f"not measured ({notes.unsupported(case, peer, outcome)})"
    return figure


class _Notes:
    """Footnotes to the cells without a figure: what happened, told once for all cases alike."""

    def __init__(self, report: Report) -> None:
        self._absent = report.absent
        self._cases: dict[tuple[str, str], list[str]] = {}

    def broken(self, case: Case, peer: Peer, outcome: Outcome) -> int:
        """The number of the note that says how a peer failed."""
        remark = peer.remark(case.name)
        what = _sentence(outcome.broken[0]) + (f" {remark}" if remark else "")
        return self._number(case, f"{peer.title} is **broken**", what)

    def unsupported(self, case: Case, peer: Peer, outcome: Outcome) -> int:
        """The number of the note that says why a peer did not take part."""
        return self._number(case, f"{peer.title} was not measured", _sentence(outcome.unsupported))

    def _number(self, case: Case, begin: str, what: str) -> int:
        cases = self._cases.setdefault((begin, what), [])
        if case.name not in cases:
            cases.append(case.name)
        return list(self._cases).index((begin, what)) + 1

    def lines(self) -> list[str]:
        """The section; empty if there is nothing to tell."""
        lines = [
            f"{place}. {begin} in {', '.join(f'`{case}`' for case in cases)}. {what}"
            for place, ((begin, what), cases) in enumerate(self._cases.items(), 1)
        ]
        lines += [f"- {name} did not take part: {why}." for name, why in self._absent.items()]
        if any("**broken**" in begin for begin, _ in self._cases):
            lines += ["", _BROKEN]
        return ["### Notes", "", *lines, ""] if lines else []


_BROKEN = (
    "**broken**: every message that was sent has to arrive, once and in its order. A peer that"
    " loses or repeats one, ends with an error, or is silent when it should not be, has no figure"
    " for that round."
)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


_ALONG = {
    "p99": "99th percentile, us",
    "accepted in": "all accepted in, s",
    "served in": "all served in, s",
    "subscribed in": "all subscribed in, s",
    "bytes a subscription": "memory for each subscription, bytes",
}
"""Figures that come along with some cases."""


def _more(report: Report) -> list[str]:
    lines: list[str] = []
    for case in report.cases:
        for key, title in _ALONG.items():
            cells = [_along(report.outcome(case.name, peer.name), key) for peer in report.peers]
            if any(cells):
                lines.append(f"| {case.name} | {title} | {' | '.join(cells)} |")
    if not lines:
        return []
    head = [
        f"| name | figure | {_columns(report.peers)} |",
        f"| --- | --- |{' ---: |' * len(report.peers)}",
    ]
    return ["### Also measured, medians", "", *head, *lines, ""]


def _along(outcome: Outcome | None, key: str) -> str:
    rounds = [measured.more for measured in outcome.rounds if measured] if outcome else []
    values = [facts[key] for facts in rounds if key in facts]
    return number(summarize(values).median) if values else ""


def number(value: float) -> str:
    """A figure with three digits that matter, and separators between thousands."""
    if value >= 1000:
        digits = max(0, len(str(int(value))) - 4)
        return grouped(round(value, -digits))
    return f"{value:.3g}"
