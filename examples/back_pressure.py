"""A source that is quicker than its worker: `send` waits, and nothing is dropped."""

from contextlib import suppress

import trio

import hypersocket as hs


async def main() -> None:
    async with (
        hs.Push(bind="inproc://jobs", sndhwm=5) as push,
        hs.Pull(connect="inproc://jobs", rcvhwm=5) as pull,
    ):
        sent = 0
        with suppress(trio.WouldBlock):
            while True:
                push.send_nowait(b"%d" % sent)
                sent += 1
        print("accepted while nobody reads:", sent)

        with trio.move_on_after(0.05) as patience:
            await push.send(b"one more")
        print("send had to wait:", patience.cancelled_caught)

        print("now read:", len(await pull.recv_many()))
        await push.send(b"one more")
        print("there is room again:", await pull.recv())


trio.run(main)
