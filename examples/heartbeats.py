"""A peer that falls silent without a word: heartbeats notice, and the connection is made anew.

The cable here is a relay between the two sockets, which can be cut: it then swallows everything
and closes nothing, as a broken network does.
"""

import logging
from functools import partial

import trio

import hypersocket as hs
from hypersocket import events

logging.getLogger("hypersocket").setLevel(logging.ERROR)  # a lost peer is a warning in the log


class Cable:
    def __init__(self, port: int) -> None:
        self.port = port
        self.is_cut = False

    async def relay(self, near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(self.pump, near, far)
            nursery.start_soon(self.pump, far, near)

    async def pump(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            async for data in source:
                if not self.is_cut:
                    await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        await sink.aclose()


async def main() -> None:
    async with hs.Pull(bind="tcp://127.0.0.1:*") as pull, trio.open_nursery() as nursery:
        cable = Cable(int(pull.endpoints[0].rpartition(":")[2]))
        (listener,) = await nursery.start(partial(trio.serve_tcp, cable.relay, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]

        push = hs.Push(
            connect=f"tcp://127.0.0.1:{port}",
            heartbeat_ivl=0.05,  # seconds between two PINGs
            heartbeat_timeout=0.2,  # how long the answer may take
            immediate=True,  # nothing is queued for a connection that is not there
        )
        async with push.monitor() as monitor, push:
            await push.send(b"first")
            print("received", await pull.recv())
            print("the cable is cut")
            cable.is_cut = True
            async for event in monitor:
                if isinstance(event, events.Disconnected):
                    print("disconnected:", event.reason)
                    break
            cable.is_cut = False
            print("the cable is mended")
            await push.send(b"second")
            print("received", await pull.recv())
        nursery.cancel_scope.cancel()


trio.run(main)
