"""A transport of one's own: sockets joined by streams in memory, under the scheme `memory`.

Two small methods, and a listener. The rest is done by `StreamTransport`.
"""

from collections.abc import Iterator
from itertools import count

import trio
import trio.testing

import hypersocket as hs
from hypersocket.transports import StreamListener, StreamTransport

NUMBERS: Iterator[int] = count(1)
LISTENERS: dict[str, "MemoryListener"] = {}


class MemoryListener(StreamListener):
    def __init__(self, address: str) -> None:
        self.address = address
        self.arrivals, self.accepted = trio.open_memory_channel[tuple[trio.abc.Stream, str]](8)

    async def accept(self) -> tuple[trio.abc.Stream, str]:
        return await self.accepted.receive()

    async def aclose(self) -> None:
        LISTENERS.pop(self.address, None)
        await self.accepted.aclose()


class MemoryTransport(StreamTransport):
    scheme = "memory"

    def check(self, address: str, *, binding: bool) -> None:
        if not address:
            raise hs.EndpointError("there is no name: expected memory://name")

    async def listen(self, address: str, options: object) -> StreamListener:
        if address in LISTENERS:
            raise hs.AddressInUse(f"memory://{address} is taken")
        LISTENERS[address] = MemoryListener(address)
        return LISTENERS[address]

    async def dial(self, address: str, options: object) -> tuple[trio.abc.Stream, str]:
        if address not in LISTENERS:
            raise ConnectionRefusedError(f"nobody listens at {address}")
        near, far = trio.testing.memory_stream_pair()
        try:
            await LISTENERS[address].arrivals.send((far, f"caller {next(NUMBERS)}"))
        except trio.BrokenResourceError:
            raise ConnectionRefusedError(f"nobody listens at {address} any more") from None
        return near, address


async def main() -> None:
    hs.transports.register("memory", MemoryTransport())
    async with (
        hs.Rep(bind="memory://answers") as rep,
        hs.Req(connect="memory://answers") as req,
    ):
        await req.send(b"hello")
        print(await rep.recv(), "from", rep.stats().peers[0].address)
        await rep.send(b"world")
        print(await req.recv())


trio.run(main)
