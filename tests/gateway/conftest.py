"""What tests of the gateway ask for: a second broker, and a clock that can be moved on."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from tests.brokers.proton_c import proton_broker as proton_broker


@pytest.fixture
def jumping_clock() -> MockClock:
    """The time of day, as brokers have it, until a test says ``jump``.

    With it, what is to come too late does so after a time that no machine stands still for.
    """
    return MockClock(rate=1.0)
