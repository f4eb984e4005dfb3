"""Signals that ask a command to end."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import trio

from ._outcome import Failed

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
"""The names of the signals, as far as the system has them; the last is a terminal's that went."""


class Stop:
    """Whether the command was asked to end, and what is not to be waited for then."""

    def __init__(self) -> None:
        self.requested = trio.Event()
        self._scopes: set[trio.CancelScope] = set()

    def request(self) -> None:
        """Ask the command to end."""
        self.requested.set()
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def ends(self) -> Generator[trio.CancelScope]:
        """A scope that is cancelled when the command is asked to end."""
        with trio.CancelScope() as scope:
            if self.requested.is_set():
                scope.cancel()
            self._scopes.add(scope)
            try:
                yield scope
            finally:
                self._scopes.discard(scope)


def run(work: Callable[[Stop], Awaitable[int]]) -> int:
    """Run an asynchronous command, which the first SIGINT, SIGTERM or SIGHUP asks to end.

    The second ends it at once: what was not written then is lost.
    """
    return trio.run(_run, work)


async def _run(work: Callable[[Stop], Awaitable[int]]) -> int:
    stop = Stop()
    status: list[int] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(_watch, stop, nursery.cancel_scope)
        status.append(await work(stop))
        nursery.cancel_scope.cancel()
    if not status:
        raise Failed("interrupted twice: ended without waiting for what was still to be written")
    return status[0]


async def _watch(
    stop: Stop,
    everything: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(*_ending()) as signals:
        task_status.started()
        async for _ in signals:
            if stop.requested.is_set():
                everything.cancel()
            stop.request()


def _ending() -> list[signal.Signals]:
    known = [signal.Signals[name] for name in ENDING if hasattr(signal, name)]
    # `nohup` has it ignored, and is to have its way.
    return [one for one in known if signal.getsignal(one) is not signal.SIG_IGN]
