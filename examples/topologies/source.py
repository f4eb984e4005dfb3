"""The source of a pipeline: sends so many numbered messages, and tells when it is held back.

python source.py TOPOLOGY.toml SOCKET HOW_MANY BYTES_EACH
"""

import trio
from programs import load_topology, say

HELD_BACK = 1.0
"""Seconds after which waiting to send is worth a word."""


async def main() -> None:
    loaded, (socket, how_many, size) = await load_topology()
    async with loaded.socket(socket) as push:
        for number in range(int(how_many)):
            message = b"%d" % number
            message = message.ljust(int(size), b" ")
            with trio.move_on_after(HELD_BACK) as patience:
                await push.send(message)
            if patience.cancelled_caught:
                say("held back after", number)
                await push.send(message)  # the cancelled one has not been sent
        say("sent", how_many)


trio.run(main)
