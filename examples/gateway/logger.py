"""A logger sees everything, beside the one that a message is meant for."""

import json
import os
from pathlib import Path

import trio

import hypersocket as hs

HERE = Path(__file__)
BROKER = os.environ.get("BROKER", "amqp://127.0.0.1")
ORDERS = [(b"kitchen.soup", b"two"), (b"bar.coffee", b"one"), (b"kitchen.bread", b"some")]


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
        await senders.stop()
        await readers.stop()


trio.run(main)
