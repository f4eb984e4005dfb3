"""The tree of subscriptions against a model of it, and what matching costs."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hypersocket._speedups.prefix_tree import PrefixTree

# Few letters, so that prefixes meet.
prefixes = st.one_of(
    st.text("ab", max_size=6).map(str.encode),
    st.sampled_from([b"", b"\0", b"\xff", b"aa", b"ab", b"abab" * 20, b"abab" * 20 + b"b"]),
)
holders = st.sampled_from("xyz")


class Model:
    """The same by exhaustive search."""

    def __init__(self) -> None:
        self.held: Counter[tuple[bytes, str]] = Counter()

    def prefixes(self) -> set[bytes]:
        return {prefix for prefix, _ in self.held}

    def add(self, prefix: bytes, holder: str) -> tuple[bool, bool]:
        change = prefix not in self.prefixes(), (prefix, holder) not in self.held
        self.held[prefix, holder] += 1
        return change

    def discard(self, prefix: bytes, holder: str, times: int = 1) -> tuple[bool, bool] | None:
        if (prefix, holder) not in self.held:
            return None
        self.held[prefix, holder] -= times
        if self.held[prefix, holder] <= 0:
            del self.held[prefix, holder]
        return prefix not in self.prefixes(), (prefix, holder) not in self.held

    def matches(self, data: bytes) -> set[str]:
        return {holder for prefix, holder in self.held if data.startswith(prefix)}


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.tree: PrefixTree = PrefixTree()
        self.model = Model()

    @rule(prefix=prefixes, holder=holders)
    def add(self, prefix: bytes, holder: str) -> None:
        assert self.tree.add(prefix, holder) == self.model.add(prefix, holder)

    @rule(prefix=prefixes, holder=holders)
    def discard(self, prefix: bytes, holder: str) -> None:
        assert self.tree.discard(prefix, holder) == self.model.discard(prefix, holder)

    @rule(data=st.data(), holder=holders)
    def discard_all_of_one(self, data: st.DataObject, holder: str) -> None:
        own = {prefix: n for (prefix, who), n in self.model.held.items() if who == holder}
        if own:
            prefix = data.draw(st.sampled_from(sorted(own)))
            times = own[prefix]
            expected = self.model.discard(prefix, holder, times)
            assert self.tree.discard(prefix, holder, times) == expected

    @rule(data=prefixes, more=prefixes)
    def look(self, data: bytes, more: bytes) -> None:
        for text in (data, data + more):
            assert set(self.tree.matches(text)) == self.model.matches(text)
            assert self.tree.covers(text) is bool(self.model.matches(text))
        exactly = {holder for prefix, holder in self.model.held if prefix == data}
        assert set(self.tree.holders(data)) == exactly

    @invariant()
    def same_prefixes(self) -> None:
        found = list(self.tree)
        assert len(found) == len(set(found)) == len(self.tree)
        assert set(found) == self.model.prefixes()

    @invariant()
    def no_needless_nodes(self) -> None:
        nodes = [self.tree._root]
        for node in nodes:
            assert all(child.label[0] == first for first, child in node.children.items())
            if node is not self.tree._root:
                assert node.label
                assert node.holders or len(node.children) > 1
            nodes.extend(node.children.values())
        assert len(nodes) <= 2 * len(self.tree) + 1


TestPrefixTree = Machine.TestCase
TestPrefixTree.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


@given(st.dictionaries(prefixes, holders, max_size=20), prefixes)
def test_order_is_the_same_every_time(held: dict[bytes, str], data: bytes) -> None:
    tree: PrefixTree = PrefixTree()
    for prefix, holder in held.items():
        tree.add(prefix, holder)
    assert list(tree.matches(data)) == list(tree.matches(data))


class CountingDict(dict):
    """Counts how often somebody asks for a way down."""

    visits = 0

    def get(self, *args: object) -> object:
        CountingDict.visits += 1
        return super().get(*args)


def visits(tree: PrefixTree, data: bytes) -> int:
    nodes = [tree._root]
    for node in nodes:
        node.children = CountingDict(node.children)
        nodes.extend(node.children.values())
    CountingDict.visits = 0
    tree.matches(data)
    return CountingDict.visits


@pytest.mark.parametrize("shape", ["elsewhere", "sharing the beginning", "longer", "chain"])
def test_matching_costs_nothing_for_what_does_not_match(shape: str) -> None:
    make = {
        "elsewhere": lambda n: b"other.%d" % n,
        "sharing the beginning": lambda n: b"topic.x.%d" % n,
        "longer": lambda n: b"topic.a.b.c.%d" % n,
        "chain": lambda n: b"z" * n,
    }[shape]
    costs = []
    for count in (10, 100, 2000):
        tree: PrefixTree = PrefixTree()
        for prefix in (b"topic.", b"topic.a"):
            tree.add(prefix, "x")
        for number in range(1, count):
            tree.add(make(number), "y")
        costs.append(visits(tree, b"topic.a.b.c"))
        assert set(tree.matches(b"topic.a.b.c")) == {"x"}
    assert costs[1] <= costs[0] + 1
    assert costs[2] == costs[1]


def test_matching_costs_no_more_than_the_message_is_long() -> None:
    tree: PrefixTree = PrefixTree()
    for length in range(3000):
        tree.add(b"a" * length, "x")
    assert visits(tree, b"a" * 10) <= 11
    assert visits(tree, b"a" * 10 + b"b" * 10) <= 12
