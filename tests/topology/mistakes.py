"""Topology files that are right, for mistakes to be made in, and what is told of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypersocket.devices import topology
from hypersocket.devices.topology import TopologyError

QUEUE = """\
[devices.q]
kind = "queue"
frontend.bind = "tcp://127.0.0.1:5555"
backend.bind = "tcp://127.0.0.1:5556"
"""

REQ = """\
[sockets.c]
type = "REQ"
connect = "q.frontend"
"""

GATEWAY = """\
[gateways.g]
[gateways.g.broker]
url = 'amqp://h'
[gateways.g.routes.r]
kind = 'out'
socket.connect = 'q.backend'
queue = 'q'
"""


def told(text: str) -> str:
    """What is told of a file in the working directory."""
    Path("t.toml").write_text(text, encoding="utf-8")
    with pytest.raises(TopologyError) as caught:
        topology.load("t.toml", environ={})
    return str(caught.value)
