"""Subscription matching: who holds a prefix of a message.

A radix tree. Each node stands for the bytes on the way to it; a node with one child and no
holders is joined with that child, so the tree has at most two nodes for each distinct prefix.
Matching walks down along the message: its cost grows with the length of the message's beginning
that is held at all, and not with the number of prefixes that do not match. A tree is chosen over
a table by length because no set of prefixes that a peer may choose makes it slow.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Generic, TypeVar

H = TypeVar("H", bound=Hashable)


class _Node(Generic[H]):
    __slots__ = ("children", "holders", "label")

    def __init__(self, label: bytes) -> None:
        self.label = label  # what this node adds to its parent's bytes
        self.children: dict[int, _Node[H]] = {}  # by the first byte of their label
        self.holders: dict[H, int] = {}  # how often each holds this prefix; in order


class PrefixTree(Generic[H]):
    """Prefixes, and who holds each, counted (RFC 29: subscriptions are additive)."""

    __slots__ = ("_root", "_size")

    def __init__(self) -> None:
        self._root: _Node[H] = _Node(b"")
        self._size = 0

    def __len__(self) -> int:
        """How many distinct prefixes are held."""
        return self._size

    def add(self, prefix: bytes, holder: H) -> tuple[bool, bool]:
        """Let ``holder`` hold ``prefix`` once more.

        Returns:
            Whether it is the first time for anyone, and whether it is for this holder.
        """
        node = self._make(prefix)
        first = not node.holders
        before = node.holders.get(holder, 0)
        node.holders[holder] = before + 1
        self._size += first
        return first, not before

    def discard(self, prefix: bytes, holder: H, times: int = 1) -> tuple[bool, bool] | None:
        """Let ``holder`` hold ``prefix`` once less, or ``times`` less.

        Returns:
            None if it does not hold it. Else whether nobody holds it now, and whether this
            holder no longer does.
        """
        path = self._path(prefix)
        if path is None or holder not in path[-1].holders:
            return None
        node = path[-1]
        node.holders[holder] -= times
        if node.holders[holder] > 0:
            return False, False
        del node.holders[holder]
        if node.holders:
            return False, True
        self._size -= 1
        self._tidy(path)
        return True, True

    def matches(self, data: bytes) -> Mapping[H, object]:
        """Who holds a prefix of ``data``, each once, in an order that is the same every time.

        What is returned changes with the tree, and is not to be changed otherwise.
        """
        holders: dict[H, int] = {}  # of the one node that has some
        found: dict[H, int] = holders
        node = self._root
        at = 0
        while True:
            if node.holders:
                if found:
                    found = {**found, **node.holders} if found is holders else found
                    found.update(node.holders)
                else:
                    holders = found = node.holders
            if at >= len(data):
                return found
            child = node.children.get(data[at])
            if child is None or not data.startswith(child.label, at):
                return found
            at += len(child.label)
            node = child

    def covers(self, data: bytes) -> bool:
        """Whether anybody holds a prefix of ``data``."""
        node = self._root
        at = 0
        while not node.holders:
            if at >= len(data):
                return False
            child = node.children.get(data[at])
            if child is None or not data.startswith(child.label, at):
                return False
            at += len(child.label)
            node = child
        return True

    def holders(self, prefix: bytes) -> tuple[H, ...]:
        """Who holds exactly this prefix."""
        path = self._path(prefix)
        return tuple(path[-1].holders) if path else ()

    def __iter__(self) -> Iterator[bytes]:
        """Every prefix that is held, in no particular order."""
        rest: list[tuple[bytes, _Node[H]]] = [(b"", self._root)]
        while rest:
            prefix, node = rest.pop()
            if node.holders:
                yield prefix
            rest.extend((prefix + child.label, child) for child in node.children.values())

    def _path(self, prefix: bytes) -> list[_Node[H]] | None:
        """The nodes from the root to the one that stands for ``prefix``, if there is one."""
        node = self._root
        path = [node]
        at = 0
        while at < len(prefix):
            child = node.children.get(prefix[at])
            if child is None or not prefix.startswith(child.label, at):
                return None
            at += len(child.label)
            node = child
            path.append(node)
        return path

    def _make(self, prefix: bytes) -> _Node[H]:
        """The node that stands for ``prefix``, made if there is none."""
        node = self._root
        at = 0
        while at < len(prefix):
            child = node.children.get(prefix[at])
            if child is None:
                child = node.children[prefix[at]] = _Node(prefix[at:])
                return child
            if prefix.startswith(child.label, at):
                at += len(child.label)
                node = child
                continue
            shared = _shared(child.label, prefix[at : at + len(child.label)])
            between: _Node[H] = _Node(child.label[:shared])
            child.label = child.label[shared:]
            between.children[child.label[0]] = child
            node.children[prefix[at]] = between
            at += shared
            node = between
        return node

    def _tidy(self, path: list[_Node[H]]) -> None:
        """Take out, or join, what the node at the end of ``path`` no longer needs."""
        node = path[-1]
        if len(path) == 1 or node.holders:
            return
        parent = path[-2]
        if not node.children:
            del parent.children[node.label[0]]
            node = parent
            if len(path) == 2 or node.holders or len(node.children) != 1:
                return
            parent = path[-3]
        if len(node.children) == 1:
            (child,) = node.children.values()
            child.label = node.label + child.label
            parent.children[child.label[0]] = child


def _shared(one: bytes, other: bytes) -> int:
    """How many bytes two strings have in common from their beginning."""
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return at
    return min(len(one), len(other))
