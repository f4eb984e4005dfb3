"""Many requests under way at once on one REQ, each task with its own reply: `req_correlate`."""

import trio

import hypersocket as hs


async def serve_backwards(router: hs.Router, count: int) -> None:
    requests = [await router.recv_multipart() for _ in range(count)]
    # Each is the client's routing id, the request's own id, an empty frame, and the body.
    for *envelope, body in sorted(requests, key=lambda frames: frames[-1], reverse=True):
        print("server answers", body)
        await router.send_multipart([*envelope, body.upper()])


async def ask(req: hs.Req, question: bytes, answers: dict[bytes, bytes]) -> None:
    answers[question] = await req.request(question)


async def main() -> None:
    answers: dict[bytes, bytes] = {}
    async with (
        hs.Router(bind="tcp://127.0.0.1:*") as router,
        hs.Req(connect=router.endpoints, req_correlate=True) as req,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(serve_backwards, router, 3)
        for question in (b"a", b"b", b"c"):
            nursery.start_soon(ask, req, question, answers)
    for question in sorted(answers):
        print(question, "->", answers[question])


trio.run(main)
