"""A fuzzer's seeds, and what the tests make of them without it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import strategies as st

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"

OneInput: TypeAlias = Callable[[bytes], None]
"""What a fuzzer runs."""


def seeds_of(target: str) -> list[Path]:
    """The files of a target's corpus."""
    return sorted((CORPUS / target).glob("*.bin"))


def mutants_of(seed: Path, count: int, first: int = 0) -> Iterator[bytes]:
    """A seed with some octets changed, from one on; the same ones each time."""
    data = seed.read_bytes()
    chance = random.Random(seed.stem)
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            where = chance.randrange(first, len(mutant))
            mutant[where] = chance.choice((0, 1, 4, 34, 0x7F, 0xFF))
        yield bytes(mutant)


def records_of(seeds: Sequence[Path], head: int) -> list[bytes]:
    """What is to be made into frames, one by one: a head, which ends with a length, and so much."""
    found: set[bytes] = set()
    for seed in seeds:
        data, at = seed.read_bytes(), 2
        while seed.stem.endswith(".frames") and at < len(data):
            end = at + head + data[at + head - 1]
            found.add(data[at:end])
            at = end
    return sorted(found)


def frames_of(seeds: Sequence[Path], head: int) -> st.SearchStrategy[list[bytes]]:
    """Some of what :func:`records_of` finds, and of what nobody has thought of."""
    any_bytes = st.binary(min_size=head, max_size=12)
    return st.lists(st.sampled_from(records_of(seeds, head)) | any_bytes, max_size=8)


def checks_of(
    seeds: Sequence[Path], one_input: OneInput, mutants: int
) -> tuple[Callable[[Path, int], None], Callable[[Path], None]]:
    """A test that plays each seed in several ways, and one of so many mutants of it.

    The second octet of a seed says how it is played: in pieces of which size, say.
    """

    @pytest.mark.parametrize("seed", seeds, ids=lambda path: path.stem)
    @pytest.mark.parametrize("how", [0, 1, 7, 0x80, 0x83])
    def test_seed(seed: Path, how: int) -> None:
        data = seed.read_bytes()
        one_input(data[:1] + bytes((how,)) + data[2:])

    @pytest.mark.parametrize("seed", seeds, ids=lambda path: path.stem)
    def test_mutations_of_a_seed(seed: Path) -> None:
        for mutant in mutants_of(seed, mutants):
            one_input(mutant)

    return test_seed, test_mutations_of_a_seed
