"""A logger sees everything, beside the one that a message is meant for."""

import json
import os
from pathlib import Path

import trio

import hypersocket as hs

CONFIG = Path(__file__).with_suffix(".toml")
BROKER = os.environ.get("BROKER", "amqp://127.0.0.1")
ORDERS = [(b"kitchen.soup", b"two"), (b"bar.coffee", b"one"), (b"kitchen.bread", b"some")]


async def main() -> None:
    gateway = hs.devices.AmqpGateway.from_file(CONFIG, variables={"broker": BROKER})
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.run)
        where = {name: socket.endpoints[0] for name, socket in gateway.sockets.items()}
        async with (
            hs.Push(connect=where["orders"]) as push,
            hs.Pull(connect=where["kitchen"]) as kitchen,
            hs.Pull(connect=where["logger"]) as logger,
        ):
            for key, order in ORDERS:
                await push.send_multipart([key, order])
            for _ in range(2):
                print("kitchen:", (await kitchen.recv()).decode())
            for _ in ORDERS:
                metadata, order = await logger.recv_multipart()
                print(f"logger: {json.loads(metadata)['routing_key']}: {order.decode()}")
        await gateway.stop()


trio.run(main)
