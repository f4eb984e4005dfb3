"""The slow joiner, and its cure.

A publisher sends to those who have subscribed, and to nobody else. What it sends before the
first subscription has arrived goes to nobody. Waiting for subscribers takes the place of a sleep.
"""

import trio

import hypersocket as hs


async def main() -> None:
    async with (
        hs.Pub(bind="tcp://127.0.0.1:*") as pub,
        hs.Sub(connect=pub.endpoints, subscribe="news") as sub,
    ):
        await pub.send(b"news: too early")  # the subscription is still on its way

        await pub.wait_subscribed("news")
        await pub.send(b"news: in time")

        print(await sub.recv())
        print("messages sent:", pub.stats().messages_out)


trio.run(main)
