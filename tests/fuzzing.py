"""A fuzzer's seeds, and what the tests make of them without it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"


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
