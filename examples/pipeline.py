"""Work handed out, done in parallel, and collected: a ventilator, three workers and a sink."""

import trio

import hypersocket as hs


async def work(jobs_from: str, results_to: str) -> None:
    async with hs.Pull(connect=jobs_from) as jobs, hs.Push(connect=results_to) as results:
        async for job in jobs:
            await trio.lowlevel.checkpoint()  # the work
            await results.send(b"%d" % int(job) ** 2)


async def main() -> None:
    async with (
        hs.Push(bind="tcp://127.0.0.1:*") as ventilator,
        hs.Pull(bind="tcp://127.0.0.1:*") as sink,
        trio.open_nursery() as workers,
    ):
        for _ in range(3):
            workers.start_soon(work, ventilator.endpoints[0], sink.endpoints[0])
        await ventilator.wait_connected(3)  # else the first worker there would get all of it

        await ventilator.send_many(b"%d" % number for number in range(1, 13))
        total = 0
        for _ in range(12):
            total += int(await sink.recv())
        print("sum of the squares of 1 to 12:", total)

        for peer in ventilator.stats().peers:
            print("a worker was given", peer.messages_out, "jobs")
        workers.cancel_scope.cancel()


trio.run(main)
