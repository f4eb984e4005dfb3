"""A subscriber: tells what it receives, until it has so much.

python subscriber.py TOPOLOGY.toml SOCKET HOW_MANY
"""

import trio
from programs import load_topology, say


async def main() -> None:
    loaded, (socket, how_many) = await load_topology()
    async with loaded.socket(socket) as sub:
        for _ in range(int(how_many)):
            say((await sub.recv()).decode().partition(" ")[0])


trio.run(main)
