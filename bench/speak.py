"""How a process of a benchmark speaks to the one that started it: JSON lines on stdout."""

from __future__ import annotations

import json
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from typing import Any


class UnsupportedError(Exception):
    """The peer has nothing to do this with. The table says so."""


class WrongMessage(Exception):
    """A message is missing, repeated or damaged: the peer's figure would be worth nothing."""


def say(event: str, **facts: Any) -> None:
    """Write one line: ``ready``, ``result``, ``error`` or ``unsupported``."""
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


def told() -> bool:
    """Whether the parent has written a line, or has gone. Does not wait."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def wait_told() -> None:
    """Wait until the parent writes a line, or goes."""
    sys.stdin.readline()
    while _when_told:
        _when_told.pop()()


_when_told: list[Callable[[], None]] = []


def when_told(call: Callable[[], None]) -> None:
    """Have something called when the parent writes its next line."""
    _when_told.append(call)


class Watchdog(threading.Thread):
    """Ends the process with an error when messages stop coming before all are there.

    Args:
        received: how many have come so far.
        expected: how many there should be.
        patience: how many seconds without any are too many.
    """

    def __init__(self, received: Callable[[], int], expected: int, patience: float = 4.0) -> None:
        super().__init__(daemon=True)
        self._received, self._expected, self._patience = received, expected, patience
        self._over = threading.Event()

    def run(self) -> None:
        seen, since = -1, time.monotonic()
        while not self._over.wait(0.25):
            now = self._received()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > self._patience:
                lost = self._expected - seen
                say("error", text=f"{lost} of {self._expected} messages did not arrive")
                os._exit(1)

    def done(self) -> None:
        """All is there."""
        self._over.set()
