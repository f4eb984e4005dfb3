"""Both forms of the tree of subscriptions: the same is done to them, and they say the same.

The compiled one keeps its nodes in memory of its own, each in the smallest of several forms: for
each number of children and each label, for keys with and without gaps, for children that are all
alike. Small holdings are shared. So the inputs are such that all of that changes often.
"""

from __future__ import annotations

import gc
import random
import tracemalloc
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .test_twins import ALL, FORMS, core, outcome

both = pytest.mark.parametrize("form", FORMS, ids=["pure", "compiled"])

few_letters = st.text("ab", max_size=5).map(str.encode)
any_bytes = st.binary(max_size=3)
long_labels = st.builds(
    lambda size, end: b"l" * size + end,
    st.sampled_from([3, 4, 5, 9, 10, 11, 15, 16, 17, 253, 254, 255, 256, 257, 4096]),
    st.binary(max_size=2),
)
numbers = st.builds(
    lambda digits, end: digits.encode() + end,
    st.text("0123", max_size=3),
    st.sampled_from([b"", b"", b".", b".name", b".a longer name"]),
)
prefixes = st.one_of(few_letters, few_letters, numbers, any_bytes, long_labels)
ends = st.sampled_from([b"", b"", b"t", b".name", b".a longer name"])
gaps = st.sampled_from([1, 1, 2, 5])
holders = st.sampled_from(["x", "y", "z", 0, b"0", None])
many_holders = st.integers(0, 20)
times = st.sampled_from([0, 1, 2, ALL, 1 << 70, -1])


