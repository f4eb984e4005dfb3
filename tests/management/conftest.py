"""What the tests of management share: commands that run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..cli.commands import ANY_PORT, Running, Start, starter


@pytest.fixture
def start() -> Iterator[Start]:
    with starter() as start:
        yield start


@pytest.fixture
def streamer(start: Start) -> tuple[Running, str]:
    """A streamer in a process of its own, and where it can be watched."""
    process = start(
        *("streamer", "--name", "orders", "--monitor", ANY_PORT),
        *("--frontend", ANY_PORT, "--backend", ANY_PORT),
    )
    return process, process.endpoint("monitor")
