"""What is sent right before a socket closes arrives, on either side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from .peers import Binder, Theirs, join, ours, wildcard
from .processes import child

COUNT = 10_000
EXPECTED = [b"%d" % number for number in range(COUNT)]

PAIRS = [("PUSH", "PULL"), ("DEALER", "DEALER"), ("PAIR", "PAIR"), ("PUB", "SUB")]


async def receive_all(mine: Any) -> list[bytes]:
    received: list[bytes] = []
    while len(received) < COUNT:
        received += await mine.recv_many()
    return received


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize("binder", ["ours binds", "theirs binds"])
@pytest.mark.parametrize(("sender", "receiver"), PAIRS)
async def test_ours_leaves(
    sender: str, receiver: str, binder: Binder, transport: str, tmp_path: Path
) -> None:
    options = {"subscribe": b""} if receiver == "SUB" else {}
    # Nothing is lost for being too many here, not even by a publisher.
    async with Theirs(receiver, rcvhwm=50 if sender != "PUB" else 0, **options) as theirs:
        async with (
            trio.open_nursery() as nursery,
            ours(sender, sndhwm=COUNT) as mine,
        ):
            await join(mine, theirs, binder, wildcard(transport, tmp_path))
            if sender == "PUB":
                async with theirs.attending():
                    await mine.wait_subscribed(b"")
            for message in EXPECTED:
                await mine.send(message)
            received: list[bytes] = []

            @nursery.start_soon
            async def receive() -> None:
                received.extend(await theirs.recv_exactly(COUNT))

        assert received == EXPECTED


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize("binder", ["ours binds", "theirs binds"])
async def test_ours_leaves_before_theirs_is_there(
    binder: Binder, transport: str, tmp_path: Path
) -> None:
    """What was sent waits for a peer, and is received after we have gone."""
    where = f"ipc://{tmp_path / 'socket'}"
    async with Theirs("PULL") as theirs:
        endpoint = theirs.bind(where if transport == "ipc" else "tcp://127.0.0.1:*")
        async with ours("PUSH") as mine:
            await mine.connect(endpoint)
            for message in EXPECTED[:500]:
                await mine.send(message)
        assert await theirs.recv_exactly(500) == EXPECTED[:500]


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_ours_leaves_by_itself(transport: str, tmp_path: Path) -> None:
    """The whole process ends; the peer has begun to read only then."""
    async with Theirs("PULL", rcvhwm=0) as theirs:
        endpoint = theirs.bind(wildcard(transport, tmp_path))
        async with child("ours", "PUSH", sndhwm=0) as mine:
            await mine.call("connect", endpoint)
            await mine.call("send_numbers", COUNT)
            await mine.finish()
        assert await theirs.recv_exactly(COUNT) == EXPECTED


@asynccontextmanager
async def closing(theirs: Theirs) -> AsyncIterator[None]:
    """Close it while the block runs, and let it send what is left."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.close, 20.0)
        yield


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize("binder", ["ours binds", "theirs binds"])
@pytest.mark.parametrize(("sender", "receiver"), PAIRS[:3])
async def test_theirs_leaves(
    sender: str, receiver: str, binder: Binder, transport: str, tmp_path: Path
) -> None:
    async with ours(receiver, rcvhwm=50) as mine, Theirs(sender, sndhwm=COUNT) as theirs:
        await join(mine, theirs, binder, wildcard(transport, tmp_path))
        await theirs.send_many(EXPECTED)
        async with closing(theirs):
            assert await receive_all(mine) == EXPECTED


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize("binder", ["ours binds", "theirs binds"])
async def test_their_publisher_leaves(binder: Binder, transport: str, tmp_path: Path) -> None:
    async with (
        ours("SUB", rcvhwm=50, subscribe=b"") as mine,
        Theirs("XPUB", sndhwm=COUNT) as theirs,
    ):
        await join(mine, theirs, binder, wildcard(transport, tmp_path))
        assert await theirs.recv() == b"\1"
        await theirs.send_many(EXPECTED)
        async with closing(theirs):
            assert await receive_all(mine) == EXPECTED


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_their_process_ends(transport: str, tmp_path: Path) -> None:
    async with ours("PULL", rcvhwm=50) as mine:
        endpoint = await mine.bind(wildcard(transport, tmp_path))
        async with child("theirs", "PUSH", sndhwm=0, linger=20_000) as theirs:
            await theirs.call("connect", endpoint)
            await theirs.call("send_numbers", COUNT)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(theirs.finish)
                assert await receive_all(mine) == EXPECTED
