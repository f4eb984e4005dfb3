"""Every example runs as it stands, finishes by itself, and prints what the documentation shows."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDS = {"talk_to_pyzmq": "zmq"}
POSIX_ONLY = {"graceful_shutdown"}


def output_of(example: Path) -> Path:
    return example.parent / "output" / f"{example.stem}.txt"


def test_each_example_has_its_output_and_each_output_its_example() -> None:
    assert EXAMPLES
    assert {output_of(example) for example in EXAMPLES} == set(
        (ROOT / "examples" / "output").iterdir()
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(example: Path) -> None:
    needed = NEEDS.get(example.stem)
    if needed and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    if example.stem in POSIX_ONLY and os.name != "posix":
        pytest.skip("uses POSIX signals")
    done = subprocess.run(
        [sys.executable, "-X", "utf8", str(example)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout == output_of(example).read_text(encoding="utf-8")


def test_example_without_what_it_needs_says_so(tmp_path: Path) -> None:
    (tmp_path / "zmq.py").write_text("raise ImportError")
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "talk_to_pyzmq.py")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "pip install pyzmq" in done.stdout
