"""One process of a benchmark, as the parent sees it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from .contract import Peer
from .job import Job
from .speak import UnsupportedError

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30.0
"""Seconds that a process may take beyond the time that it was told to measure."""


class BrokenPeer(Exception):
    """A process failed, lost messages or did not end in time."""


class Child:
    """A process that speaks JSON lines, and is ended with the ``with`` block that it belongs to."""

    def __init__(self, command: list[str], environment: dict[str, str], name: str) -> None:
        self.name = name
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def expect(self, event: str, patience: float = PATIENCE) -> dict[str, Any]:
        """The next line, which has to be of this event.

        Raises:
            BrokenPeer: it is an error, or none comes in time.
            UnsupportedError: the peer cannot do this.
        """
        try:
            line = self._lines.get(timeout=patience)
        except queue.Empty:
            raise BrokenPeer(f"{self.name}: no {event} within {patience:g} s") from None
        if line is None:
            raise BrokenPeer(f"{self.name} ended without {event}{self._last_words()}")
        try:
            facts: dict[str, Any] = json.loads(line)
        except ValueError:
            raise BrokenPeer(f"{self.name} wrote {line.strip()!r}") from None
        if facts.get("event") == "unsupported":
            raise UnsupportedError(facts["why"])
        if facts.get("event") != event:
            text = facts.get("text", f"said {facts.get('event')} in place of {event}")
            raise BrokenPeer(f"{self.name}: {text}")
        return facts

    def tell(self, word: str = "go") -> None:
        """Write a line to the process."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        except OSError:
            raise BrokenPeer(f"{self.name} has gone{self._last_words()}") from None

    def resident(self) -> int:
        """Bytes of memory that the process has now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def cpu_seconds(self) -> float:
        """Processor time that the process has used until now."""
        words = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
        user, system = words.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """End the process, if it has not ended by itself."""
        process = self._process
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._reader.join(2)
        if process.stdout is not None:
            process.stdout.close()
        self._complaints.close()

    def _last_words(self) -> str:
        time.sleep(0.05)
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1].strip()[:200]}" if lines else ""


def play(peer: Peer, role: str, job: Job) -> Child:
    """Start a peer in a role."""
    return Child(peer.command(role, job), peer.environment(), f"{peer.title} {role}")


@contextmanager
def place(transport: str) -> Generator[str]:
    """An endpoint to bind to, on loopback or in a directory of its own."""
    if transport == "ipc":
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            yield f"ipc://{directory}/socket"
    else:
        yield "tcp://127.0.0.1:*"
