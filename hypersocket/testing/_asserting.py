"""What the checks are written with: the contract in words, a bound on every wait."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable, Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import trio

PATIENCE = 30.0
"""Seconds after which a check takes what it waits for as not to come."""

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E")


@contextmanager
def raises(expected: type[BaseException], contract: str) -> Generator[None, None, None]:
    """Assert that the block raises ``expected``, by itself and not in a group."""
    try:
        yield
    except expected:
        return
    except trio.Cancelled:
        raise
    except Exception as error:
        raise AssertionError(
            f"{contract}: expected {expected.__name__}, and got {error!r}"
        ) from error
    raise AssertionError(f"{contract}: expected {expected.__name__}, and nothing was raised")


@contextmanager
def within(contract: str, seconds: float = PATIENCE) -> Generator[None, None, None]:
    """Assert that the block ends in time."""
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise AssertionError(f"{contract}: it did not happen in {seconds:g} seconds")


async def until(condition: Callable[[], bool], contract: str) -> None:
    """Wait for ``condition``, and assert that it comes."""
    with within(contract):
        while not condition():  # noqa: ASYNC110  # a condition of any kind has no event
            await trio.sleep(0.002)


def expect(condition: bool, contract: str) -> None:
    """Assert, also where Python leaves ``assert`` out."""
    if not condition:
        raise AssertionError(contract)


def same(found: object, wanted: object, contract: str) -> None:
    """Assert that two things are equal; says what they are, shortened."""
    if found != wanted:
        raise AssertionError(f"{contract}: expected {_short(wanted)}, and found {_short(found)}")


async def next_of(events: AsyncIterable[object], kind: type[E], contract: str) -> E:
    """The next event of a kind, from a monitor; the others are passed over."""
    passed_over: list[object] = []
    with within(f"{contract}: waiting for {kind.__name__}"):
        async for event in events:
            if isinstance(event, kind):
                return event
            passed_over.append(event)
    raise AssertionError(
        f"{contract}: expected {kind.__name__}, and the events ended after {passed_over}"
    )


def all_tasks() -> set[trio.lowlevel.Task]:
    """Every task of this run."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found: set[trio.lowlevel.Task] = set()
    waiting = [root]
    while waiting:
        task = waiting.pop()
        found.add(task)
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)
    return found


class _CancelAfter(trio.abc.Instrument):
    """Cancels a scope after a number of steps of a task, or of all tasks where that is None."""

    def __init__(
        self, scope: trio.CancelScope, steps: int, task: trio.lowlevel.Task | None
    ) -> None:
        self._scope = scope
        self._left = steps
        self._task = task

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._task is None or task is self._task:
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()


@contextmanager
def cancelled_after(
    steps: int, *, of_all_tasks: bool = False
) -> Generator[trio.CancelScope, None, None]:
    """Cancel the block after so many scheduler steps; 0 cancels it from the beginning."""
    with trio.CancelScope() as scope:
        if steps == 0:
            scope.cancel()
        task = None if of_all_tasks else trio.lowlevel.current_task()
        instrument = _CancelAfter(scope, steps, task)
        trio.lowlevel.add_instrument(instrument)
        try:
            yield scope
        finally:
            trio.lowlevel.remove_instrument(instrument)


def plainly(check: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Let an AssertionError leave as itself, out of whatever nurseries it passed."""

    @functools.wraps(check)
    async def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await check(*args, **kwargs)
        except BaseExceptionGroup as group:
            failed = _first_failure(group)
            if failed is None:
                raise
            raise failed from group

    return checked


def _first_failure(group: BaseExceptionGroup[BaseException]) -> AssertionError | None:
    failures = group.subgroup(AssertionError)
    while failures is not None:
        first = failures.exceptions[0]
        if isinstance(first, AssertionError):
            return first
        failures = first
    return None


def _short(thing: object) -> str:
    text = repr(thing)
    return text if len(text) <= 300 else f"{text[:300]}... ({len(text)} characters)"
