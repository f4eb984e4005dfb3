"""``python -m bench compare``: the command line, and the files that come out."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from . import benchmarks, peers, plots, profile
from .contract import Case, Peer
from .report import Report, as_json, as_markdown
from .run import Settings, run

_CORES = {"pure": ("pure",), "compiled": ("compiled",), "both": ("pure", "compiled")}


def main(arguments: list[str]) -> int:
    """Returns 0, 1 if ours or the harness is broken, or 2 for bad usage. Never judges speed."""
    options = _parser().parse_args(arguments)
    try:
        chosen, absent = _peers(options.peers, options.core)
        cases = _cases(options.only, options.short)
    except ValueError as error:
        print(f"bench compare: {error}", file=sys.stderr)
        return 2
    pinned = None
    if options.pin is not None:
        os.sched_setaffinity(0, options.pin)
        pinned = tuple(sorted(options.pin))
    default_rounds, default_seconds = (1, 0.1) if options.short else (5, 1.0)
    seconds = options.seconds or default_seconds
    settings = Settings(options.rounds or default_rounds, seconds, min(0.3, seconds / 2), pinned)
    results = run(cases, chosen, settings, lambda line: print(line, flush=True))
    report = Report(cases, chosen, absent, settings, results, profile.found(options.output, cases))
    markdown = as_markdown(report)
    # Figures of a short run would be read as if they meant something.
    print("\n" + ("\n".join(_short_of(report)) if options.short else markdown))
    if options.output is not None:
        _write(report, markdown, options.output)
    # A peer of somebody else that fails is in the table; what is ours and fails is an error.
    faults = report.faults()
    if os.environ.get("HYPERSOCKET_REQUIRE_SPEEDUPS") == "1":
        faults += [f"{title}: {why}" for title, why in absent.items() if "hypersocket" in title]
    for line in faults:
        print(f"bench compare: broken: {line}", file=sys.stderr)
    return 1 if faults else 0


def _short_of(report: Report) -> list[str]:
    """What a short run shows: what works, what is broken, what is not here."""
    names = ", ".join(peer.title for peer in report.peers)
    lines = [f"{len(report.cases)} benchmarks ran with {names}."]
    lines += [f"{title} did not take part: {why}." for title, why in report.absent.items()]
    for case in report.cases:
        for peer, outcome in report.results[case.name].items():
            lines += [f"{case.name}: {peer} is broken: {why}" for why in outcome.broken]
    return lines


def _write(report: Report, markdown: str, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(_dense_json(as_json(report)), encoding="utf-8")
    (directory / "results.md").write_text(markdown, encoding="utf-8")
    for name, svg in plots.draw_all(report).items():
        (directory / f"{name}.svg").write_text(svg, encoding="utf-8")
    print(f"written to {directory}")


def _dense_json(data: object) -> str:
    """Indented, but for lists of numbers, which take a line."""
    text = json.dumps(data, indent=1, ensure_ascii=False)
    dense = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", _one_line, text)
    return dense + "\n"


def _one_line(match: re.Match[str]) -> str:
    return "[" + re.sub(r",\s+", ", ", match.group(1)) + "]"


def _peers(wanted: list[str] | None, core: str) -> tuple[list[Peer], dict[str, str]]:
    forms = [f"hypersocket-{form}" for form in _CORES[core]]
    unknown = set(wanted or ()) - {"hypersocket"} - set(peers.BY_NAME)
    if unknown:
        raise ValueError(f"no peer {unknown.pop()!r}: there are {', '.join(peers.BY_NAME)}")
    names = [
        peer.name
        for peer in peers.ALL
        if wanted is None
        or peer.name in wanted
        or ("hypersocket" in wanted and peer.name.startswith("hypersocket-"))
    ]
    chosen: list[Peer] = []
    absent: dict[str, str] = {}
    for name in names:
        if name.startswith("hypersocket-") and name not in forms:
            continue
        peer = peers.BY_NAME[name]
        missing = peer.missing()
        if missing is None:
            chosen.append(peer)
        else:
            absent[peer.title] = missing
    return chosen, absent


def _cases(wanted: list[str] | None, short: bool) -> list[Case]:
    cases = benchmarks.cases(short)
    if wanted is None:
        return cases
    found = [case for case in cases if any(_means(name, case.name) for name in wanted)]
    if not found:
        names = ", ".join(case.name for case in cases)
        raise ValueError(f"no benchmark begins with {' or '.join(wanted)}: there are {names}")
    return found


def _means(wanted: str, name: str) -> bool:
    """Whether a name begins as wanted; but a number is whole: ``thr/tcp/64`` is not 65536."""
    rest = name.removeprefix(wanted)
    within_number = wanted[-1:].isdecimal() and rest[:1].isdecimal()
    return name.startswith(wanted) and not within_number


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _positive(kind: type[int | float]) -> Callable[[str], float]:
    def convert(text: str) -> float:
        value = kind(text)
        if not 0 < value <= 3600:
            raise argparse.ArgumentTypeError("expected more than 0, and at most 3600")
        return value

    return convert


def _processors(text: str) -> set[int]:
    return {int(word) for word in _words(text)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench compare",
        description="Measure ours beside every peer that is installed, interleaved in one run.",
    )
    add = parser.add_argument
    add("--rounds", type=_positive(int), help="how often each is measured (5)")
    add("--seconds", type=_positive(float), help="how long each measurement takes (1)")
    add("--only", type=_words, metavar="NAME,...", help="benchmarks whose names begin so")
    add("--peers", type=_words, metavar="NAME,...", help="these peers alone")
    add("--core", choices=sorted(_CORES), default="both", help="which form of ours (both)")
    add("--short", action="store_true", help="seconds in all: shows that everything works")
    add("--output", type=Path, metavar="DIR", help="where to write JSON, Markdown and SVG")
    add("--pin", type=_processors, metavar="CPU,...", help="keep every process on these processors")
    return parser
