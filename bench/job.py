"""What one process of a benchmark is told to do: ``key=value`` words, the same for every peer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Job:
    """One role's work.

    Attributes:
        endpoint: where to bind or connect.
        size: bytes in a message, at least :data:`bench.stamp.SIZE`.
        seconds: how long to measure.
        warmup: how long to run before that.
        chunk: every so many messages, one carries its number.
        batch: messages in a batch; 0 for one call a message.
        peers: how many sockets or connections.
        count: how many messages, where time does not bound the run.
        subscriptions: how many the subscriber holds.
        scattered: 1 where their topics are numbers that lie apart, 0 where each follows another.
        broker: the URL of an AMQP broker, for those that have to do with one.
    """

    endpoint: str = "tcp://127.0.0.1:*"
    size: int = 64
    seconds: float = 1.0
    warmup: float = 0.2
    chunk: int = 64
    batch: int = 0
    peers: int = 1
    count: int = 0
    subscriptions: int = 0
    scattered: int = 0
    broker: str = ""

    def words(self) -> list[str]:
        """As the words of a command; what is empty is left out."""
        return [f"{key}={value}" for key, value in asdict(self).items() if value != ""]

    @classmethod
    def parse(cls, words: Iterable[str]) -> Self:
        """Read them back.

        Raises:
            ValueError: a word is not ``key=value``, or names nothing.
        """
        kinds = {"str": str, "int": int, "float": float}
        known = {field.name: kinds[str(field.type)] for field in fields(cls)}
        values: dict[str, Any] = {}
        for word in words:
            key, equals, value = word.partition("=")
            if not equals or key not in known:
                raise ValueError(f"{word!r}: expected one of {', '.join(known)}, as key=value")
            values[key] = known[key](value)
        return cls(**values)
