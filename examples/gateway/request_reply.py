"""REQ asks, REP answers, and between them is a broker: requests in a queue, replies in another."""

import os
from pathlib import Path

import trio

import hypersocket as hs

CONFIG = Path(__file__).with_suffix(".toml")
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
    gateway = hs.devices.AmqpGateway.from_file(CONFIG, variables={"broker": BROKER})
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.run)
        where = {name: socket.endpoints[0] for name, socket in gateway.sockets.items()}
        async with trio.open_nursery() as services:
            services.start_soon(service, where["answer"])
            for word in (b"hello", b"from far away"):
                print((await client(where["ask"], word)).decode())
            services.cancel_scope.cancel()
        await gateway.stop()


trio.run(main)
