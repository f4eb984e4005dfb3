"""A fanout exchange: what is sent once arrives at every place that reads."""

import os
from pathlib import Path

import trio

import hypersocket as hs

HERE = Path(__file__)
BROKER = os.environ.get("BROKER", "amqp://127.0.0.1")


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
        news, home, office = (sockets[route].endpoints[0] for route in ("news", "home", "office"))
        async with (
            hs.Push(connect=news) as push,
            hs.Pull(connect=home) as at_home,
            hs.Pull(connect=office) as at_the_office,
        ):
            for text in (b"it rains", b"it is dry again"):
                await push.send(text)
            for _ in range(2):
                print("at home:", (await at_home.recv()).decode())
            for _ in range(2):
                print("at the office:", (await at_the_office.recv()).decode())
        await senders.stop()
        await readers.stop()


trio.run(main)