def steps(holders: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    step = st.one_of(
        st.tuples(st.just("add"), prefixes, holders),
        st.tuples(st.just("add"), prefixes, holders),
        st.tuples(st.just("discard"), prefixes, holders),
        st.tuples(st.just("discard"), prefixes, holders, times),
        st.tuples(st.just("look"), prefixes, prefixes),
        # Several at once: siblings, so that nodes grow past every size and shrink again.
        st.tuples(st.just("fan"), prefixes, holders, st.sampled_from([3, 17, 60, 256])),
        st.tuples(st.just("unfan"), prefixes, holders, st.sampled_from([3, 16, 59, 255, 256])),
        st.tuples(st.just("chain"), few_letters, holders, st.sampled_from([3, 40])),
        # Children that are alike, and so are their parents.
        st.tuples(st.just("grid"), few_letters, holders, ends, gaps),
        st.tuples(st.just("ungrid"), few_letters, holders, ends, gaps),
        st.tuples(st.just("add"), prefixes, st.just([])),  # cannot hold anything
        st.tuples(st.just("discard"), prefixes, st.just([])),
    )
    return st.lists(step, min_size=5, max_size=40)


def grid(gap: int) -> list[bytes]:
    """Numbers of three digits, in no order; with a gap some digits are left out."""
    digits = range(0, 10, gap)
    return [b"%d%d%d" % (c, b, a) for a in (0, 9) for b in digits for c in digits]


def operations(name: str, *args: Any) -> list[tuple[Any, ...]]:
    if name == "fan":
        return [("add", args[0] + bytes((last,)), args[1]) for last in range(args[2])]
    if name == "unfan":
        return [("discard", args[0] + bytes((last,)), args[1]) for last in range(args[2])]
    if name == "chain":
        return [("add", args[0] + b"c" * size, args[1]) for size in range(args[2])]
    if name in {"grid", "ungrid"}:
        prefix, holder, end, gap = args
        each = "add" if name == "grid" else "discard"
        return [(each, prefix + text + end, holder) for text in grid(gap)]
    return [(name, *args)]


def look(tree: Any, data: bytes) -> Any:
    """All that a tree says of some bytes."""
    who = tree.holders(data)
    return tree.matches(data), tree.covers(data), who, [tree.times(data, one) for one in who]


def drive(trees: tuple[Any, Any], steps: list[tuple[Any, ...]]) -> None:
    plain, compiled = trees
    for name, *args in steps:
        if name == "look":
            for data in (*args, args[0] + args[1]):
                assert look(compiled, data) == look(plain, data)
            continue
        for operation, *its in operations(name, *args):
            expected = outcome(partial(getattr(plain, operation), *its))
            assert outcome(partial(getattr(compiled, operation), *its)) == expected
        assert list(compiled) == list(plain)
        assert len(compiled) == len(plain)


@settings(max_examples=200)
@given(st.one_of(steps(holders), steps(many_holders)))
def test_any_operations(steps: list[tuple[Any, ...]]) -> None:
    plain, compiled = trees = tuple(form.PrefixTree() for form in FORMS)
    drive(trees, steps)
    for prefix in list(plain):
        assert look(compiled, prefix) == look(plain, prefix)
        for holder in plain.holders(prefix):
            expected = plain.discard(prefix, holder, ALL)
            assert compiled.discard(prefix, holder, ALL) == expected
    assert list(compiled) == list(plain)


KEYS: list[Callable[[random.Random], bytes]] = [
    lambda rng: bytes(rng.choices(range(256), k=rng.randint(0, 2))),
    lambda rng: bytes(rng.choices(b"ab", k=rng.randint(0, 8))),
    lambda rng: b"x" * rng.randint(0, 60) + bytes(rng.choices(b"ab", k=rng.randint(0, 8))),
    lambda rng: b"%04d" % rng.randint(0, 1500),
    lambda rng: b"%03d" % rng.randint(0, 30) + rng.choice([b"", b".", b".name", b".a longer name"]),
    lambda rng: b"%d%d" % (rng.randint(0, 3), rng.randint(0, 3)) + b"end" * rng.randint(0, 1),
]
KEY_NAMES = ["all bytes", "two letters", "chains", "numbers", "names", "few numbers"]


SHAPES: dict[str, tuple[Callable[[random.Random, int], bytes], float]] = {
    "numbers": (lambda _, number: b"t%08d" % number, 0.5),
    "every second number": (lambda _, number: b"t%08d" % (2 * number), 9),
    "random numbers": (lambda rng, _: b"%016x" % rng.getrandbits(64), 45),
    "words": (lambda rng, _: b"prices.EUR." + bytes(rng.choices(b"abcdefgh", k=5)), 15),
    "the same names": (lambda _, number: b"%d.%d" % (number // 2, number % 2), 12),
}


@pytest.mark.parametrize("holders", [1, 3, 30])
@pytest.mark.parametrize("make", KEYS, ids=KEY_NAMES)
def test_long_churn(make: Callable[[random.Random], bytes], holders: int) -> None:
    """Growing and shrinking in turn, against a plain model."""
    rng = random.Random(holders)
    tree = core.PrefixTree()
    model: dict[bytes, dict[int, int]] = {}
    for step in range(12_000):
        key, holder = make(rng), rng.randrange(holders)
        held = model.get(key, {})
        if rng.random() < (0.8 if step // 3000 % 2 == 0 else 0.2):
            assert tree.add(key, holder) == (not held, holder not in held)
            model.setdefault(key, {})[holder] = held.get(holder, 0) + 1
        else:
            ends = held.get(holder) == 1
            expected = None if holder not in held else (ends and len(held) == 1, ends)
            assert tree.discard(key, holder) == expected
            if holder in held:
                held[holder] -= 1
                if ends:
                    del held[holder]
                if not held:
                    del model[key]
        data = make(rng)
        wanted = {who for size in range(len(data) + 1) for who in model.get(data[:size], ())}
        assert sorted(tree.matches(data)) == sorted(wanted)
        assert tree.covers(data) is bool(wanted)
    assert sorted(tree) == sorted(model)
    assert {key: tree.holders(key) for key in model} == {key: tuple(model[key]) for key in model}


@both
def test_a_chain_deeper_than_any_stack(form: Any) -> None:
    tree = form.PrefixTree()
    depth = 100_000 if form is core else 2000
    text = b"d" * depth
    for size in range(0, depth, 1 + depth // 2000):
        tree.add(text[:size], "x")
    assert tree.matches(text) == ("x",)
    assert len(list(tree)) == len(tree)
    del tree  # freed without going down by calls


def test_a_tree_of_one_node_a_byte_is_freed() -> None:
    tree = core.PrefixTree()
    text = b"d" * 20_000
    for size in range(len(text)):
        tree.add(text[:size], "x")
    assert tree.covers(text)
    del tree


@pytest.mark.parametrize("shape", list(SHAPES))
def test_memory(shape: str) -> None:
    """As little as is said of it, and all of it is given back, in whatever order it goes."""
    make, most = SHAPES[shape]
    prefixes = list({make(random.Random(number), number) for number in range(10_000)})
    holder = object()
    tracemalloc.start()
    try:
        tree = core.PrefixTree()
        tree.add(b"zzz", holder)
        before = tracemalloc.get_traced_memory()[0]
        for again in range(2):
            for prefix in prefixes:
                tree.add(prefix, holder)
            taken = tracemalloc.get_traced_memory()[0] - before
            assert taken < most * len(prefixes)
            random.Random(again).shuffle(prefixes)
            for prefix in prefixes:
                tree.discard(prefix, holder)
            assert tracemalloc.get_traced_memory()[0] - before < 2000
        assert list(tree) == [b"zzz"]
    finally:
        tracemalloc.stop()


@both
def test_what_is_found_is_the_callers(form: Any) -> None:
    """Neither an answer nor a walk changes with the tree."""
    tree = form.PrefixTree()
    tree.add(b"a", 1)
    tree.add(b"a", 2)
    found = tree.matches(b"abc")
    seen = []
    for prefix in tree:
        seen.append(prefix)
        assert tree.discard(b"a", 1) == (False, True)
        tree.add(b"b", 1)
    assert seen == [b"a"]
    assert found == (1, 2)
    assert tree.matches(b"abc") == (2,)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(["add", "add", "discard", "covers"]), prefixes), max_size=40)
)
def test_sets(steps: list[tuple[str, bytes]]) -> None:
    model: set[bytes] = set()
    sets = [form.PrefixSet() for form in FORMS]
    for name, prefix in steps:
        answers = [getattr(each, name)(prefix) for each in sets]
        if name == "covers":
            expected: bool | None = any(map(prefix.startswith, model))
        elif name == "discard":
            expected = prefix in model
            model.discard(prefix)
        else:
            expected = None
            model.add(prefix)
        assert answers == [expected, expected]
        for each in sets:
            assert sorted(each) == sorted(model)
            assert len(each) == len(model)
    for each in sets:
        assert each.take(0) == each.take(-1) == []
        taken: list[bytes] = []
        while len(each):
            some = each.take(3)
            assert len(some) == min(3, len(model) - len(taken))
            taken += some
        assert sorted(taken) == sorted(model)
        assert each.take(3) == []


@both
def test_prefixes_that_many_hold_are_each_their_own(form: Any) -> None:
    """So many that the tree does not look for equal holders elsewhere."""
    tree = form.PrefixTree()
    for holder in range(9):
        for prefix in (b"a", b"b"):
            tree.add(prefix, holder)
    tree.discard(b"b", 8)
    assert sorted(tree.holders(b"a")) == list(range(9))
    assert sorted(tree.holders(b"b")) == list(range(8))
    tree.add(b"a", 9)
    assert sorted(tree.holders(b"a")) == list(range(10))
    assert sorted(tree.holders(b"b")) == list(range(8))


@both
def test_equal_holders_are_one(form: Any) -> None:
    tree = form.PrefixTree()
    assert tree.add(b"a", 1) == (True, True)
    assert tree.add(b"a", 1.0) == (False, False)
    assert tree.discard(b"a", True) == (False, False)
    assert tree.discard(b"a", True) == (True, True)


@both
def test_what_is_no_bytes(form: Any) -> None:
    if form is core:
        for call in (core.PrefixTree().add, core.PrefixTree().discard):
            for prefix in (None, "a"):
                with pytest.raises(TypeError):
                    call(prefix, 1)


class Holder:
    """Can be looked at weakly."""

    tree: Any


@both
def test_a_tree_in_a_circle_is_collected(form: Any) -> None:
    holder = Holder()
    holder.tree = form.PrefixTree()
    for number in range(100):
        holder.tree.add(b"%d" % number, holder)
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    assert gone() is None


@both
def test_a_holder_that_holds_nothing_is_forgotten(form: Any) -> None:
    tree = form.PrefixTree()
    for keep in (False, True):
        holder = Holder()
        tree.add(b"a", holder)
        tree.add(b"ab", holder)
        if keep:
            tree.add(b"a", 0)
        gone = weakref.ref(holder)
        for prefix in (b"a", b"ab"):
            tree.discard(prefix, holder)
        del holder
        assert gone() is None


class Meddler:
    """As it is compared, the tree is changed."""

    def __init__(self, tree: Any, rng: random.Random) -> None:
        self.tree, self.rng, self.left = tree, rng, 50

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        if self.left > 0:
            self.left -= 1
            prefix = bytes(self.rng.choices(b"ab", k=self.rng.randint(0, 3)))
            self.rng.choice([self.tree.add, self.tree.discard])(prefix, self.rng.randrange(3))
        return self is other


@pytest.mark.parametrize("seed", range(20))
def test_a_tree_that_changes_while_it_compares(seed: int) -> None:
    """Nothing sensible comes of it, but nothing worse than an exception."""
    rng = random.Random(seed)
    tree = core.PrefixTree()
    meddlers = [Meddler(tree, rng) for _ in range(3)]
    for _ in range(200):
        prefix = bytes(rng.choices(b"ab", k=rng.randint(0, 3)))
        meddler = rng.choice(meddlers)
        meddler.left = rng.randint(0, 2)
        outcome(partial(rng.choice([tree.add, tree.discard]), prefix, meddler))
        outcome(partial(tree.matches, b"abab"))
        assert len(list(tree)) == len(tree)


@pytest.mark.parametrize("seed", range(4))
def test_out_of_memory_anywhere(seed: int) -> None:
    """What fails has changed nothing; what could not be joined is no hindrance later."""
    testing = pytest.importorskip("_testcapi")
    rng = random.Random(seed)
    plain, compiled = (form.PrefixTree() for form in FORMS)
    failures = 0
    for step in range(400):
        data = rng.choice(KEYS)(rng)[-20:]
        args = data, rng.randrange(rng.choice([1, 12]))
        name = "add" if rng.random() < (0.7 if step < 200 else 0.3) else "discard"
        if name == "discard" and len(plain):
            data = rng.choice(list(plain))
            args = data, rng.choice(plain.holders(data))
        call = getattr(compiled, name)
        expected = getattr(plain, name)(*args)
        for start in range(30):
            testing.set_nomemory(start, start + rng.randint(1, 3))
            try:
                result = call(*args)
            except MemoryError:
                failures += 1
                continue
            finally:
                testing.remove_mem_hooks()
            break
        else:
            result = call(*args)
        assert result == expected
        assert sorted(compiled) == sorted(plain)
        assert len(compiled) == len(plain)
        assert look(compiled, data) == look(plain, data)
    assert failures > 100
    for prefix in list(plain):
        for holder in plain.holders(prefix):
            assert compiled.discard(prefix, holder, ALL) == plain.discard(prefix, holder, ALL)
    assert list(compiled) == []
