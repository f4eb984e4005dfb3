"""A streamer that is paused and stopped by messages, and says what became of everything."""

import trio

import hypersocket as hs


async def main() -> None:
    async with (
        hs.Pull(bind="tcp://127.0.0.1:*") as front,
        hs.Push(bind="tcp://127.0.0.1:*") as back,
        hs.Rep(bind="tcp://127.0.0.1:*") as control,
        hs.Push(connect=front.endpoints) as source,
        hs.Pull(connect=back.endpoints) as sink,
        hs.Req(connect=control.endpoints) as steering,
        trio.open_nursery() as nursery,
    ):

        @nursery.start_soon
        async def run_device() -> None:
            result = await hs.devices.streamer(front, back, control=control)
            print("stopped, everything delivered:", result.complete)

        await source.send_many([b"1", b"2", b"3"])
        print("sink gets", [await sink.recv() for _ in range(3)])

        print("PAUSE:", await steering.request(b"PAUSE"))
        await source.send_many([b"4", b"5"])
        print("TERMINATE:", await steering.request(b"TERMINATE"))
        print("sink gets", [await sink.recv() for _ in range(2)])


trio.run(main)
