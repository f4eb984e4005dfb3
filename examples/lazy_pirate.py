"""A client that does not wait for ever: a timeout around each request, and another try.

A REQ whose wait was cancelled is ready for the next request, and a late reply to the old one
is never taken for the new one's.
"""

import trio

import hypersocket as hs


async def moody_server(router: hs.Router) -> None:
    async for client, empty, request in router.multipart():
        if request == b"attempt 3":
            await router.send_multipart([client, empty, b"the answer to " + request])


async def main() -> None:
    async with (
        hs.Router(bind="tcp://127.0.0.1:*") as router,
        hs.Req(connect=router.endpoints) as req,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(moody_server, router)
        for attempt, patience in enumerate([0.1, 0.1, 5], 1):
            with trio.move_on_after(patience):
                print(await req.request(b"attempt %d" % attempt))
                break
            print("attempt", attempt, "timed out")
        nursery.cancel_scope.cancel()


trio.run(main)
