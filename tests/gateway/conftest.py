"""A second broker, for the tests that ask for it."""

from __future__ import annotations

from tests.brokers.proton_c import proton_broker as proton_broker
