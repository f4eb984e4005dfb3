"""Every pair of socket types that may talk, with each side ours, in both directions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from .peers import MIB, PATIENCE, Binder, Side, Theirs, join, ours, until_heard, wildcard

SHAPES = {
    "one part": [b"hello"],
    "empty": [b""],
    "several parts": [b"first", b"second", b"third"],
    "empty parts": [b"head", b"", b"middle", b"", b""],
    "empty parts only": [b"", b"", b""],
    "255 bytes": [b"x" * 255],
    "256 bytes": [b"y" * 256],
    "255 and 256 bytes": [b"x" * 255, b"y" * 256],
    "8 MiB": [bytes(range(255, -1, -1)) * (8 * MIB // 256)],
    "8 MiB between small parts": [b"head", b"z" * 8 * MIB, b""],
}


async def request_reply(req: Side, rep: Side, frames: list[bytes]) -> None:
    await req.send_multipart(frames)
    assert await rep.recv_multipart() == frames
    await rep.send_multipart(frames[::-1])
    assert await req.recv_multipart() == frames[::-1]


async def req_router(req: Side, router: Side, frames: list[bytes]) -> None:
    await req.send_multipart(frames)
    routing_id, *request = await router.recv_multipart()
    assert request == [b"", *frames]
    await router.send_multipart([routing_id, b"", *frames[::-1]])
    assert await req.recv_multipart() == frames[::-1]


async def dealer_rep(dealer: Side, rep: Side, frames: list[bytes]) -> None:
    await dealer.send_multipart([b"number", b"", *frames])
    assert await rep.recv_multipart() == frames
    await rep.send_multipart(frames[::-1])
    assert await dealer.recv_multipart() == [b"number", b"", *frames[::-1]]


async def both_ways(one: Side, other: Side, frames: list[bytes]) -> None:
    for sender, receiver in ((one, other), (other, one)):
        await sender.send_multipart(frames)
        await sender.send_multipart(frames[::-1])
        assert await receiver.recv_multipart() == frames
        assert await receiver.recv_multipart() == frames[::-1]


async def dealer_router(dealer: Side, router: Side, frames: list[bytes]) -> None:
    await dealer.send_multipart(frames)
    routing_id, *message = await router.recv_multipart()
    assert message == frames
    await router.send_multipart([routing_id, *frames[::-1]])
    assert await dealer.recv_multipart() == frames[::-1]


async def router_router(one: Side, other: Side, frames: list[bytes]) -> None:
    await one.send_multipart([b"right", *frames])
    assert await other.recv_multipart() == [b"left", *frames]
    await other.send_multipart([b"left", *frames[::-1]])
    assert await one.recv_multipart() == [b"right", *frames[::-1]]


async def one_way(sender: Side, receiver: Side, frames: list[bytes]) -> None:
    await sender.send_multipart(frames)
    await sender.send_multipart(frames[::-1])
    assert await receiver.recv_multipart() == frames
    assert await receiver.recv_multipart() == frames[::-1]


async def one_way_and_upstream(xpub: Side, xsub: Side, frames: list[bytes]) -> None:
    await one_way(xpub, xsub, frames)
    # To libzmq every part that begins with the octet 0 or 1 is a subscription.
    upstream = [b"up", *frames]
    await xsub.send_multipart(upstream)
    assert await xpub.recv_multipart() == upstream


Talk = Callable[[Side, Side, list[bytes]], Awaitable[None]]

PAIRS: dict[tuple[str, str], Talk] = {
    ("REQ", "REP"): request_reply,
    ("REQ", "ROUTER"): req_router,
    ("DEALER", "REP"): dealer_rep,
    ("DEALER", "DEALER"): both_ways,
    ("DEALER", "ROUTER"): dealer_router,
    ("ROUTER", "ROUTER"): router_router,
    ("PUB", "SUB"): one_way,
    ("PUB", "XSUB"): one_way,
    ("XPUB", "SUB"): one_way,
    ("XPUB", "XSUB"): one_way_and_upstream,
    ("PUSH", "PULL"): one_way,
    ("PAIR", "PAIR"): both_ways,
}


async def subscribe(publisher: Any, subscriber: Any, types: tuple[str, str]) -> None:
    """Have the subscriber receive everything."""
    if types[1] == "SUB":
        subscriber.subscribe(b"")
    else:
        await subscriber.send(b"\1")
    if not isinstance(publisher, Theirs):
        async with subscriber.attending():
            await publisher.wait_subscribed(b"")
    elif types[0] == "PUB":
        await until_heard(publisher.send, subscriber.recv_multipart)
    if types[0] == "XPUB":
        assert await publisher.recv() == b"\1"


def cases() -> list[Any]:
    found = []
    for left, right in PAIRS:
        for our_side in ("left", "right") if left != right else ("left",):
            name = f"our {left}-{right}" if our_side == "left" else f"{left}-our {right}"
            found.append(pytest.param(left, right, our_side, id=name))
    return found


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize("binder", ["ours binds", "theirs binds"])
@pytest.mark.parametrize(("left", "right", "our_side"), cases())
async def test_pair(
    left: str, right: str, our_side: str, binder: Binder, transport: str, tmp_path: Path
) -> None:
    types = (left, right) if our_side == "left" else (right, left)
    ids = (b"left", b"right") if our_side == "left" else (b"right", b"left")
    options = [{}, {}] if left != "ROUTER" else [{"routing_id": one} for one in ids]
    async with ours(types[0], **options[0]) as mine, Theirs(types[1], **options[1]) as theirs:
        await join(mine, theirs, binder, wildcard(transport, tmp_path))
        one, other = (mine, theirs) if our_side == "left" else (theirs, mine)
        if left in ("PUB", "XPUB"):
            await subscribe(one, other, (left, right))
        for shape, frames in SHAPES.items():
            try:
                with trio.fail_after(PATIENCE):
                    await PAIRS[left, right](one, other, frames)
            except BaseException as error:
                error.add_note(f"the message: {shape}")
                raise
        stats = mine.stats()
        assert (stats.dropped, stats.disconnects, stats.handshake_failures) == (0, 0, 0)
