"""A worker that ends well on SIGTERM: it takes no more jobs, finishes its own, and flushes.

Leaving `async with` writes what was sent, for up to `linger` seconds.
"""

import os
import signal

import trio

import hypersocket as hs


async def work(jobs: hs.Pull, results: hs.Push, stop: trio.CancelScope, busy: trio.Event) -> None:
    # Only the wait for a job can be cancelled, and a cancelled recv has taken none.
    with stop:
        async for job in jobs:
            with trio.CancelScope(shield=True):
                busy.set()
                await trio.sleep(0.1)  # the work
                await results.send(job + b" done")
            if stop.cancel_called:
                break


async def on_sigterm(stop: trio.CancelScope, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            print("SIGTERM: no more jobs")
            stop.cancel()
            return


async def worker(jobs_from: str, results_to: str, busy: trio.Event) -> None:
    stop = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        await nursery.start(on_sigterm, stop)
        async with hs.Pull(connect=jobs_from) as jobs, hs.Push(connect=results_to) as results:
            await work(jobs, results, stop, busy)
    print("the worker has left")


async def main() -> None:
    busy = trio.Event()
    async with (
        hs.Push(bind="tcp://127.0.0.1:*") as jobs,
        hs.Pull(bind="tcp://127.0.0.1:*") as results,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker, jobs.endpoints[0], results.endpoints[0], busy)
            await jobs.send(b"job 1")
            await busy.wait()
            os.kill(os.getpid(), signal.SIGTERM)  # what an operator would do
        print(await results.recv())


trio.run(main)
