"""The tables: what is in them once, what is told of those that failed, and where to look."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import compare, peers
from bench.contract import Case, Measured, Peer
from bench.job import Job
from bench.report import Report, as_json, as_markdown
from bench.run import Outcome, Settings


def _measure(_peer: Peer, _job: Job) -> Measured:
    return Measured(1.0)


def _case(name: str, title: str) -> Case:
    return Case(name, title, "us", "less", Job(), _measure)


CASES = [
    _case("fan_out/200", "PUB to 200 SUB"),
    _case("fan_out/200/raw", "PUB to 200 SUB, raw"),
    _case("subscriptions/1000", "one publish against 1\u202f000 subscriptions"),
]
PEERS = [peers.BY_NAME[name] for name in ("hypersocket-pure", "pyzmq", "pyomq", "bare")]


def _measured(*values: float) -> Outcome:
    return Outcome([Measured(value, {"p99": 2 * value}) for value in values])


def _report() -> Report:
    report = Report(CASES, PEERS, {"libzmq (C)": "no libzmq3-dev"}, Settings(3, 1.0, 0.1), {})
    for case in CASES:
        report.results[case.name] = {
            "hypersocket-pure": _measured(1.0, 2.0, 3.0),
            "pyzmq": _measured(4.0, 5.0, 6.0),
            "pyomq": Outcome([None, None], ["heard nothing", "heard nothing"]),
        }
    return report


def test_no_row_is_there_twice_and_no_case_begins_two_rows_of_a_table() -> None:
    for section in as_markdown(_report()).split("### "):
        rows = [line for line in section.splitlines() if line.startswith("| ")]
        assert len(rows) == len(set(rows))
        if section.startswith(("Medians", "Also")):
            names = [row.split("|")[1] for row in rows]
            assert len(names) == len(set(names)) == 1 + 1 + len(CASES)


def test_what_happened_to_a_broken_peer_is_told_once_for_all_cases_alike() -> None:
    text = as_markdown(_report())
    assert text.count("**broken** (1)") == len(CASES)
    (note,) = (line for line in text.splitlines() if line.startswith("1. "))
    assert note.startswith(
        "1. pyomq is **broken** in `fan_out/200`, `fan_out/200/raw`, `subscriptions/1000`."
    )
    assert "Heard nothing. Seen with 0.21.0: " in note
    assert "- libzmq (C) did not take part: no libzmq3-dev." in text
    assert "every message that was sent has to arrive" in text


def test_a_peer_that_failed_now_and_then_has_a_figure_and_a_note() -> None:
    report = _report()
    report.results["fan_out/200"]["pyzmq"] = Outcome(
        [Measured(4.0), None, Measured(4.0)], ["12 of 150 messages did not arrive"]
    )
    text = as_markdown(report)
    assert "| 4 ±0 %, **broken** in 1 of 3 rounds (1) |" in text
    assert "1. pyzmq is **broken** in `fan_out/200`. 12 of 150 messages did not arrive.\n" in text


def test_what_a_peer_cannot_do_is_noted_and_not_called_broken() -> None:
    report = _report()
    for case in CASES:
        report.results[case.name]["pyomq"] = Outcome(unsupported="has no PUB")
    text = as_markdown(report)
    assert text.count("| not measured (1) |") == len(CASES)
    assert "1. pyomq was not measured in `fan_out/200`, " in text
    assert "broken" not in text


def test_what_is_not_met_has_a_profile_to_look_at() -> None:
    compiled = peers.BY_NAME["hypersocket-compiled"]
    report = replace(_report(), peers=[compiled, *PEERS])
    for case in CASES:
        report.results[case.name]["hypersocket-compiled"] = _measured(1.0, 2.0, 3.0)
    text = as_markdown(report)
    assert "- `fan_out/200`: not profiled yet: `python -m bench profile fan_out/200`\n" in text
    found = replace(report, profiles={"fan_out/200": "profiles/fan_out-200.md"})
    assert (
        "- `fan_out/200`: [profile](profiles/fan_out-200.md), by"
        " `python -m bench profile fan_out/200`\n"
    ) in as_markdown(found)


@pytest.mark.parametrize(
    ("pinned", "told"), [(None, "processes not pinned"), ((0, 2), "kept on processors 0, 2")]
)
def test_the_table_says_on_what_it_was_measured(
    pinned: tuple[int, ...] | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", {0: {0, 1, 2}}.get)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    report = replace(_report(), settings=Settings(3, 1.0, 0.1, pinned))
    assert told in as_markdown(report)
    data = as_json(report)
    assert data["settings"]["pinned"] == pinned
    assert data["system"]["processors"] == 3


@pytest.mark.parametrize(
    ("wanted", "name", "means"),
    [
        ("thr", "thr/tcp/64", True),
        ("thr/tcp/64", "thr/tcp/64", True),
        ("thr/tcp/64", "thr/tcp/64/batch", True),
        ("thr/tcp/64", "thr/tcp/65536", False),
        ("subscriptions/1000", "subscriptions/1000000", False),
        ("inproc", "inproc_lat", True),
        ("lat", "thr/tcp/64", False),
    ],
)
def test_a_number_in_the_name_of_a_case_is_whole(wanted: str, name: str, means: bool) -> None:
    assert compare._means(wanted, name) is means
