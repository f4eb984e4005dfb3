"""Gateway files that are right, for mistakes to be made in, and what is told of one."""

from __future__ import annotations

import pytest

from hypersocket.devices import ConfigurationError
from hypersocket.devices.amqp_gateway.config._load import loads

BROKER = """\
[broker]
url = "amqp://localhost"
"""
BROKER_10 = """\
[broker]
url = "amqp://localhost"
protocol = "1.0"
"""
OUT = """\
[routes.r]
kind = "out"
socket = "tcp://127.0.0.1:5555"
"""
IN = OUT.replace('"out"', '"in"')
TOPICS = OUT.replace('"out"', '"topics"')
CALL = OUT.replace('"out"', '"call"')
SERVE = OUT.replace('"out"', '"serve"')
GOOD = BROKER + OUT + "queue = 'q'\n"

ENVIRON = {"PASSWORD": "geheim"}


def told(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loads(text, file="g.toml", environ=ENVIRON)
    return str(caught.value)
