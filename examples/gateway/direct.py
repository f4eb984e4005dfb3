"""A direct exchange: the first frame of a message says which queues it goes to."""

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
        log, problems, errors = (
            sockets[route].endpoints[0] for route in ("log", "problems", "errors")
        )
        async with (
            hs.Push(connect=log) as push,
            hs.Pull(connect=problems) as all_problems,
            hs.Pull(connect=errors) as only_errors,
        ):
            await push.send_multipart([b"warning", b"the disk is nearly full"])
            await push.send_multipart([b"error", b"the disk is full"])
            for _ in range(2):
                print("problem:", (await all_problems.recv()).decode())
            print("error:", (await only_errors.recv()).decode())
        await senders.stop()
        await readers.stop()


trio.run(main)
