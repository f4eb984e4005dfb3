"""The other end is libzmq: a pyzmq REP in a thread of its own, asked by a hypersocket REQ."""

import sys

import trio

import hypersocket as hs

try:
    import zmq  # noqa: TID251 - this example is about it
except ImportError:
    print("This example talks to pyzmq, which is not installed: pip install pyzmq")
    sys.exit()


def serve(endpoint: str) -> None:
    with zmq.Context() as context, context.socket(zmq.REP) as rep:
        rep.connect(endpoint)
        while (request := rep.recv()) != b"stop":
            rep.send(b"libzmq got " + request)
        rep.send(b"stopped")


async def main() -> None:
    async with hs.Req(bind="tcp://127.0.0.1:*") as req, trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, serve, req.endpoints[0])
        print(await req.request(b"hello"))
        print(await req.request(b"stop"))


trio.run(main)
