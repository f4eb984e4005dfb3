"""What was sent, what waits, and what was dropped: by peer and by reason.

A subscriber that does not read fills its queues. What comes after that is dropped for this
subscriber, so that the publisher and the others go on; and it is counted.
"""

import logging

import trio

import hypersocket as hs

logging.getLogger("hypersocket").setLevel(logging.ERROR)  # dropping is a warning in the log


async def main() -> None:
    async with (
        hs.Pub(bind="inproc://ticks", sndhwm=100) as pub,
        hs.Sub(connect="inproc://ticks", subscribe="", rcvhwm=10) as sub,
    ):
        await pub.wait_subscribed("")
        for number in range(1000):
            await pub.send(b"%d" % number)

        stats = pub.stats()
        print("dropped:", stats.dropped)
        for reason, count in stats.drops.items():
            print("    because of:", reason, count)
        waiting = await sub.recv_many()
        print("delivered first:", waiting[0], "to", waiting[-1])
        print("together:", pub.stats().messages_out + stats.dropped)


trio.run(main)
