"""The command in processes of their own, which can be read, signalled and killed."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import hypersocket as hs

MODULE = [sys.executable, "-m", "hypersocket"]
ROOT = Path(hs.__file__).parents[1]

PATIENCE = 30.0
"""Seconds that one step may take before it has failed; far more than any needs."""

ANY_PORT = "tcp://127.0.0.1:*"


def run(
    *arguments: str, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end."""
    return subprocess.run(
        [*MODULE, *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


class Reader:
    """What a process writes, as it comes; a thread reads it, so that the process never waits."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.seen = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            self._lines.put(line)
        self._lines.put(None)

    def line(self) -> bytes:
        """The next line; empty at the end."""
        line = self._lines.get(timeout=PATIENCE) or b""
        self.seen += line
        return line

    def rest(self) -> bytes:
        """All lines until the end."""
        lines = []
        while line := self.line():
            lines.append(line)
        return b"".join(lines)

    def close(self) -> None:
        self._thread.join(PATIENCE)
        self._stream.close()


class Running:
    """A command that runs."""

    def __init__(self, *arguments: str, stdin: Any = subprocess.PIPE, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*MODULE, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.out = Reader(self.process.stdout)
        self.err = Reader(self.process.stderr)
        self._told: dict[str, list[str]] = {}

    def endpoint(self, name: str = "") -> str:
        """Where it listens, by what it says: as the frontend, and so on."""
        while not self._told.get(name):
            line = self.err.line().decode()
            assert line, f"it ended: {self.err.seen!r}"
            found = re.fullmatch(r"hypersocket: (\w*) ?listening at (\S+)\n", line)
            if found:
                self._told.setdefault(found[1], []).append(found[2])
        return self._told[name].pop(0)

    def write(self, data: bytes) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status."""
        return self.process.wait(PATIENCE)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it; its exit status."""
        self.send_signal(number)
        return self.wait()

    def resident(self) -> int:
        """How many bytes of memory it has."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        self.out.close()
        self.err.close()


Start = Callable[..., Running]


@contextmanager
def starter() -> Iterator[Start]:
    """Start commands; they are killed at the end, if they still run."""
    every: list[Running] = []

    def start(*arguments: str, **options: Any) -> Running:
        every.append(Running(*arguments, **options))
        return every[-1]

    try:
        yield start
    finally:
        for one in every:
            one.close()
