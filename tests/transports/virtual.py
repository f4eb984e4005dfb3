"""Peers and waits for tests in virtual time."""

from __future__ import annotations

from typing import Any

import trio

from hypersocket import events as ev
from hypersocket.testing import MemoryStream
from hypersocket.zmtp import Connection
from hypersocket.zmtp import HandshakeSucceeded as ShookHands


async def event(events: ev.Monitor, kind: type) -> Any:
    with trio.fail_after(10_000):
        async for one in events:
            if isinstance(one, kind):
                return one
    raise AssertionError(f"no {kind.__name__}")


DAY = 24 * 60 * 60.0


class RawPeer:
    """A peer that says what the test wants."""

    def __init__(self, stream: MemoryStream, kind: str = "PUSH") -> None:
        self.stream = stream
        self.conn = Connection(kind, as_server=False, now=trio.current_time())

    async def shake_hands(self) -> None:
        await self.stream.send_all(self.conn.data_to_send())
        while True:
            for one in await self.events():
                if isinstance(one, ShookHands):
                    return

    async def events(self) -> list[Any]:
        self.conn.receive(await self.stream.receive_some(), trio.current_time())
        events = list(self.conn.next_events())
        if reply := self.conn.data_to_send():
            await self.stream.send_all(reply)
        return events
