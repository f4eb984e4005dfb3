"""A publisher: when somebody has subscribed, publishes so many messages of so many bytes.

python publisher.py TOPOLOGY.toml SOCKET TOPIC HOW_MANY BYTES_EACH
"""

import trio
from programs import load_topology, say


async def main() -> None:
    loaded, (socket, topic, how_many, size) = await load_topology()
    async with loaded.socket(socket) as pub:
        await pub.wait_subscribed("weather.oslo")
        for number in range(int(how_many)):
            message = f"{topic}{number} ".encode()
            await pub.send(message.ljust(int(size), b"."))
        say("published", how_many)


trio.run(main)
