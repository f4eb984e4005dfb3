"""A server that answers when it is ready, not in turn: ROUTER, with DEALER clients.

The ROUTER puts the sender's routing id before each message, and sends to the peer whose id
comes first. So it can take the next request before it has answered the last.
"""

import trio

import hypersocket as hs


async def handle(router: hs.Router, client: bytes, number: bytes, wait_for: trio.Event) -> None:
    await wait_for.wait()
    await router.send_multipart([client, number, b"done"])


async def serve(router: hs.Router) -> None:
    quick, slow = trio.Event(), trio.Event()
    quick.set()
    async with trio.open_nursery() as nursery:
        async for client, number, kind in router.multipart():
            print("server takes", number, kind, "from", client)
            nursery.start_soon(handle, router, client, number, slow if kind == b"slow" else quick)
            if number == b"3":
                slow.set()  # the slow ones are ready now


async def main() -> None:
    async with (
        hs.Router(bind="tcp://127.0.0.1:*") as router,
        hs.Dealer(connect=router.endpoints, routing_id=b"ann") as dealer,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(serve, router)
        await dealer.send_multipart([b"1", b"slow"])
        await dealer.send_multipart([b"2", b"quick"])
        print("ann gets", await dealer.recv_multipart())
        await dealer.send_multipart([b"3", b"quick"])
        answers = [await dealer.recv_multipart() for _ in range(2)]
        for answer in sorted(answers):
            print("ann gets", answer)
        nursery.cancel_scope.cancel()


trio.run(main)
