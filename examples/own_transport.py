"""A transport of one's own: sockets of one program joined by socket pairs, as `paired://name`.

Two small methods, and a listener. The rest is done by `StreamTransport`.
"""

import logging
import socket
from collections.abc import Iterator
from itertools import count

import trio

import hypersocket as hs
from hypersocket.testing import check_transport
from hypersocket.transports import StreamListener, StreamTransport

NUMBERS: Iterator[int] = count(1)
LISTENERS: dict[str, "PairedListener"] = {}


def stream_of(sock: socket.socket) -> trio.SocketStream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


class PairedListener(StreamListener):
    def __init__(self, address: str) -> None:
        self.address = address
        self.arrivals, self.accepted = trio.open_memory_channel[tuple[trio.abc.Stream, str]](8)

    async def accept(self) -> tuple[trio.abc.Stream, str]:
        return await self.accepted.receive()

    def close(self) -> None:
        LISTENERS.pop(self.address, None)
        self.accepted.close()


class PairedTransport(StreamTransport):
    scheme = "paired"

    def check(self, address: str, *, binding: bool) -> None:
        if not address:
            raise hs.EndpointError("there is no name: expected paired://name")

    async def listen(self, address: str, options: object) -> StreamListener:
        if address in LISTENERS:
            raise hs.AddressInUse(f"paired://{address} is taken")
        LISTENERS[address] = PairedListener(address)
        return LISTENERS[address]

    async def dial(self, address: str, options: object) -> tuple[trio.abc.Stream, str]:
        if address not in LISTENERS:
            raise ConnectionRefusedError(f"nobody listens at {address}")
        near, far = map(stream_of, socket.socketpair())
        try:
            await LISTENERS[address].arrivals.send((far, f"caller {next(NUMBERS)}"))
        except trio.BrokenResourceError:
            raise ConnectionRefusedError(f"nobody listens at {address} any more") from None
        return near, address


async def main() -> None:
    hs.transports.register("paired", PairedTransport())
    async with (
        hs.Rep(bind="paired://answers") as rep,
        hs.Req(connect="paired://answers") as req,
    ):
        await req.send(b"hello")
        print(await rep.recv(), "from", rep.stats().peers[0].address)
        await rep.send(b"world")
        print(await req.recv())

    logging.getLogger("hypersocket").setLevel(logging.ERROR)  # the checks break connections
    await check_transport(lambda: f"paired://{next(NUMBERS)}")
    print("check_transport found nothing wrong")


trio.run(main)
