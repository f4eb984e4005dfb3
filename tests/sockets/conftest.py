"""What the tests of sockets share: somewhere to meet."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["inproc", "tcp", "ipc"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An endpoint to bind, of each transport in turn."""
    endpoints = {
        "inproc": "inproc://anywhere",
        "tcp": "tcp://127.0.0.1:*",
        "ipc": f"ipc://{tmp_path}/s",
    }
    return endpoints[request.param]


@pytest.fixture(params=["inproc", "tcp"])
def here(request: pytest.FixtureRequest) -> str:
    """An endpoint to bind, in this process or by the loopback interface."""
    return {"inproc": "inproc://here", "tcp": "tcp://127.0.0.1:*"}[request.param]
