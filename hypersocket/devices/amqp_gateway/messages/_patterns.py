"""From the prefixes that ØMQ subscribes to, to the binding keys of topic exchanges, and back.

A ØMQ subscription is a prefix of bytes. A binding key is words with dots between, of which ``*``
stands for one word and ``#`` for any number. So a prefix that ends with a word has an exact
binding (``stock.`` is ``stock.#``); any other has a wider one, and the XPUB filters. What a wider
binding lets through costs the way from the broker to here, and nobody gets it.
"""

from __future__ import annotations

from dataclasses import dataclass

SHORT_STRING = 255
"""Bytes that a routing key or a binding key has at most (AMQP 0-9-1, 4.2.5.3)."""

EVERYTHING = "#"


@dataclass(frozen=True, slots=True)
class Pattern:
    """What to bind for a prefix.

    Attributes:
        key: the binding key, of the broker's words. It ends with ``#``.
        exact: whether it matches what the prefix does and nothing else (but for the word before
            the last dot alone, which ``stock.#`` matches too).
    """

    key: str
    exact: bool


class Separator:
    """How the words of ØMQ topics are told apart, where the broker has dots.

    Dots and separators change places, both ways, so that no two routing keys become one topic.

    Args:
        character: one ASCII character.

    Raises:
        ValueError: it is something else, or one of ``*`` and ``#``.
    """

    __slots__ = ("_table", "character")

    def __init__(self, character: str = ".") -> None:
        if len(character) != 1 or not character.isascii() or character in "*#":
            raise ValueError(f"separator={character!r}: must be one ASCII character, not * or #")
        self.character = character
        swap = bytes.maketrans(f".{character}".encode(), f"{character}.".encode())
        self._table = None if character == "." else swap

    def topic(self, routing_key: str | bytes) -> bytes:
        """The ØMQ topic of a routing key. One that is no UTF-8 keeps its bytes."""
        if isinstance(routing_key, str):
            routing_key = routing_key.encode("utf-8", "surrogateescape")
        return routing_key if self._table is None else routing_key.translate(self._table)

    def routing_key(self, topic: bytes) -> str:
        """The routing key of a ØMQ topic.

        Raises:
            ValueError: it is no UTF-8, or over 255 bytes: AMQP cannot have it.
        """
        if len(topic) > SHORT_STRING:
            raise ValueError(
                f"a topic of {len(topic)} bytes; a routing key has at most {SHORT_STRING}"
            )
        if self._table is not None:
            topic = topic.translate(self._table)
        try:
            return topic.decode()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"the topic {topic[:40]!r} is no UTF-8, as routing keys are"
            ) from error

    def pattern(self, prefix: bytes) -> Pattern | None:
        """What to bind so that every routing key is matched whose topic begins with `prefix`.

        Returns:
            None if there can be no such routing key: the prefix is longer than 255 bytes.
        """
        if len(prefix) > SHORT_STRING:
            return None
        if self._table is not None:
            prefix = prefix.translate(self._table)
        # The last word may go on in the routing key, so only those before it are known.
        *whole, rest = prefix.split(b".")
        words, exact = _words(whole)
        return Pattern(".".join([*words, EVERYTHING]), exact and not rest)


def _words(whole: list[bytes]) -> tuple[list[str], bool]:
    """Words for a binding key, as many as can be said; and whether they say all."""
    words: list[str] = []
    size = len(EVERYTHING)
    for word in whole:
        size += len(word) + 1
        if size > SHORT_STRING:
            return words, False
        try:
            words.append(word.decode())
        except UnicodeDecodeError:
            return words, False
    # A word that is a wildcard to the broker is narrowed to "any one word": it cannot be quoted.
    literal = not any(word in {"*", "#"} for word in words)
    return [("*" if word == "#" else word) for word in words], literal


def covers(key: str, routing_key: str) -> bool:
    """Whether a key that :meth:`Separator.pattern` made matches a routing key."""
    *words, _ = key.split(".")
    if not words:
        return True
    # No words at all is not one empty word.
    there = routing_key.split(".") if routing_key else []
    return len(there) >= len(words) and all(
        word in {"*", had} for word, had in zip(words, there, strict=False)
    )
