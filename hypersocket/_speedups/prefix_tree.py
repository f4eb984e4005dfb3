"""Subscription matching: who holds a prefix of a message.

The compiled form is ``_prefix_tree.pyx``, whose nodes are no objects.

A radix tree. Each node stands for the bytes on the way to it; a node with one child and no
holders is joined with that child, so the tree has at most two nodes for each distinct prefix.
Matching walks down along the message: its cost grows with the length of the message's beginning
that is held at all, and not with the number of prefixes that do not match. A tree is chosen over
a table by length because no set of prefixes that a peer may choose makes it slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

_NOBODY: dict[Any, Any] = {}
"""Stands for the children, or holders, of a node that has none; never changed."""


class _Node:
    __slots__ = ("children", "holders", "label")

    def __init__(self, label: bytes) -> None:
        self.label = label  # what this node adds to its parent's bytes
        self.children: dict[int, _Node] = _NOBODY  # by the first byte of their label
        self.holders: dict[Any, int] = _NOBODY  # how often each holds this prefix; in order

    def add_child(self, child: _Node) -> None:
        if self.children is _NOBODY:
            self.children = {}
        self.children[child.label[0]] = child


class PrefixTree:
    """Prefixes, and who holds each, counted (RFC 29: subscriptions are additive)."""

    __slots__ = ("_root", "_size")

    def __init__(self) -> None:
        self._root: _Node = _Node(b"")
        self._size = 0

    def __len__(self) -> int:
        """How many distinct prefixes are held."""
        return self._size

    def add(self, prefix: bytes, holder: Any) -> tuple[bool, bool]:
        """Let ``holder`` hold ``prefix`` once more.

        Returns:
            Whether it is the first time for anyone, and whether it is for this holder.
        """
        hash(holder)  # one that cannot hold anything leaves nothing behind
        node = self._make(prefix)
        first = not node.holders
        if node.holders is _NOBODY:
            node.holders = {}
        before = node.holders.get(holder, 0)
        node.holders[holder] = before + 1
        self._size += first
        return first, not before

    def discard(self, prefix: bytes, holder: Any, times: int = 1) -> tuple[bool, bool] | None:
        """Let ``holder`` hold ``prefix`` once less, or ``times`` less.

        Returns:
            None if it does not hold it. Else whether nobody holds it now, and whether this
            holder no longer does.
        """
        path = self._path(prefix)
        if path is None or not path[-1].holders or holder not in path[-1].holders:
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

    def matches(self, data: bytes) -> tuple[Any, ...]:
        """Who holds a prefix of ``data``, each once, in an order that is the same every time."""
        holders: dict[Any, int] = {}  # of the one node that has some
        found: dict[Any, int] = holders
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
                return tuple(found)
            child = node.children.get(data[at])
            if child is None or not data.startswith(child.label, at):
                return tuple(found)
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

    def holders(self, prefix: bytes) -> tuple[Any, ...]:
        """Who holds exactly this prefix."""
        path = self._path(prefix)
        return tuple(path[-1].holders) if path else ()

    def times(self, prefix: bytes, holder: Any) -> int:
        """How often ``holder`` holds exactly this prefix."""
        path = self._path(prefix)
        return path[-1].holders.get(holder, 0) if path else 0

    def __iter__(self) -> Iterator[bytes]:
        """Every prefix that is held now, in order of bytes; the tree may change meanwhile."""
        found: list[bytes] = []
        rest: list[tuple[bytes, _Node]] = [(b"", self._root)]
        while rest:
            prefix, node = rest.pop()
            if node.holders:
                found.append(prefix)
            ways = sorted(node.children.items(), reverse=True)  # the last is the next
            rest.extend((prefix + child.label, child) for _, child in ways)
        return iter(found)

    def _path(self, prefix: bytes) -> list[_Node] | None:
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

    def _make(self, prefix: bytes) -> _Node:
        """The node that stands for ``prefix``, made if there is none."""
        node = self._root
        at = 0
        while at < len(prefix):
            child = node.children.get(prefix[at])
            if child is None:
                child = _Node(prefix[at:])
                node.add_child(child)
                return child
            if prefix.startswith(child.label, at):
                at += len(child.label)
                node = child
                continue
            shared = _shared(child.label, prefix[at : at + len(child.label)])
            between: _Node = _Node(child.label[:shared])
            child.label = child.label[shared:]
            between.add_child(child)
            node.add_child(between)
            at += shared
            node = between
        return node

    def _tidy(self, path: list[_Node]) -> None:
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


class PrefixSet:
    """A set of prefixes; compiled, it takes up no more than a tree of them."""

    __slots__ = ("_prefixes", "_sizes")

    def __init__(self) -> None:
        self._prefixes: dict[bytes, bool] = {}
        self._sizes: set[int] = set()  # of all that were ever added

    def add(self, prefix: bytes) -> None:
        """Let it be in the set."""
        self._prefixes[prefix] = True
        self._sizes.add(len(prefix))

    def discard(self, prefix: bytes) -> bool:
        """Let it not be in the set; returns whether it was."""
        return self._prefixes.pop(prefix, False)

    def covers(self, data: bytes) -> bool:
        """Whether one of them begins ``data``."""
        prefixes, most = self._prefixes, len(data)
        return any(size <= most and data[:size] in prefixes for size in self._sizes)

    def take(self, most: int) -> list[bytes]:
        """Take out as many, if there are so many."""
        taken = list(islice(self._prefixes, max(most, 0)))
        for prefix in taken:
            del self._prefixes[prefix]
        return taken

    def __len__(self) -> int:
        return len(self._prefixes)

    def __iter__(self) -> Iterator[bytes]:
        """All of them, in no particular order."""
        return iter(self._prefixes)


def _shared(one: bytes, other: bytes) -> int:
    """How many bytes two strings have in common from their beginning."""
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return at
    return min(len(one), len(other))
