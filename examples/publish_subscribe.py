"""A publisher, and subscribers that hear only what they asked for: PUB and SUB.

A subscription is a prefix of the message's first frame.
"""

import trio

import hypersocket as hs


async def main() -> None:
    async with (
        hs.Pub(bind="tcp://127.0.0.1:*") as pub,
        hs.Sub(connect=pub.endpoints, subscribe="sport") as fan,
        hs.Sub(connect=pub.endpoints, subscribe=["sport", "politics"]) as reader,
    ):
        await pub.wait_subscribed("sport", 2)  # both of them
        await pub.wait_subscribed("politics")

        await pub.send(b"sport: the home team won")
        await pub.send(b"music: nobody asked for this")
        await pub.send(b"politics: the vote is on Monday")

        print("fan hears", await fan.recv())
        print("reader hears", await reader.recv())
        print("reader hears", await reader.recv())

        reader.unsubscribe("sport")
        reader.subscribe("music")
        await pub.wait_subscribed("music")
        await pub.send(b"music: a new album")
        print("reader hears", await reader.recv())


trio.run(main)
