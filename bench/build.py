"""Builds the programs in C: those with libzmq, and raw clients that need no library at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "peers"
BUILT = Path(os.environ.get("BENCH_BUILD_DIR", SOURCES / "build"))
_PROBE = "zmq_present"
"""The program that shows whether there is libzmq for C."""
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread")


class BuildError(Exception):
    """What a program needs is not here: a compiler, or libzmq."""


class BrokenProgramError(Exception):
    """A program of ours does not compile, though all that it needs is here."""


@cache
def program(name: str) -> Path:
    """The program of this name, built if it is older than its source.

    Raises:
        BuildError: it cannot be built here.
        BrokenProgramError: it could be, but for a mistake in it.
    """
    source = SOURCES / f"{name}.c"
    if not source.exists():
        raise BrokenProgramError(f"there is no {source.name}")
    target = BUILT / name
    inputs = [source, *SOURCES.glob("*.h")]
    if target.exists() and target.stat().st_mtime >= max(p.stat().st_mtime for p in inputs):
        return target
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise BuildError("no C compiler")
    BUILT.mkdir(parents=True, exist_ok=True)
    needs_libzmq = not name.startswith("raw_")
    if needs_libzmq and name != _PROBE and (missing := libzmq_missing()):
        raise BuildError(missing)
    libraries = ("-lzmq",) if needs_libzmq else ()
    with tempfile.TemporaryDirectory(dir=BUILT) as scratch:
        made = Path(scratch) / name
        command = [compiler, *FLAGS, "-o", str(made), str(source), *libraries]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            reason = f"{source.name}: {_first_error(done.stderr)}"
            raise BuildError(reason) if name == _PROBE else BrokenProgramError(reason)
        made.replace(target)
    return target


def _first_error(text: str) -> str:
    lines = text.strip().splitlines()
    return next((line.strip() for line in lines if "error" in line), "the compiler failed")


def missing(name: str) -> str | None:
    """Why a program cannot be had; None if it can."""
    try:
        program(name)
    except (BuildError, BrokenProgramError) as error:
        return str(error)
    return None


@cache
def libzmq_missing() -> str | None:
    """Why there is no libzmq for C; None if there is."""
    why = missing(_PROBE)
    return None if why is None else f"not installed, or cannot be built with ({why})"


def libzmq_version() -> str:
    """The version that the programs link with."""
    done = subprocess.run(
        [str(program(_PROBE))], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def build_all() -> dict[str, str | None]:
    """Build everything; what failed is there with its reason."""
    return {source.stem: missing(source.stem) for source in sorted(SOURCES.glob("*.c"))}
