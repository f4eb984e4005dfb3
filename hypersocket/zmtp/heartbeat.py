"""Heartbeats: when to send a PING, and when silence has lasted too long (RFC 37)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._errors import ProtocolError
from .._reasons import Reason
from .commands import MAX_TTL


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How to find out that a peer is gone though its connection is not.

    Attributes:
        interval: seconds between two PINGs; 0 sends none.
        timeout: seconds after a PING within which anything must come; None takes ``interval``.
        ttl: seconds that the peer is told to wait for our traffic before it gives up; 0 tells
            nothing. It travels in tenths of a second, at most 6553.5 seconds.

    Raises:
        ValueError: a number is out of its range.
    """

    interval: float = 0.0
    timeout: float | None = None
    ttl: float = 0.0

    def __post_init__(self) -> None:
        if not self.interval >= 0:
            raise ValueError(f"interval={self.interval}: it cannot be below zero")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"timeout={self.timeout}: it must be above zero, or None")
        if not 0 <= self.ttl <= MAX_TTL:
            raise ValueError(f"ttl={self.ttl}: it must be 0 to {MAX_TTL} seconds")


class Pulse:
    """The timers of one connection. All times are seconds of the caller's clock.

    Timeouts stand still while the caller does not read, since silence proves nothing then. PINGs
    go on: the peer must not take us for dead.
    """

    def __init__(self, settings: Heartbeat) -> None:
        self._interval = settings.interval
        self._timeout = settings.interval if settings.timeout is None else settings.timeout
        self._next_ping = math.inf
        self._reply_due = math.inf
        self._ttl = 0.0
        self._ttl_ends = math.inf
        self._paused = False

    @property
    def deadline(self) -> float:
        """When :meth:`on_timer` has something to do; infinite when it never has."""
        if self._paused:
            return self._next_ping
        return min(self._next_ping, self._reply_due, self._ttl_ends)

    def start(self, now: float) -> None:
        """Begin to send PINGs."""
        if self._interval > 0:
            self._next_ping = now + self._interval

    def stop(self) -> None:
        """Stop all timers for good."""
        self._next_ping = self._reply_due = self._ttl_ends = math.inf

    def heard(self) -> None:
        """Bytes came from the peer, whatever they are: it lives."""
        self._reply_due = self._ttl_ends = math.inf

    def expect_within(self, now: float, ttl: float) -> None:
        """The peer asked us to give up if nothing comes within ``ttl`` seconds; 0 is no wish."""
        if ttl > 0:
            self._ttl = ttl
            self._ttl_ends = now + ttl

    def on_timer(self, now: float) -> bool:
        """Look at the clock.

        Returns:
            Whether a PING is to be sent.

        Raises:
            ProtocolError: the peer was silent for too long.
        """
        if not self._paused:
            if now >= self._reply_due:
                raise _silent(f"no reply to a PING for {self._timeout:g} seconds")
            if now >= self._ttl_ends:
                raise _silent(f"silent for {self._ttl:g} seconds, its own time to live")
        if now < self._next_ping:
            return False
        self._next_ping = now + self._interval
        if self._reply_due == math.inf:
            self._reply_due = now + self._timeout
        return True

    def pause(self) -> None:
        """The caller stops reading."""
        self._paused = True

    def resume(self, now: float) -> None:
        """The caller reads again: whoever has to show life gets the whole time anew."""
        if not self._paused:
            return
        self._paused = False
        if self._reply_due != math.inf:
            self._reply_due = now + self._timeout
        if self._ttl_ends != math.inf:
            self._ttl_ends = now + self._ttl


def _silent(text: str) -> ProtocolError:
    return ProtocolError(text, Reason.HEARTBEAT_TIMEOUT)
