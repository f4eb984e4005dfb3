"""What the tests of transports share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hypersocket import transports
from hypersocket.testing import MemoryTransport


@pytest.fixture
def memory() -> Iterator[MemoryTransport]:
    transport = MemoryTransport()
    transports.register("memory", transport)
    yield transport
    transports._registry._transports.pop("memory", None)
