"""Prefixes to binding keys: nothing that a subscriber asked for stays with the broker."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypersocket.devices.amqp_gateway.messages._patterns import Pattern, Separator, covers


def matches(binding: list[str], key: list[str]) -> bool:
    """What a topic exchange does, by exhaustive search (AMQP 0-9-1, 3.1.3.3)."""
    if not binding:
        return not key
    first, *others = binding
    if first == "#":
        return any(matches(others, key[n:]) for n in range(len(key) + 1))
    return bool(key) and first in {"*", key[0]} and matches(others, key[1:])


def topic_exchange(binding_key: str, routing_key: str) -> bool:
    return matches(binding_key.split("."), routing_key.split(".") if routing_key else [])


@pytest.mark.parametrize(
    ("prefix", "key", "exact"),
    [
        (b"", "#", True),
        (b"stock.", "stock.#", True),
        (b"stock.ny.", "stock.ny.#", True),
        (b"stock.ny", "stock.#", False),
        (b"sto", "#", False),
        (b".", ".#", True),
        (b"a..", "a..#", True),
        (b"a.*.", "a.*.#", False),
        (b"a.#.b.", "a.*.b.#", False),
        (b"#", "#", False),
        (b"*", "#", False),
        (b"a*.", "a*.#", True),
        (b"\xff\xfe.", "#", False),
        (b"a.\xff.b.", "a.#", False),
        ("å".encode()[:1], "#", False),
        (b"a." + "å".encode()[:1], "a.#", False),
        (b"x" * 253 + b".", "x" * 253 + ".#", True),
        (b"x" * 254 + b".", "#", False),
        (b"x" * 255, "#", False),
    ],
    ids=str,
)
def test_binding_keys(prefix: bytes, key: str, exact: bool) -> None:
    assert Separator(".").pattern(prefix) == Pattern(key, exact)


def test_no_routing_key_is_that_long() -> None:
    assert Separator(".").pattern(b"x" * 256) is None


words = st.sampled_from(["", "a", "ab", "b", "*", "#", "å", "a/b", "x" * 120])
routing_keys = st.lists(words, max_size=5).map(".".join).filter(lambda key: len(key.encode()) < 256)


@given(routing_keys, st.sampled_from("./: "), st.integers(0, 255))
@example("a..", ".", 3)
@example("", ".", 0)
def test_every_key_that_begins_with_the_prefix_is_matched(key: str, sep: str, cut: int) -> None:
    separator = Separator(sep)
    topic = separator.topic(key)
    for prefix in (topic[:cut], topic):
        pattern = separator.pattern(prefix)
        assert pattern is not None
        assert len(pattern.key.encode()) <= 255
        assert topic_exchange(pattern.key, key)


@given(routing_keys, routing_keys, st.integers(0, 255))
def test_an_exact_binding_matches_nothing_else(key: str, other: str, cut: int) -> None:
    separator = Separator(".")
    prefix = separator.topic(key)[:cut]
    pattern = separator.pattern(prefix)
    assert pattern is not None
    if pattern.exact and topic_exchange(pattern.key, other):
        assert separator.topic(other).startswith(prefix) or other.encode() + b"." == prefix


@given(routing_keys, routing_keys, st.integers(0, 255))
def test_what_we_think_a_pattern_covers_is_what_the_broker_does(
    key: str, other: str, cut: int
) -> None:
    pattern = Separator(".").pattern(key.encode()[:cut])
    assert pattern is not None
    for one in (key, other):
        assert covers(pattern.key, one) == topic_exchange(pattern.key, one)


@given(routing_keys, routing_keys, st.sampled_from("./: "))
def test_topics_and_routing_keys_are_one_to_one(key: str, other: str, sep: str) -> None:
    separator = Separator(sep)
    assert separator.routing_key(separator.topic(key)) == key
    assert (separator.topic(key) == separator.topic(other)) == (key == other)


def test_another_separator() -> None:
    slash = Separator("/")
    assert slash.topic("stock.ny") == b"stock/ny"
    assert slash.topic("a/b.c") == b"a.b/c"
    assert slash.routing_key(b"stock/ny") == "stock.ny"
    assert slash.pattern(b"stock/") == Pattern("stock.#", True)
    assert slash.pattern(b"stock/ny") == Pattern("stock.#", False)


def test_a_routing_key_that_is_no_text_keeps_its_bytes() -> None:
    key = b"a.\xff".decode("utf-8", "surrogateescape")
    assert Separator(".").topic(key) == b"a.\xff"
    assert Separator(".").topic(b"a.\xff") == b"a.\xff"


@pytest.mark.parametrize(("topic", "said"), [(b"x" * 256, "256 bytes"), (b"\xff", "no UTF-8")])
def test_topics_that_amqp_cannot_have(topic: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Separator(".").routing_key(topic)


@pytest.mark.parametrize("character", ["", "::", "å", "*", "#"])
def test_a_separator_is_one_character(character: str) -> None:
    with pytest.raises(ValueError, match="one ASCII character"):
        Separator(character)
