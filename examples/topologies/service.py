"""A service: answers requests, and signs the answers.

python service.py TOPOLOGY.toml SOCKET SIGNATURE
"""

import trio
from programs import load_topology, say


async def main() -> None:
    loaded, (socket, signature) = await load_topology()
    async with loaded.socket(socket) as rep:
        say(signature, "is there")
        async for request in rep:
            await rep.send(request + b" done by " + signature.encode())


trio.run(main)
