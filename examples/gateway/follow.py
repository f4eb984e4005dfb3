"""Who follows whom: what somebody says comes to those who follow, and to nobody else."""

import os
from pathlib import Path

import trio

import hypersocket as hs

HERE = Path(__file__)
BROKER = os.environ.get("BROKER", "amqp://127.0.0.1")
SAID = [("ada", "I am here"), ("ben", "Who else?"), ("cleo", "Me, too")]
FOLLOWED = {"ada": ("ben", "cleo"), "ben": ("ada",)}


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
        for user, text in SAID:
            async with hs.Push(connect=where[f"say-{user}"]) as push:
                await push.send(f"{user}: {text}".encode())
        for user, followed in FOLLOWED.items():
            async with hs.Pull(connect=where[f"read-{user}"]) as pull:
                # Two who speak at once may be heard in either order.
                heard = sorted([(await pull.recv()).decode() for _ in followed])
            print(f"{user} reads:", "; ".join(heard))
        await senders.stop()
        await readers.stop()


trio.run(main)
