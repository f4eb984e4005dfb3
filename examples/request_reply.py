"""A client asks, a server answers: REQ and REP."""

import trio

import hypersocket as hs


async def serve(rep: hs.Rep) -> None:
    async for request in rep:
        await rep.send(request.upper())


async def main() -> None:
    async with (
        hs.Rep(bind="tcp://127.0.0.1:*") as rep,
        hs.Req(connect=rep.endpoints) as req,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(serve, rep)

        await req.send(b"hello")
        print(await req.recv())

        # The same in one call, which a timeout cannot leave half done:
        print(await req.request(b"world"))

        nursery.cancel_scope.cancel()


trio.run(main)
