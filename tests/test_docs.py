"""The documentation names everything that there is, and what it shows runs."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import types
from pathlib import Path
from typing import Any

import pytest
import trio

import hypersocket as hs
from hypersocket import _events, testing
from hypersocket._options import options_of

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("[gr]*/*.md"))]
PAGES = [page for page in PAGES if page.parent.name != "generated"]

SOCKETS = [
    value
    for value in vars(hs).values()
    if isinstance(value, type) and issubclass(value, hs.Socket) and value is not hs.Socket
]


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("_options")


@pytest.mark.parametrize("socket", SOCKETS, ids=lambda socket: socket.__name__)
def test_every_option_is_in_the_tables(socket: type[hs.Socket], tables: types.ModuleType) -> None:
    text = tables.render()
    for name, option in options_of(socket).items():
        (row,) = {
            line
            for line in text.splitlines()
            if line.startswith(f"| `{name}` | `") and option.doc.replace("|", r"\|") in line
        }
        assert f"`<br>{option.unit} | {option.applies} |" in row


def test_every_difference_from_libzmq_has_a_reason(tables: types.ModuleType) -> None:
    for name, option in tables.every_option().items():
        assert (option.libzmq is None) == (option.why is None), name


def test_the_pages_include_what_is_generated() -> None:
    assert "generated/options.md" in (DOCS / "options.md").read_text(encoding="utf-8")
    assert "generated/bounds.md" in (DOCS / "guide/limits.md").read_text(encoding="utf-8")


def test_every_public_name_is_in_the_reference() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    documented = set(re.findall(r"^\.\. (?:auto)?\w+:: ([\w.]+)", text, re.MULTILINE))
    names = set(hs.__all__) - {"devices", "events", "management", "transports"}
    assert names <= documented
    events = {
        f"hypersocket.events.{name}"
        for name, value in vars(_events).items()
        if inspect.isclass(value) and issubclass(value, (_events.Event, _events.Monitor))
    }
    assert events <= documented
    assert set(hs.transports.__all__) <= documented
    assert set(testing.__all__) <= documented


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        if page != DOCS / "index.md":
            assert f"\n{page.relative_to(DOCS).with_suffix('')}\n" in index


def test_every_example_is_shown_somewhere() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for example in (ROOT / "examples").glob("*.py"):
        assert f"examples/{example.name}" in text


def test_the_state_table_has_a_place_for_every_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    states = importlib.import_module("_states")
    svg = states.picture().svg()
    for state in states.State:
        assert f">{state.value}<" in svg


def snippets() -> list[Any]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 2
            name = f"{page.relative_to(ROOT)}:{line}"
            found.append(pytest.param(match[1], name, id=name))
    return found


@pytest.mark.parametrize(("source", "name"), snippets())
def test_snippet_runs(source: str, name: str) -> None:
    code = compile(source, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    scope = {"__name__": "snippet", "hs": hs}
    if code.co_flags & inspect.CO_COROUTINE:

        async def run() -> None:
            await types.FunctionType(code, scope)()

        trio.run(run)
    else:
        exec(code, scope)


def test_the_pages_were_found() -> None:
    assert len(PAGES) > 20
    assert len(snippets()) > 5
