"""REQ asks, REP answers, and between them is a broker: requests in a queue, replies in another."""

import os
from pathlib import Path

import trio

import hypersocket as hs

HERE = Path(__file__)
BROKER = os.environ.get("BROKER", "amqp://127.0.0.1")


async def service(endpoint: str) -> None:
    async with hs.Rep(connect=endpoint) as rep:
        while True:
            request = await rep.recv()
            await rep.send(request.upper())


async def client(endpoint: str, word: bytes) -> bytes:
    async with hs.Req(connect=endpoint) as req:
        await req.send(word)
        # Where no service answers in time, the reply says so: [b"hs-error", b"timeout", text].
        return await req.recv()


async def main() -> None:
    # Two gateways, as for two places: one would find its own messages coming back to it.
    readers, senders = (
        hs.devices.AmqpGateway.from_file(
            HERE.with_suffix(f".{side}.toml"), variables={"broker": BROKER}
        )
        for side in ("readers", "senders")
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(readers.run)
        await nursery.start(senders.run)
        sockets = {**readers.sockets, **senders.sockets}
        where = {name: socket.endpoints[0] for name, socket in sockets.items()}
        async with trio.open_nursery() as services:
            services.start_soon(service, where["answer"])
            for word in (b"hello", b"from far away"):
                print((await client(where["ask"], word)).decode())
            services.cancel_scope.cancel()
        await senders.stop()
        await readers.stop()


trio.run(main)
