"""A client: asks a number of times, one request after the other, and tells what was answered.

A request whose service has died is not answered by anybody: after a while it is asked again.

python client.py TOPOLOGY.toml SOCKET HOW_OFTEN
"""

import trio
from programs import load_topology, say

PATIENCE = 5.0


async def main() -> None:
    loaded, (socket, how_often) = await load_topology()
    async with loaded.socket(socket) as req:
        for number in range(int(how_often)):
            answer = None
            while answer is None:
                with trio.move_on_after(PATIENCE):
                    answer = await req.request(b"order %d" % number)
            say(answer.decode())


trio.run(main)
