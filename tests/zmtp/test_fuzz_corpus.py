"""The fuzzer's seeds, played through its target."""

from __future__ import annotations

import pytest

from fuzz.fuzz_zmtp import TYPES, play
from fuzz.fuzz_zmtp import test_one_input as one_input
from hypersocket.zmtp import HandshakeSucceeded, Limits
from tests.fuzzing import CORPUS, checks_of, seeds_of

SEEDS = seeds_of("zmtp")


def test_there_are_seeds() -> None:
    assert len(SEEDS) >= 16


test_seed, test_mutations_of_a_seed = checks_of(SEEDS, one_input, 200)


@pytest.mark.parametrize(
    "name",
    ["pipeline", "request-reply", "routing", "subscriptions", "upstream", "heartbeats"],
)
@pytest.mark.parametrize("side", ["bound", "connecting"])
def test_what_libzmq_said_is_understood(name: str, side: str) -> None:
    data = (CORPUS / "zmtp" / f"{name}.{side}.bin").read_bytes()
    events, reason, _, _ = play(TYPES[data[0]], data[2:], len(data), Limits(), 1000)
    assert reason is None
    first = events[0]
    assert isinstance(first, HandshakeSucceeded)
    assert first.peer.version == (3, 1)
    assert len(events) > 1 or name in ("pipeline", "heartbeats")
