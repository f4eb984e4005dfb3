"""Two sockets that belong to each other alone: PAIR, here between two tasks of one program."""

import trio

import hypersocket as hs


async def sensor(endpoint: str) -> None:
    async with hs.Pair(connect=endpoint) as pair:
        step = int(await pair.recv())
        for reading in range(0, 3 * step, step):
            await pair.send(b"%d" % reading)
        await pair.send(b"done")


async def main() -> None:
    async with hs.Pair(bind="inproc://sensor") as pair, trio.open_nursery() as nursery:
        nursery.start_soon(sensor, "inproc://sensor")
        await pair.send(b"5")
        async for message in pair:
            print(message)
            if message == b"done":
                break


trio.run(main)
