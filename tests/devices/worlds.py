"""Devices with peers of both kinds around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
import trio.testing
import zmq

import hypersocket as hs
from hypersocket import devices
from tests.interop.peers import Theirs, eventually, ours

__all__ = ["Theirs", "eventually", "ours", "running", "serve"]

TCP = "tcp://127.0.0.1:*"

LIMIT = 30.0
"""Seconds that whatever is done with one device may take."""


@asynccontextmanager
async def running(
    kind: str, frontend: hs.Socket, backend: hs.Socket, **more: Any
) -> AsyncIterator[devices.Device]:
    """A device between two sockets, which are opened here; cancelled at the end."""
    with trio.fail_after(LIMIT):
        async with frontend, backend, trio.open_nursery() as nursery:
            device = await nursery.start(partial(getattr(devices, kind), frontend, backend, **more))
            yield device
            nursery.cancel_scope.cancel()


async def serve(worker: hs.Rep | Theirs, name: bytes, answered: list[int] | None = None) -> None:
    """Answer requests by the worker's name and the request, until cancelled or closed."""
    while request := await (_ours(worker) if isinstance(worker, hs.Rep) else _theirs(worker)):
        await worker.send_multipart([name, *request])
        if answered is not None:
            answered[0] += 1


async def _ours(worker: hs.Rep) -> list[bytes]:
    try:
        return await worker.recv_multipart()
    except trio.ClosedResourceError:
        return []


async def _theirs(worker: Theirs) -> list[bytes]:
    # Neither in a thread, which could not be cancelled, nor by a generator, which would be left
    # to the garbage collector where it is cancelled outside.
    while not worker.socket.closed:
        try:
            frames: list[bytes] = worker.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            await trio.sleep(0.001)
        else:
            return frames
    return []
