"""What importing needs, and which floor imports which."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hypersocket as hs

ROOT = Path(hs.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# The floors of the house: a module may import from its own floor and from those below.
FLOORS = [
    ["_version", "_reasons", "_errors", "_message", "_memory"],  # words that all floors use
    ["_speedups"],
    ["zmtp", "pgm", "amqp"],
    ["_signal", "_stats", "_events", "_options", "_option_groups"],
    ["transports"],
    ["sockets"],
    ["management"],
    ["devices"],
    ["", "testing"],  # what users import, and so on top of all but the commands
    ["cli", "__main__"],
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def module_of(path: Path) -> str:
    parts = ("hypersocket", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, anywhere in it, as absolute names."""
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *(node.module.split(".") if node.module else [])])
            yield from (f"{name}.{one.name}" for one in node.names)


def room_of(module: str) -> str | None:
    """The part of the package that a name belongs to; None outside of it."""
    parts = module.split(".")
    if parts[0] != "hypersocket":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR else ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_down_only(path: Path) -> None:
    room = room_of(module_of(path))
    assert room is not None
    first = module_of(path).split(".")[1:2]
    assert not first or first[0] in FLOOR, "a new room: which floor is it on?"
    for name in imports(path):
        other = room_of(name)
        if other is None:
            continue
        assert FLOOR[other] <= FLOOR[room], f"{name} is above {module_of(path)}"


@pytest.mark.parametrize(
    ("room", "others"),
    [
        ("messages", {"routes", "clients", "config"}),
        ("routes", {"clients", "config"}),
        ("clients", {"messages", "routes", "config"}),
    ],
)
def test_the_rooms_of_the_gateway_are_apart(room: str, others: set[str]) -> None:
    gateway = ROOT / "devices" / "amqp_gateway"
    paths = list((gateway / room).rglob("*.py"))
    assert paths
    for path in paths:
        prefix = f"{module_of(gateway)}."
        inside = {name.removeprefix(prefix) for name in imports(path) if name.startswith(prefix)}
        assert not {name.split(".")[0] for name in inside} & others, path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_imports_libzmq(path: Path) -> None:
    outside = {name.split(".")[0] for name in imports(path)}
    assert not outside & {"zmq", "pyzmq", "asyncio", "pickle"}


@pytest.mark.parametrize("room", ["_speedups", "zmtp"])
def test_the_wire_is_sans_io(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        outside = {name.split(".")[0] for name in imports(path)}
        if path == ROOT / "_speedups" / "__init__.py":
            outside.discard("os")  # for the environment, which chooses the form of the core
        if path == ROOT / "_speedups" / "wire.py":
            outside.discard("os")  # where bytes go from the system to the decoder and back, at once
        assert not outside & {"trio", "socket", "ssl", "select", "time", "os", "outcome"}, path


ALONE = """
import importlib.abc, sys

ALLOWED = {allowed!r}

class Fence(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in sys.stdlib_module_names and root not in ALLOWED:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

sys.meta_path.insert(0, Fence())
import hypersocket
assert hypersocket.Req and hypersocket.__version__
import trio

async def main():
    async with hypersocket.Rep(bind="tcp://127.0.0.1:*") as rep, hypersocket.Req() as req:
        await req.connect(rep.endpoints[0])
        await req.send(b"hello")
        assert await rep.recv() == b"hello"

trio.run(main)
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def test_only_trio_is_needed() -> None:
    what_trio_requires = {"outcome", "attr", "attrs", "sortedcontainers", "sniffio", "idna"}
    allowed = {"hypersocket", "trio", *what_trio_requires}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE.format(allowed=allowed)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT.parent)},
    )
    loaded = set(done.stdout.split())
    extras = {"nacl", "pamqp", "click", "rich", "pydantic", "prometheus_client", "h11"}
    assert not loaded & {"zmq", "pyzmq", "asyncio", *extras}
    assert done.stderr == ""


def test_what_is_public_is_there() -> None:
    for name in hs.__all__:
        assert getattr(hs, name) is not None
    assert sorted(hs.__all__) == list(hs.__all__)
    assert hs.speedups in {"compiled", "pure"}
    assert (ROOT / "py.typed").exists()
