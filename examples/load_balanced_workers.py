"""Many clients, many workers, one address for each: a queue of ROUTER and DEALER between them.

Clients and workers are plain REQ and REP, and need not know that there is anything between.
"""

import trio

import hypersocket as hs


async def forward(source: hs.Router | hs.Dealer, sink: hs.Router | hs.Dealer) -> None:
    async for frames in source.multipart():
        await sink.send_multipart(frames)


async def work(endpoint: str, name: str, done: list[str]) -> None:
    async with hs.Rep(connect=endpoint) as rep:
        async for request in rep:
            done.append(name)
            await rep.send(b"%d" % int(request) ** 2)


async def ask(endpoint: str, numbers: range, answers: dict[int, int]) -> None:
    async with hs.Req(connect=endpoint) as req:
        for number in numbers:
            answers[number] = int(await req.request(b"%d" % number))


async def main() -> None:
    done: list[str] = []
    answers: dict[int, int] = {}
    async with (
        hs.Router(bind="tcp://127.0.0.1:*") as front,
        hs.Dealer(bind="tcp://127.0.0.1:*") as back,
        trio.open_nursery() as service,
    ):
        service.start_soon(forward, front, back)
        service.start_soon(forward, back, front)
        for name in ("worker 1", "worker 2", "worker 3"):
            service.start_soon(work, back.endpoints[0], name, done)
        await back.wait_connected(3)

        async with trio.open_nursery() as clients:
            clients.start_soon(ask, front.endpoints[0], range(6), answers)
            clients.start_soon(ask, front.endpoints[0], range(6, 12), answers)

        service.cancel_scope.cancel()

    print("squares:", [answers[number] for number in range(12)])
    for name in ("worker 1", "worker 2", "worker 3"):
        print(name, "answered", done.count(name))


trio.run(main)
