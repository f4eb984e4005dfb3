"""A work queue: a slow worker keeps nobody waiting, since it is given one job at a time."""

import os
from pathlib import Path

import trio

import hypersocket as hs

HERE = Path(__file__)
BROKER = os.environ.get("BROKER", "amqp://127.0.0.1")
JOBS = 6


async def slow(endpoint: str, busy: trio.Event, all_else_is_done: trio.Event) -> None:
    async with hs.Rep(connect=endpoint) as rep:
        await rep.recv()
        busy.set()
        await all_else_is_done.wait()
        await rep.send(b"done")
        print("slow: 1 job")


async def quick(endpoint: str, all_else_is_done: trio.Event) -> None:
    async with hs.Rep(connect=endpoint) as rep:
        for _ in range(JOBS - 1):
            await rep.recv()
            await rep.send(b"done")
        await rep.flush()
        print(f"quick: {JOBS - 1} jobs")
        all_else_is_done.set()


async def main() -> None:
    # Two gateways, as for two places: one would find its own messages coming back to it.
    readers, senders = (
        hs.devices.AmqpGateway.from_file(
            HERE.with_suffix(f".{side}.toml"), variables={"broker": BROKER}
        )
        for side in ("readers", "senders")
    )
    busy, all_else_is_done = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(readers.run)
        await nursery.start(senders.run)
        sockets = {**readers.sockets, **senders.sockets}
        where = {name: socket.endpoints[0] for name, socket in sockets.items()}
        async with hs.Push(connect=where["jobs"]) as push, trio.open_nursery() as workers:
            workers.start_soon(slow, where["slow"], busy, all_else_is_done)
            for number in range(JOBS):
                await push.send(b"job %d" % number)
            await busy.wait()
            workers.start_soon(quick, where["quick"], all_else_is_done)
        await senders.stop()
        await readers.stop()


trio.run(main)
