"""``python -m bench compare``: the command line, and the files that come out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from . import benchmarks, peers, plots
from .contract import Case, Peer
from .report import Report, as_json, as_markdown
from .run import Settings, run

_CORES = {"pure": ("pure",), "compiled": ("compiled",), "both": ("pure", "compiled")}


def main(arguments: list[str]) -> int:
    """Returns 0, 1 if a benchmark is broken, or 2 for bad usage. Never judges speed."""
    options = _parser().parse_args(arguments)
    try:
        chosen, absent = _peers(options.peers, options.core)
        cases = _cases(options.only, options.short)
    except ValueError as error:
        print(f"bench compare: {error}", file=sys.stderr)
        return 2
    if options.pin is not None:
        os.sched_setaffinity(0, options.pin)
    default_rounds, default_seconds = (1, 0.1) if options.short else (5, 1.0)
    seconds = options.seconds or default_seconds
    settings = Settings(options.rounds or default_rounds, seconds, min(0.3, seconds / 2))
    results = run(cases, chosen, settings, lambda line: print(line, flush=True))
    report = Report(cases, chosen, absent, settings, results)
    markdown = as_markdown(report)
    print("\n" + markdown)
    if options.output is not None:
        _write(report, markdown, options.output)
    broken = report.broken()
    for line in broken:
        print(f"broken: {line}", file=sys.stderr)
    # A peer of somebody else that fails is in the table; ours that fails is an error.
    return 1 if any(_is_ours(line) for line in broken) else 0


def _is_ours(line: str) -> bool:
    return ", hypersocket-" in line or ", bare" in line


def _write(report: Report, markdown: str, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(_dense_json(as_json(report)), encoding="utf-8")
    (directory / "results.md").write_text(markdown, encoding="utf-8")
    for name, svg in plots.draw_all(report).items():
        (directory / f"{name}.svg").write_text(svg, encoding="utf-8")
    print(f"written to {directory}")


def _dense_json(data: object) -> str:
    """Indented, but for lists of numbers, which take a line."""
    import re

    text = json.dumps(data, indent=1, ensure_ascii=False)
    dense = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", _one_line, text)
    return dense + "\n"


def _one_line(match: object) -> str:
    import re

    assert isinstance(match, re.Match)
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
    chosen, absent = [], {}
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
    found = [case for case in cases if any(case.name.startswith(name) for name in wanted)]
    if not found:
        names = ", ".join(case.name for case in cases)
        raise ValueError(f"no benchmark begins with {' or '.join(wanted)}: there are {names}")
    return found


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _positive(kind: type[int | float]) -> object:
    def convert(text: str) -> float:
        value = kind(text)
        if not 0 < value <= 3600:
            raise argparse.ArgumentTypeError("expected more than 0, and at most 3600")
        return value

    return convert


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench compare",
        description="Measure ours beside every peer that is installed, interleaved in one run.",
    )
    add = parser.add_argument
    add("--rounds", type=_positive(int), help="how often each is measured (5)")  # type: ignore[arg-type]
    add("--seconds", type=_positive(float), help="how long each measurement takes (1)")  # type: ignore[arg-type]
    add("--only", type=_words, metavar="NAME,...", help="benchmarks whose names begin so")
    add("--peers", type=_words, metavar="NAME,...", help="these peers alone")
    add("--core", choices=sorted(_CORES), default="both", help="which form of ours (both)")
    add("--short", action="store_true", help="seconds in all: shows that everything works")
    add("--output", type=Path, metavar="DIR", help="where to write JSON, Markdown and SVG")
    add("--pin", type=lambda text: {int(word) for word in _words(text)}, metavar="CPU,...",
        help="keep every process on these processors")  # fmt: skip
    return parser
