"""The fuzzer's target, with its seeds and with what hypothesis makes of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fuzz.fuzz_amqp_v10 import SCENES, WHAT, compare, framed, one_message, one_value, play
from fuzz.fuzz_amqp_v10 import test_one_input as one_input
from tests.fuzzing import checks_of, frames_of, seeds_of

SEEDS = seeds_of("amqp_v10")


def test_there_are_seeds_for_everything() -> None:
    assert {WHAT[seed.read_bytes()[0] & 0x7F] for seed in SEEDS} == set(WHAT)


test_seed, test_mutations_of_a_seed = checks_of(SEEDS, one_input, 50)


@given(
    st.sampled_from(range(len(WHAT) - len(SCENES), len(WHAT))),
    st.integers(0, 255),
    frames_of(SEEDS, 4),
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
