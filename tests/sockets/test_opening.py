"""Opening a socket where it cannot be opened."""

from __future__ import annotations

import trio

import hypersocket as hs


async def test_opening_in_a_cancelled_scope_ends() -> None:
    opened = False
    with trio.CancelScope() as scope:
        scope.cancel()
        async with hs.Pull(bind="tcp://127.0.0.1:*"):
            opened = True
    assert scope.cancelled_caught
    assert not opened


async def test_opening_is_cancelled_with_its_surroundings() -> None:
    pull = hs.Pull(bind="tcp://127.0.0.1:*")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_open_and_stay, pull)
        nursery.cancel_scope.cancel()
    assert pull.endpoints == ()


async def _open_and_stay(socket: hs.Socket) -> None:
    async with socket:
        await trio.sleep_forever()
