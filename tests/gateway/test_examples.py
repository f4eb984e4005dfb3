"""Every example of a gateway runs as it stands with a real broker, and leaves nothing in it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from ..brokers.rabbitmq import RabbitMQ

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "gateway"
EXAMPLES = sorted(FOLDER.glob("*.py"))
PATIENCE = 50.0
"""Seconds for what takes one or two."""


def output_of(example: Path) -> Path:
    return FOLDER / "output" / f"{example.stem}.txt"


def test_each_example_has_its_files_and_its_output_and_nothing_is_left_over() -> None:
    assert EXAMPLES
    sides = (".readers.toml", ".senders.toml")
    files = {example.with_suffix(side) for example in EXAMPLES for side in sides}
    assert files == set(FOLDER.glob("*.toml"))
    assert {output_of(example) for example in EXAMPLES} == set((FOLDER / "output").iterdir())


def own(listed: str) -> list[str]:
    """The names that are an example's, or that the broker made up for one of its queues."""
    return [name for name in listed.split() if name.startswith(("example.", "amq.gen"))]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
async def test_example(example: Path, rabbitmq: RabbitMQ) -> None:
    run = partial(
        subprocess.run,
        [sys.executable, "-X", "utf8", str(example)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=PATIENCE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "BROKER": rabbitmq.url},
    )
    done = await trio.to_thread.run_sync(run)
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout == output_of(example).read_text(encoding="utf-8")
    # The broker deletes what was a connection's own after it has let that go.
    vhost = ("--vhost", rabbitmq.vhost)
    with trio.fail_after(PATIENCE):
        for kind in ("list_queues", "list_exchanges"):
            while own(await rabbitmq.ctl(kind, *vhost, "name")):
                pass
