"""Which form of the core is in use, and that both have the same things."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import pytest

import hypersocket as hs
from hypersocket import _speedups

ROOT = Path(_speedups.__file__).parent
SOURCES = sorted(path.stem for path in ROOT.glob("*.py") if not path.stem.startswith("_"))
BUILT = all(
    importlib.util.find_spec(f"hypersocket._speedups._{name}") is not None for name in SOURCES
)
REQUIRED = os.environ.get("HYPERSOCKET_REQUIRE_SPEEDUPS") == "1"

needs_core = pytest.mark.skipif(
    not BUILT and not REQUIRED, reason="the compiled core is not built here"
)

ASK = """
import json
import hypersocket
from hypersocket import _speedups
print(json.dumps({
    "form": hypersocket.speedups,
    "same": _speedups.FORM,
    "names": {
        name: type(getattr(_speedups, name)).__name__ == "type"
        for name in sorted(_speedups.__all__)
    },
    "homes": {
        name: getattr(_speedups, name).__module__
        for name in sorted(_speedups.__all__)
        if hasattr(getattr(_speedups, name), "__module__")
    },
}))
"""


def ask(pure: str | None) -> Any:
    """What a new process says, with that HYPERSOCKET_PURE in its environment."""
    env = {name: value for name, value in os.environ.items() if name != "HYPERSOCKET_PURE"}
    env["PYTHONPATH"] = str(ROOT.parent.parent)
    if pure is not None:
        env["HYPERSOCKET_PURE"] = pure
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK],
        check=True,
        capture_output=True,
        text=True,
        env=env,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_pure_on_request() -> None:
    said = ask("1")
    assert said["form"] == said["same"] == "pure"
    assert compiled_names(said) == set()


@needs_core
@pytest.mark.parametrize("value", [None, "", "0"])
def test_compiled_if_built(value: str | None) -> None:
    said = ask(value)
    assert said["form"] == said["same"] == "compiled"
    assert compiled_names(said) == set(said["homes"])  # all of them or none


@pytest.mark.skipif(BUILT, reason="the compiled core is built here")
def test_pure_if_not_built() -> None:
    assert ask(None)["form"] == "pure"


def test_this_run() -> None:
    """A run that is meant for one form does not go by on the other."""
    if os.environ.get("HYPERSOCKET_PURE") == "1" or not (BUILT or REQUIRED):
        assert hs.speedups == "pure"
    else:
        assert hs.speedups == "compiled"


@needs_core
def test_both_forms_export_the_same_names() -> None:
    pure, compiled = ask("1"), ask(None)
    assert compiled["names"] == pure["names"]


def compiled_names(said: Any) -> set[str]:
    return {
        name for name, module in said["homes"].items() if module.rpartition(".")[2].startswith("_")
    }


@needs_core
@pytest.mark.parametrize("name", SOURCES)
def test_a_compiled_module_has_what_its_source_has(name: str) -> None:
    plain = importlib.import_module(f"hypersocket._speedups.{name}")
    compiled = importlib.import_module(f"hypersocket._speedups._{name}")
    for each in public(plain):
        one, other = getattr(plain, each), getattr(compiled, each)
        if isinstance(one, type):
            assert public(one) <= public(other), each
        elif isinstance(one, int | bytes | str):
            assert one == other, each


def public(of: Any) -> set[str]:
    """Public names, those apart that a module has only imported."""
    home = getattr(of, "__name__", "")
    return {
        name
        for name in dir(of)
        if not name.startswith("_")
        and name != "TYPE_CHECKING"
        and (isinstance(of, type) or getattr(getattr(of, name), "__module__", home) == home)
        and not isinstance(getattr(of, name), type(sys))
        and type(getattr(of, name)).__module__ != "__future__"
    }


def test_the_modules_are_the_files() -> None:
    assert list(_speedups.MODULES) == SOURCES


@needs_core
def test_compiled_modules_are_the_files() -> None:
    """Each module is compiled, and nothing is there that no file stands for."""
    suffix = EXTENSION_SUFFIXES[0]
    compiled = {path.name.removesuffix(suffix) for path in ROOT.glob(f"*{suffix}")}
    assert sorted(compiled) == [f"_{name}" for name in SOURCES]
