"""What a route may touch, and how fast."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase, translate
from typing import Any, TypeAlias

import trio

from ...amqp import Target
from ._spec import Policy

REMEMBERED = 4096
"""Targets whose verdict is remembered; keys may come from peers, so there is a bound."""

BURST = 0.1
"""Seconds of the rate that may go at once, after a pause."""

COPIES = ("CC", "BCC")
"""Headers with more routing keys, to which RabbitMQ sends copies (sender-selected distribution)."""

Patterns: TypeAlias = tuple[str, ...] | None


class Guard:
    """Says whether a policy allows something: an objection in words, empty for none.

    Args:
        policy: what is allowed.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._verdicts: dict[Target, str] = {}
        self._allows_all = (
            policy.exchanges is policy.queues is policy.addresses is policy.topics is None
        )

    def exchange(self, name: str) -> str:
        """Whether it may be published to, or bound."""
        return _objection(self.policy.exchanges, "exchange", name)

    def queue(self, name: str) -> str:
        """Whether it may be consumed from, or (default exchange) published to."""
        return _objection(self.policy.queues, "queue", name)

    def address(self, name: str) -> str:
        """Whether it may be sent to, or received from."""
        return _objection(self.policy.addresses, "address", name)

    def topic(self, key: str) -> str:
        """Whether something may be published with this routing key."""
        return _objection(self.policy.topics, "topic", key)

    def binding(self, key: str) -> str:
        """Whether something may be bound with this key, in which ``*`` and ``#`` are wildcards."""
        return _objection(self.policy.topics, "topic", key, _covers)

    def target(self, target: Target) -> str:
        """Whether something may be published there."""
        if self._allows_all:
            return ""
        verdict = self._verdicts.get(target)
        if verdict is None:
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            verdict = self._verdicts[target] = self._judge(target)
        return verdict

    def _judge(self, target: Target) -> str:
        if target.address:
            return self.address(target.address) or (
                self.topic(target.routing_key) if target.routing_key else ""
            )
        if target.exchange:
            return self.exchange(target.exchange) or self.topic(target.routing_key)
        return self.queue(target.routing_key)

    def copies(self, target: Target, headers: Mapping[str, Any]) -> str:
        """Whether it may also go where its headers say, which only AMQP 0-9-1 has."""
        if self._allows_all or target.address:
            return ""
        for name in COPIES:
            keys: Sequence[Any] = headers.get(name, [])
            if not isinstance(keys, (list, tuple)):
                return f"the header {name} is no list, so that nobody knows where copies go"
            for key in keys:
                text = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
                objection = self.target(replace(target, routing_key=text))
                if objection:
                    return f"the header {name}: {objection}"
        return ""

    def size(self, size: int) -> str:
        """Whether a message may have a body of so many bytes."""
        most = self.policy.max_message_size
        if most is None or size <= most:
            return ""
        return f"its body of {size} bytes is over max_message_size ({most})"


def _objection(
    patterns: Patterns,
    what: str,
    name: str,
    allows: Callable[[str, str], bool] = fnmatchcase,
) -> str:
    if patterns is None or any(allows(name, pattern) for pattern in patterns):
        return ""
    allowed = ", ".join(map(repr, patterns)) or "none"
    return f"the policy does not allow the {what} {name!r}, but {allowed}"


_PARTS = re.compile(r"\[!?\]?[^\]]*\]|\*+|.", re.DOTALL)
_NO_WILDCARD = "(?![*#])"


def _covers(key: str, pattern: str) -> bool:
    """Whether a pattern allows all that a binding key lets through.

    A wildcard of the key stands for many texts, so that no ``?`` and no ``[...]`` is enough for
    it: a ``*`` is, or the wildcard itself.
    """
    expression = ""
    for part in _PARTS.findall(pattern):
        meaning = translate(part)[4:-3]  # without the flags, and the end
        one = part == "?" or (len(part) > 1 and part[0] == "[")
        named = part[1:2] != "!" and not {"*", "#"}.isdisjoint(part)
        expression += _NO_WILDCARD + meaning if one and not named else meaning
    return re.fullmatch(expression, key, re.DOTALL) is not None


class TokenBucket:
    """Holds back to a rate, on trio's clock.

    Args:
        rate: messages a second; None for no limit.
        now: what tells the time, in seconds.
    """

    def __init__(self, rate: float | None, now: Callable[[], float] = trio.current_time) -> None:
        self._rate = rate
        self._now = now
        self._most = 1.0 if rate is None else max(1.0, rate * BURST)
        self._tokens = self._most
        self._since: float | None = None

    async def wait(self, most: int) -> int:
        """Wait until a message may go; returns how many may, up to ``most``.

        A checkpoint only where it waits. Cancelled, nothing has changed.
        """
        if self._rate is None:
            return most
        while self._fill() < 1.0:  # noqa: ASYNC110 - it is for nothing but the time
            await trio.sleep((1.0 - self._tokens) / self._rate)
        return min(most, int(self._tokens))

    def spend(self, count: int) -> None:
        """So many went. If they are more than could, the next wait longer."""
        if self._rate is not None:
            self._fill()
            self._tokens -= count

    def _fill(self) -> float:
        assert self._rate is not None
        now = self._now()
        if self._since is not None:
            self._tokens = min(self._most, self._tokens + (now - self._since) * self._rate)
        self._since = now
        if self._tokens > 0.999_999:  # what rounding took must not make a wait of no time
            self._tokens = max(1.0, self._tokens)
        return self._tokens
