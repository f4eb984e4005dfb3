"""The parts of the harness that need no process."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import stamp
from bench.job import Job
from bench.report import number
from bench.speak import WrongMessage
from bench.statistics import median_of_quantiles, ratios, summarize
from bench.svg import Axis, Curve, Plot
from bench.targets import Target

ROOT = Path(__file__).parents[2]


def test_a_job_is_read_as_it_was_written() -> None:
    job = Job(endpoint="ipc:///tmp/x=y", size=1024, seconds=0.5, peers=3)
    assert Job.parse(job.words()) == job


@pytest.mark.parametrize("word", ["size", "sizes=3", "size=big"])
def test_a_job_that_is_wrong_is_told(word: str) -> None:
    with pytest.raises(ValueError, match=r"big|expected one of"):
        Job.parse([word])


def test_a_stamp_is_found_in_its_place() -> None:
    message = stamp.stamped(stamp.END, 7, 64)
    assert len(message) == 64
    assert stamp.check(message, 7, 64) == stamp.END == stamp.kind_of(message)
    assert stamp.number_of(message) == 7


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (stamp.stamped(stamp.RUN, 8, 64), "expected message 7 and received 8"),
        (stamp.plain(64), "no stamp"),
        (stamp.stamped(stamp.RUN, 7, 65), "65 bytes in place of 64"),
    ],
)
def test_a_stamp_elsewhere_is_told(message: bytes, reason: str) -> None:
    with pytest.raises(WrongMessage, match=reason):
        stamp.check(message, 7, 64)


def test_medians_and_spread() -> None:
    summary = summarize([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (summary.least, summary.low, summary.median, summary.high, summary.most) == (
        1.0,
        2.0,
        3.0,
        4.0,
        5.0,
    )
    assert summary.spread == pytest.approx(1 / 3)
    assert median_of_quantiles([[1, 5], [2, 6], [9, 7]]) == [2, 6]


def test_ratios_leave_out_rounds_in_which_one_failed() -> None:
    assert ratios([2.0, None, 6.0], [1.0, 1.0, None]) == [2.0]


def test_a_target_is_met_on_its_side_of_the_bound() -> None:
    assert Target("x", "y", 2.0).met(2.0)
    assert not Target("x", "y", 2.0).met(1.9)
    assert Target("x", "y", 0.7, at_least=False).met(0.7)
    assert not Target("x", "y", 0.7, at_least=False).met(0.71)


def test_figures_have_as_many_digits_as_matter() -> None:
    assert [number(v) for v in (0.1234, 12.34, 999.4, 1234567.0)] == [
        "0.123",
        "12.3",
        "999",
        "1\u202f235\u202f000",
    ]


@pytest.mark.parametrize("log", [False, True])
def test_a_plot_is_well_formed_and_names_every_curve(log: bool) -> None:
    axis = Axis("x < y", log=log, tick=str)
    curves = [Curve(f"peer & {n}", f"p{n}", [(1.0, 1.0 + n), (10.0, 5.0)]) for n in range(9)]
    root = ET.fromstring(Plot("a & b", "said", axis, axis, curves).svg())
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {curve.label for curve in curves} <= set(texts)
    heights = [
        float(element.attrib["y"])
        for element in root.iter()
        if (element.text or "").startswith("peer")
    ]
    assert all(abs(a - b) > 12 for a, b in pairwise(heights))
    assert max(heights) < 440


def test_one_point_alone_is_a_plot_too() -> None:
    axis = Axis("x", log=True, tick=str)
    assert "circle" in Plot("t", "s", axis, axis, [Curve("c", "pyzmq", [(3.0, 3.0)])]).svg()


def test_without_numpy_it_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError(name='numpy')")
    done = subprocess.run(
        [sys.executable, "-m", "bench", "compare", "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bench: this needs numpy: pip install '.[bench]'\n"
