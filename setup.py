"""Builds the compiled core; everything else about the package is in pyproject.toml.

``HYPERSOCKET_PURE=1`` builds none, and makes a package of plain Python.
``HYPERSOCKET_REQUIRE_SPEEDUPS=1`` makes it an error when the core cannot be built. Without it, the
build says so in a line, and the package that it makes runs on plain Python.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from pathlib import Path
from textwrap import shorten

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

PURE = os.environ.get("HYPERSOCKET_PURE") == "1"
REQUIRED = os.environ.get("HYPERSOCKET_REQUIRE_SPEEDUPS") == "1"

# Where the core is built. Elsewhere it is not tried, and plain Python serves.
PLATFORMS = ("linux", "darwin", "win32")

# Annotations are for type checkers: an `int` is any int. What C may rely on is in the .pxd files.
# Indices stay checked, since what comes from a peer, and an empty queue's IndexError, go by them.
DIRECTIVES = {"language_level": 3, "annotation_typing": False}

SPEEDUPS = Path("hypersocket", "_speedups")


def hindrance() -> str | None:
    """Why there is no use in trying, if so."""
    if sys.implementation.name != "cpython":
        return f"it is for CPython, and this is {sys.implementation.name}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "it has not been tested without the GIL"
    if sys.platform not in PLATFORMS:
        return f"it is not for {sys.platform}"
    if importlib.util.find_spec("Cython") is None:
        return "there is no Cython"
    return None


def extensions() -> list[Extension]:
    """One for each module of the core: ``queues.py`` is compiled to ``_queues``, and so on.

    ``_queues.pxd``, if there is one, has its types. Where there is a ``_wire.pyx``, that is
    compiled in place of ``wire.py``, to the same name.
    """
    declared = [path.as_posix() for path in sorted(SPEEDUPS.glob("*.pxd"))]
    return [
        Extension(
            ".".join((*SPEEDUPS.parts, f"_{source.stem}")),
            [(twin if (twin := SPEEDUPS / f"_{source.stem}.pyx").exists() else source).as_posix()],
            depends=declared,
        )
        for source in sorted(SPEEDUPS.glob("*.py"))
        if not source.stem.startswith("_")
    ]


def forget_in_place() -> None:
    """Remove what an earlier editable installation compiled for this Python among the sources."""
    for path in SPEEDUPS.glob("_*" + sysconfig.get_config_var("EXT_SUFFIX")):
        path.unlink()


def say(line: str) -> None:
    """To standard error, past the verbosity of the build's own output."""
    sys.stderr.write(f"hypersocket: {line}.\n")


class BuildCore(build_ext):
    """setuptools has Cython compile each module; this adds what happens if that fails."""

    def finalize_options(self) -> None:  # noqa: D102
        super().finalize_options()
        # Cython's own options.
        self.cython_c_in_temp = 1  # no C file among the sources
        self.cython_directives = DIRECTIVES
        # Never trust what is there: another Cython, compiler or flags may have made it.
        self.force = True

    def run(self) -> None:  # noqa: D102
        try:
            if reason := hindrance():
                raise RuntimeError(reason)
            super().run()
        except Exception as error:
            for extension in self.extensions:  # an earlier build's
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            if self.editable_mode:
                forget_in_place()
            if REQUIRED:
                say("there is no compiled core, and HYPERSOCKET_REQUIRE_SPEEDUPS=1 asks for one")
                raise
            # Nothing is left that later steps would look for.
            self.extensions = []
            say(
                f"the compiled core was not built ({shorten(str(error), 60)}), so this is pure"
                " Python: `pip install -v .` shows the cause,"
                " and HYPERSOCKET_REQUIRE_SPEEDUPS=1 makes it an error"
            )


class BuildPy(build_py):
    """An editable installation without the compiled core does not keep an older one."""

    def run(self) -> None:  # noqa: D102
        if PURE and self.editable_mode:
            forget_in_place()
        super().run()


if PURE and REQUIRED:
    raise SystemExit(
        "hypersocket: HYPERSOCKET_PURE=1 and HYPERSOCKET_REQUIRE_SPEEDUPS=1 exclude each other."
    )

setup(
    ext_modules=[] if PURE else extensions(),
    cmdclass={"build_ext": BuildCore, "build_py": BuildPy},
)
