"""A queue: clients and workers that know only the queue, not each other.

Each request goes to the worker with the fewest that it has not answered. One of the two workers
here never answers at all, so it is given two requests and no more.
"""

from functools import partial

import trio

import hypersocket as hs


async def work(worker: hs.Rep) -> None:
    async for number in worker:
        await worker.send(str(int(number) ** 2).encode())


async def main() -> None:
    async with (
        hs.Router(bind="tcp://127.0.0.1:*") as front,
        hs.devices.AddressedDealer(bind="tcp://127.0.0.1:*") as back,
        hs.Rep(connect=back.endpoints) as worker,
        hs.Rep(connect=back.endpoints),  # takes what it is sent, and says nothing
        hs.Dealer(connect=front.endpoints) as client,
        trio.open_nursery() as nursery,
    ):
        queue = partial(hs.devices.queue, front, back, balance="least-outstanding")
        device = await nursery.start(queue)
        nursery.start_soon(work, worker)
        await back.wait_connected(2)

        for number in range(10):
            await client.send_multipart([b"", str(number).encode()])  # as a REQ would
        replies = [await client.recv_multipart() for _ in range(8)]
        print(len(replies), "replies")

        stats = device.stats()
        print(stats.outstanding, "requests have no reply yet")
        print("answered by each:", sorted(worker.answered for worker in stats.workers))
        nursery.cancel_scope.cancel()


trio.run(main)
