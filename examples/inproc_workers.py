"""A pool of worker tasks in one program, over inproc: the same sockets with no network at all.

Connecting may come before binding, so it does not matter who starts first.
"""

import trio

import hypersocket as hs


async def count_words() -> None:
    async with (
        hs.Pull(connect="inproc://lines") as lines,
        hs.Push(connect="inproc://counts") as counts,
    ):
        async for line in lines:
            await counts.send(b"%d" % len(line.split()))


async def main() -> None:
    text = [b"to be or not to be", b"that is the question", b"", b"whether tis nobler"]
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(count_words)
        async with (
            hs.Push(bind="inproc://lines") as lines,
            hs.Pull(bind="inproc://counts") as counts,
        ):
            await lines.send_many(text)
            words = [int(await counts.recv()) for _ in text]
        print("lines:", len(words))
        print("words:", sum(words))
        nursery.cancel_scope.cancel()


trio.run(main)
