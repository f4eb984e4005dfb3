"""A step of a pipeline: takes messages, signs and numbers them, and passes them on.

python step.py TOPOLOGY.toml IN_SOCKET OUT_SOCKET SIGNATURE
"""

import trio
from programs import load_topology, say


async def main() -> None:
    loaded, (inlet, outlet, signature) = await load_topology()
    async with loaded.socket(inlet) as pull, loaded.socket(outlet) as push:
        await pull.wait_connected()
        say(signature, "is there")
        number = 0
        async for message in pull:
            number += 1
            await push.send(b"%s %s:%d" % (message, signature.encode(), number))


trio.run(main)
