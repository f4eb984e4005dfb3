"""The fuzzer's target, with its seeds and with what hypothesis makes of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fuzz.fuzz_amqp_v091 import SCENES, framed, play
from fuzz.fuzz_amqp_v091 import test_one_input as one_input
from tests.fuzzing import checks_of, frames_of, seeds_of

SEEDS = seeds_of("amqp_v091")


def test_there_are_seeds_for_every_scene() -> None:
    assert {SCENES[seed.read_bytes()[0] & 7] for seed in SEEDS} == set(SCENES)


test_seed, test_mutations_of_a_seed = checks_of(SEEDS, one_input, 50)


@given(
    st.sampled_from(range(len(SCENES))),
    st.integers(0, 255),
    frames_of(SEEDS, 2),
)
def test_frames_in_any_order(scene: int, how: int, frames: list[bytes]) -> None:
    one_input(bytes((scene | 0x80, how)) + b"".join(frames))


@given(st.sampled_from(SCENES), st.binary(max_size=60), st.integers(1, 20))
def test_any_bytes(scene: str, data: bytes, piece: int) -> None:
    assert play(scene, data, piece, 4096) == play(scene, data, len(data) or 1, 4096)


def test_what_a_broker_says_is_told() -> None:
    """The seeds mean something: a target that fails at once would find nothing."""
    told, outcomes, _ = play("channels", corpus("deliveries"), 5, 131_072)
    assert [body for *_, body in told[1][:2]] == [b"hello", b"in pieces"]
    assert [body for *_, body in told[3][:1]] == [b""]
    assert not outcomes
    assert len(play("channels", corpus("confirms"), 5, 131_072)[1]) == 4
    assert len(play("channels", corpus("returned"), 5, 131_072)[1]) == 4


def corpus(name: str) -> bytes:
    data = next(seed for seed in SEEDS if seed.stem == f"{name}.frames").read_bytes()
    return framed(data[2:])
