"""A source that is quicker than its worker: `send` waits, and nothing is dropped."""

import trio

import hypersocket as hs


async def main() -> None:
    async with (
        hs.Push(bind="inproc://jobs", sndhwm=5) as push,
        hs.Pull(connect="inproc://jobs", rcvhwm=5) as pull,
    ):
        sent = 0
        with trio.move_on_after(0.05):
            while True:
                await push.send(b"%d" % sent)
                sent += 1
        print("accepted while nobody reads:", sent)

        try:
            push.send_nowait(b"one more")
        except trio.WouldBlock:
            print("send_nowait would have to wait")

        print("now read:", len(await pull.recv_many()))
        push.send_nowait(b"one more")
        print("there is room again:", await pull.recv())


trio.run(main)
