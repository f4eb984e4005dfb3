"""Every TOML block of the documentation is what its commands would take."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import trustme

from hypersocket.devices import amqp_gateway, topology

from .test_docs import PAGES, ROOT

BROKER = '[broker]\nurl = "amqp://localhost"\n'
ROUTE = '[routes.orders]\nkind = "out"\nsocket = "tcp://127.0.0.1:5555"\nqueue = "orders"\n'


def blocks() -> list[Any]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 2
            found.append(pytest.param(match[1], id=f"{page.relative_to(ROOT)}:{line}"))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that blocks name."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    own = authority.issue_cert("gateway.example")
    own.private_key_pem.write_to_path(str(tmp_path / "gateway-key.pem"))
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "gateway.pem"))
    (tmp_path / "bridge.toml").write_text(BROKER + ROUTE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("text", blocks())
def test_toml_is_right(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBIT_PASSWORD", "geheim")
    tables = tomllib.loads(text)
    path = folder / "shown.toml"
    if tables.keys() & {"devices", "sockets", "gateways"}:
        path.write_text(text, encoding="utf-8")
        assert topology.load(path).gateways
        return
    # A block that is about a route says nothing of the broker, and the other way round.
    text += "" if "broker" in tables else BROKER
    text += "" if "routes" in tables else ROUTE
    path.write_text(text, encoding="utf-8")
    found = amqp_gateway.load(path)
    assert found.spec.routes
    assert not found.warnings


def test_the_blocks_were_found() -> None:
    assert len(blocks()) > 8
