"""Tasks that end together, whose error leaves as itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import trio

Task: TypeAlias = Callable[[], Awaitable[Any]]


async def together(*tasks: Task) -> None:
    """Run tasks until the first of them ends; the others are cancelled then.

    Raises:
        Exception: what one of them raised, as itself; the first, if several did.
    """
    error: Exception | None = None

    async def guard(task: Task) -> None:
        nonlocal error
        try:
            await task()
        except Exception as raised:  # noqa: BLE001 - raised again below
            if error is None:
                error = raised
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(guard, task)
    if error is not None:
        raise error


async def all_of(*tasks: Task) -> None:
    """Run tasks until all have ended.

    Raises:
        Exception: what the first of them raised that did, as itself; the others are cancelled.
    """
    left = len(tasks)
    done = trio.Event()

    async def one(task: Task) -> None:
        nonlocal left
        await task()
        left -= 1
        if left:
            await trio.sleep_forever()
        done.set()

    await together(done.wait, *(partial(one, task) for task in tasks))


class Backoff:
    """Pauses that grow: doubled each time, with jitter.

    Args:
        first: seconds of the first pause.
        most: seconds that a pause may grow to.
        random: gives numbers from 0 to below 1.
    """

    def __init__(self, first: float, most: float, random: Callable[[], float]) -> None:
        self._first = first
        self._most = max(first, most)
        self._random = random
        self._next = first

    @property
    def current(self) -> float:
        """Seconds of the next pause, without jitter."""
        return self._next

    def next(self) -> float:
        """Seconds to wait now: from half of the pause to the whole of it."""
        pause = self._next
        self._next = min(self._most, 2 * pause)
        return pause * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """It went well: begin with the shortest again."""
        self._next = self._first
