"""Samples a process of a benchmark from within: which tools there are, when they start and stop.

The process starts the sampler upon itself, since it alone knows when its work begins, and may
allow it to look where the system allows nobody else. Enough for that are the rights of a user.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

DIRECTORY = "BENCH_PROFILE_DIRECTORY"
TOOL = "BENCH_PROFILE_TOOL"
RATE = 199
"""Samples a second; not a divisor of anything's period."""

_PR_SET_PTRACER = 0x59616D61
_START, _STOP = 10.0, 10.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A function on the stack, and the file or the library that it is in."""

    name: str
    place: str


Samples = dict[tuple[Frame, ...], int]
"""How often each stack was seen, the innermost frame last."""


class Sampler(Protocol):
    """A tool that looks at a process now and then."""

    name: str
    """For the command line, and for the report."""
    said: str
    """What its figures show and what they do not."""

    def missing(self) -> str | None:
        """Why it cannot be used here; None if it can."""
        ...

    def command(self, pid: int, output: Path) -> list[str]:
        """Samples the process until it is interrupted."""
        ...

    def begun(self, process: subprocess.Popen[str], output: Path) -> bool:
        """Wait until it samples; False if it has given up."""
        ...

    def read(self, output: Path) -> Samples:
        """What it has written."""
        ...


class PySpy:
    """py-spy, with the stacks of Python and of C, but nothing from inside the kernel."""

    name = "py-spy"
    said = (
        "stacks of Python and C, by py-spy, which stops the process for each; time in epoll_wait"
        " and in locks is left out"
    )

    def missing(self) -> str | None:
        tool = _find("py-spy")
        if tool is None:
            return "py-spy is not installed"
        allow_sampling()
        command = [tool, "dump", "--native", "--pid", str(os.getpid())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return None if done.returncode == 0 else f"py-spy may not: {_last_line(done.stderr)}"

    def command(self, pid: int, output: Path) -> list[str]:
        words = ["record", "--native", "--nolineno", "--format", "raw", "--rate", str(RATE)]
        return [_find("py-spy") or "py-spy", *words, "--pid", str(pid), "--output", str(output)]

    def begun(self, process: subprocess.Popen[str], output: Path) -> bool:  # noqa: ARG002
        assert process.stdout is not None
        return any("Sampling process" in line for line in process.stdout)

    def read(self, output: Path) -> Samples:
        return read_stacks(output.read_text(encoding="utf-8"))


class Perf:
    """Linux perf, with the kernel where the system allows that, but without Python's functions."""

    name = "perf"
    said = "functions in C and in the kernel, by perf; Python's own functions are the interpreter's"

    def missing(self) -> str | None:
        tool = _find("perf")
        if tool is None:
            return "perf is not installed"
        command = [tool, "record", "-q", "-o", os.devnull, "--", "true"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return None if done.returncode == 0 else f"perf may not: {_last_line(done.stderr)}"

    def command(self, pid: int, output: Path) -> list[str]:
        words = ["record", "-q", "-F", str(RATE), "-p", str(pid), "-o", str(output)]
        return [_find("perf") or "perf", *words]

    def begun(self, process: subprocess.Popen[str], output: Path) -> bool:
        end = time.monotonic() + _START
        while process.poll() is None and time.monotonic() < end:
            if output.exists() and output.stat().st_size:
                return True
            time.sleep(0.01)
        return False

    def read(self, output: Path) -> Samples:
        command = [_find("perf") or "perf", "report", "-i", str(output), "--stdio", "-q"]
        fields = ["--no-children", "-g", "none", "-F", "sample,dso,sym", "-t", ";"]
        done = subprocess.run(
            [*command, *fields], capture_output=True, text=True, timeout=120, check=False
        )
        return read_symbols(done.stdout)


ALL: tuple[Sampler, ...] = (PySpy(), Perf())


def read_stacks(text: str) -> Samples:
    """py-spy's raw format: ``outermost (file);innermost (file) count`` in each line."""
    samples: Samples = {}
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if stack and count.isdecimal():
            frames = tuple(_frame(part) for part in stack.split(";"))
            samples[frames] = samples.get(frames, 0) + int(count)
    return samples


_NO_SYMBOL = "no symbol"


def _frame(text: str) -> Frame:
    name, _, place = text.rpartition(" (")
    if not name:
        return Frame(text, "")
    return Frame(_NO_SYMBOL if name.startswith("0x") else name, place.removesuffix(")"))


def read_symbols(text: str) -> Samples:
    """perf's report: ``count;library;[k] symbol`` in each line."""
    samples: Samples = {}
    for line in text.splitlines():
        words = [word.strip() for word in line.split(";", 2)]
        if len(words) == 3 and words[0].isdecimal():
            stack = (Frame(words[2].removeprefix("[.] ").removeprefix("[k] "), words[1]),)
            samples[stack] = samples.get(stack, 0) + int(words[0])
    return samples


def allow_sampling() -> None:
    """Let any process of this user trace this one, where that is allowed to a parent only."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(2**64 - 1), 0, 0, 0)


class Recording:
    """The sampler of this process, and what the process used meanwhile."""

    def __init__(self, sampler: Sampler | None, directory: Path, role: str) -> None:
        self._sampler = sampler
        self._stem = directory / f"{role}-{os.getpid()}"
        self._role = role
        self._process: subprocess.Popen[str] | None = None
        self._complaint = ""
        self._before: tuple[float, Any] | None = None
        self.stopping = False

    def start(self) -> None:
        """Start the sampler, and wait until it samples."""
        output = self._stem.with_suffix(".samples")
        if self._sampler is not None:
            allow_sampling()
            self._process = subprocess.Popen(
                self._sampler.command(os.getpid(), output),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            if not self._sampler.begun(self._process, output):
                self._complaint = f"{self._sampler.name} gave up"
        self._before = (time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF))

    def stop(self) -> None:
        """Stop it, and write what there is to tell. A second call does nothing."""
        if self.stopping or self._before is None:
            return
        self.stopping = True
        after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        start, before = self._before
        facts = {
            "role": self._role,
            "seconds": seconds - start,
            "user": after.ru_utime - before.ru_utime,
            "system": after.ru_stime - before.ru_stime,
            "switches": after.ru_nvcsw - before.ru_nvcsw,
            "forced": after.ru_nivcsw - before.ru_nivcsw,
            "complaint": self._complaint,
            "sampler": self._process.pid if self._process else None,
        }
        # First: whoever ends this process may not wait for the sampler.
        self._stem.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.communicate(timeout=_STOP)


@contextmanager
def of_this_process(role: str) -> Generator[Callable[[], None]]:
    """What to call when the role's work begins. Does nothing unless the environment asks for it."""
    directory = os.environ.get(DIRECTORY)
    if not directory:
        yield lambda: None
        return
    tool = os.environ.get(TOOL, "")
    sampler = next((sampler for sampler in ALL if sampler.name == tool), None)
    recording = Recording(sampler, Path(directory), role)

    def ended(_number: int, _frame: FrameType | None) -> None:
        if not recording.stopping:  # else it ends by itself, as soon as that is done
            recording.stop()
            os._exit(0)

    # Servers go on until they are ended.
    signal.signal(signal.SIGTERM, ended)
    try:
        yield recording.start
    finally:
        recording.stop()


def _find(name: str) -> str | None:
    """A command beside this Python, or on the path."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip()[:200] if lines else "no word of why"
