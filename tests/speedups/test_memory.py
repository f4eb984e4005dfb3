"""What large messages leave behind is kept for the next ones: counted in the system's page faults.

Each run is a process of its own, since the allocator learns once for all.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hypersocket import _memory, _speedups
from hypersocket._memory import KEEPS
from hypersocket._speedups import framing

from .test_forms import needs_core

ROOT = Path(_speedups.__file__).parent.parent.parent
FEW = 25
"""Faults in a hundred messages of 1 MiB, which have 25 600 pages, or fifty that are huge."""

RECEIVE = """
import resource, socket
from hypersocket._speedups import FrameDecoder, PipeQueues, Wire, frame_header

class Owner:
    def __getattr__(self, name):
        return lambda *_: None

here, there = socket.socketpair()
here.setblocking(False)
there.setblocking(False)
pipe = PipeQueues(Owner(), 0, 0, False)
wire = Wire(here.fileno(), pipe, FrameDecoder(1 << 30, 1, 1000), Owner(), [], lambda: None)
body = bytes(1 << 20)
encoded = memoryview(frame_header(0, len(body)) + body)

def burst(count):
    for _ in range(count):
        left = encoded
        while left:
            try:
                left = left[there.send(left):]
            except BlockingIOError:
                pass
            wire.read()
    assert [pipe.recv() for _ in range(count)] == [body] * count

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

burst(5)
burst(5)
before = faults()
for _ in range(20):
    burst(5)
print(faults() - before)
"""


@pytest.mark.skipif(not KEEPS, reason="the C library is not glibc")
@pytest.mark.parametrize("form", ["pure", pytest.param("compiled", marks=needs_core)])
@pytest.mark.parametrize(
    ("given", "keeps"),
    [
        ({}, True),
        ({"HYPERSOCKET_KEEP_MEMORY": "1"}, True),
        ({"HYPERSOCKET_KEEP_MEMORY": "0"}, False),
        ({"MALLOC_TRIM_THRESHOLD_": "131072"}, False),  # the user's own word
    ],
    ids=["unset", "on", "off", "set by the user"],
)
def test_memory_of_large_messages(form: str, given: dict[str, str], keeps: bool) -> None:
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HYPERSOCKET_", "MALLOC_", "GLIBC_", "PYTHONMALLOC"))
    }
    env |= {"PYTHONPATH": str(ROOT), "HYPERSOCKET_PURE": "1" if form == "pure" else "", **given}
    done = subprocess.run(
        [sys.executable, "-c", RECEIVE], check=True, capture_output=True, text=True, env=env
    )
    faults = int(done.stdout)
    assert (faults < FEW) is keeps, faults


@pytest.mark.parametrize(
    "raised",
    [
        ValueError("unrecognized configuration name"),  # macOS
        OSError(errno.EINVAL, "Invalid argument"),  # musl: its headers have the name
    ],
    ids=["no such name", "no such value"],
)
def test_other_c_libraries_are_let_be(raised: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def confstr(name: str) -> str:
        raise raised

    monkeypatch.delenv("HYPERSOCKET_KEEP_MEMORY", raising=False)
    monkeypatch.setattr(os, "confstr", confstr, raising=False)
    assert _memory._may_learn() is False


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "_kept", [0])
    kept: list[int] = []
    for size in (framing.LARGE, 1 << 20, 1 << 16, 3 << 20, 1 << 62):
        framing.keep_freed(size)
        kept.append(framing._kept[0])
    assert kept[:3] == [4 << 20, 8 << 20, 8 << 20]
    assert kept[3] == kept[4] == framing._MOST_KEPT
