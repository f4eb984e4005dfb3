"""What the figures depend on besides the peers: the machine, its system, Python, our commit."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def facts() -> dict[str, Any]:
    """For the JSON file; :func:`described` is the same for people."""
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "usable processors": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "system": platform.system(),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python built by": platform.python_compiler(),
        "commit": commit(),
    }


def described() -> dict[str, str]:
    """The rows of a table."""
    known = facts()
    python = f"{known['python']}, built by {known['python built by']}"
    return {
        "processor": f"{known['processor']}, {known['processors']} of them",
        "system": f"{known['system']} {known['kernel']}, {known['architecture']}, {known['libc']}",
        "Python": python,
    }


def pinned(processors: tuple[int, ...] | None) -> str:
    """Whether the processes were kept on some processors."""
    if processors is not None:
        return f"kept on processors {', '.join(str(number) for number in processors)}"
    usable = len(os.sched_getaffinity(0))
    if usable == os.cpu_count():
        return "not pinned"
    return f"kept on {usable} processors from outside"


@cache
def commit() -> str | None:
    """What is checked out; a ``+`` says that it has been changed. None outside a checkout."""
    git = ("git", "-C", str(ROOT))
    try:
        head = _output(*git, "rev-parse", "--short", "HEAD")
        changed = _output(*git, "status", "--porcelain", "--", "hypersocket", "setup.py", "bench")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changed else "")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or "unknown"
