"""What happens to a socket's connections, as it happens."""

import logging

import trio

import hypersocket as hs
from hypersocket import events

logging.getLogger("hypersocket").setLevel(logging.ERROR)  # a refused peer is a warning in the log


async def watch(monitor: events.Monitor, lost: trio.Event, refused: trio.Event) -> None:
    async for event in monitor:
        match event:
            case events.Listening():
                print("listening")
            case events.HandshakeSucceeded(socket_type=peer):
                print("shook hands with a", peer)
            case events.Disconnected(reason=reason):
                print("lost a peer:", reason)
                lost.set()
            case events.HandshakeFailed(reason=reason):
                print("refused a peer:", reason)
                refused.set()
            case events.Closed():
                print("closed")


async def main() -> None:
    lost, refused = trio.Event(), trio.Event()
    pull = hs.Pull(bind="tcp://127.0.0.1:*")
    async with trio.open_nursery() as nursery, pull.monitor() as monitor, pull:
        nursery.start_soon(watch, monitor, lost, refused)

        async with hs.Push(connect=pull.endpoints) as push:
            await push.send(b"work")
            await pull.recv()
        await lost.wait()

        async with hs.Sub(connect=pull.endpoints):  # which has no business with a PULL
            await refused.wait()


trio.run(main)
