"""The fuzzer's target, with its seeds and with what hypothesis makes of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.fuzz_amqp_v10 import SCENES, WHAT, compare, framed, one_message, one_value, play
from fuzz.fuzz_amqp_v10 import test_one_input as one_input

SEEDS = sorted((Path(__file__).parents[3] / "fuzz" / "corpus" / "amqp_v10").glob("*.bin"))
FRAMES = [seed.read_bytes() for seed in SEEDS if seed.stem.endswith(".frames")]


def test_there_are_seeds_for_everything() -> None:
    assert {WHAT[seed.read_bytes()[0] & 0x7F] for seed in SEEDS} == set(WHAT)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.stem)
@pytest.mark.parametrize("how", [0, 1, 7, 0x80, 0x83])
def test_seed(seed: Path, how: int) -> None:
    data = seed.read_bytes()
    one_input(data[:1] + bytes((how,)) + data[2:])


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.stem)
def test_mutations_of_a_seed(seed: Path) -> None:
    data = seed.read_bytes()
    chance = random.Random(seed.stem)
    for _ in range(50):
        mutant = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            mutant[chance.randrange(len(mutant))] = chance.choice((0, 1, 4, 0x7F, 0xFF))
        one_input(bytes(mutant))


def records() -> list[bytes]:
    """All frames of the seeds, one by one."""
    found: set[bytes] = set()
    for seed in FRAMES:
        at = 2
        while at < len(seed):
            end = at + 4 + seed[at + 3]
            found.add(seed[at:end])
            at = end
    return sorted(found)


@given(
    st.sampled_from(range(len(WHAT) - len(SCENES), len(WHAT))),
    st.integers(0, 255),
    st.lists(st.sampled_from(records()) | st.binary(min_size=4, max_size=12), max_size=8),
)
def test_frames_in_any_order(what: int, how: int, frames: list[bytes]) -> None:
    one_input(bytes((what | 0x80, how)) + b"".join(frames))


@given(st.sampled_from(SCENES), st.binary(max_size=60), st.integers(1, 20))
def test_any_bytes_of_a_peer(scene: str, data: bytes, piece: int) -> None:
    compare(play(scene, data, piece), play(scene, data, len(data) or 1))


@given(st.binary(max_size=60))
def test_any_bytes_as_a_value_and_as_a_message(data: bytes) -> None:
    one_value(data)
    one_message(data)
    one_message(b"\0\x53\x73" + data)


def test_what_a_peer_says_is_told() -> None:
    """The seeds mean something: a target that fails at once would find nothing."""
    seed = next(seed for seed in SEEDS if seed.stem == "links.transfers.frames")
    told = play("links", framed(seed.read_bytes()[2:]), 5, talk=True)
    assert [len(told[link]) for link in "0123"] == [3, 2, 1, 1]
