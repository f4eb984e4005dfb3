"""Small worlds for sockets to meet in, and ways to look at them without luck."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio
import trio.testing

import hypersocket as hs

A = TypeVar("A", bound=hs.Socket)
B = TypeVar("B", bound=hs.Socket)


@asynccontextmanager
async def joined(
    binding: A, connecting: B, endpoint: str = "inproc://joined"
) -> AsyncIterator[tuple[A, B]]:
    """Two open sockets that have shaken hands; the first is bound."""
    async with binding, connecting:
        await connecting.connect(await binding.bind(endpoint))
        await connecting.wait_connected()
        await binding.wait_connected()
        yield binding, connecting


async def eventually(holds: Callable[..., object]) -> None:
    """Wait until something holds that nobody tells of; fail when it does not."""
    with trio.fail_after(30):
        while not holds():  # noqa: ASYNC110 - there is no event for it
            await trio.sleep(0.001)


def fill(send_nowait: Callable[[bytes], None], limit: int = 1_000_000, data: bytes = b"%d") -> int:
    """Send numbered messages until one would wait; returns how many were accepted."""
    for number in range(limit):
        try:
            send_nowait(data % number)
        except trio.WouldBlock:
            return number
    raise AssertionError(f"{limit} messages found room")


def drain(recv_nowait: Callable[..., Any]) -> list[Any]:
    """Everything that can be received without waiting."""
    received = []
    while True:
        try:
            received.append(recv_nowait())
        except trio.WouldBlock:
            return received


async def would_block(wait: Callable[..., Any]) -> bool:
    """Whether a call waits for something that nobody is going to do."""
    finished = False
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()

            nursery.start_soon(watch)
            await wait()
            finished = True
            nursery.cancel_scope.cancel()
    return not finished


async def next_event(monitor: hs.events.Monitor, kind: type[Any]) -> Any:
    """The next event of a kind."""
    with trio.fail_after(30):
        async for event in monitor:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"the socket closed without {kind.__name__}")
