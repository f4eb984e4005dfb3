"""The end of a pipeline: tells what arrives, until it has so much.

python sink.py TOPOLOGY.toml SOCKET HOW_MANY
"""

import trio
from programs import load_topology, say


async def main() -> None:
    loaded, (socket, how_many) = await load_topology()
    async with loaded.socket(socket) as pull:
        for _ in range(int(how_many)):
            say(*(await pull.recv()).decode().split())


trio.run(main)
