"""What one publish costs with ever more subscriptions, one of which matches.

The raw client holds them all. ``sub_match`` publishes to topics in an order that looks random.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from .. import stamp
from ..contract import AwaitingPeer, BlockingPeer, Case, Measured, Peer, Role, grouped
from ..job import Job
from ..process import PATIENCE, play
from ..speak import say, told, wait_told
from .fan_in import raw_client

NUMBERS = (1000, 10_000, 100_000, 1_000_000)
SCATTERED = (1000, 1_000_000)
SCATTER = 2_654_435_761  # Knuth's: 2**32 divided by the golden ratio
PUBLISHES = 200_000
_HELLO_EVERY = 0.02


def topics(job: Job) -> Iterator[bytes]:
    """One topic for each publish: ``t`` and eight digits, as the raw client subscribes to them.

    Numbers that follow one another are the best that can befall a tree. Those that lie apart are
    multiplied, so that each has its hexadecimal digits to itself after the first few.
    """
    state = 12345
    for _ in range(job.count):
        state = (state * 1103515245 + 12345) % 2**31
        number = (state >> 8) % job.subscriptions
        yield b"t%08x" % (number * SCATTER % 2**32) if job.scattered else b"t%08d" % number


def _messages(job: Job) -> list[bytes]:
    return [topic.ljust(job.size, b".") for topic in topics(job)]


def _sub_match_blocking(peer: BlockingPeer, job: Job) -> None:
    messages, hello = _messages(job), stamp.stamped(stamp.HELLO, 0, job.size)
    with peer.open("PUB", bind=job.endpoint, hwm=0) as pub:
        say("ready", endpoint=peer.endpoint(pub))
        while not told():
            pub.send(hello)
            time.sleep(_HELLO_EVERY)
        wait_told()
        send, start = pub.send, time.perf_counter()
        for message in messages:
            send(message)
        seconds = time.perf_counter() - start
        send(stamp.stamped(stamp.END, job.count, job.size))
        say("result", seconds=seconds)
        wait_told()


async def _sub_match(peer: AwaitingPeer, job: Job) -> None:
    messages, hello = _messages(job), stamp.stamped(stamp.HELLO, 0, job.size)
    async with peer.open("PUB", bind=job.endpoint, hwm=0) as pub:
        say("ready", endpoint=peer.endpoint(pub))
        while not told():
            await pub.send(hello)
            await peer.sleep(_HELLO_EVERY)
        wait_told()
        send, start = pub.send, time.perf_counter()
        for message in messages:
            await send(message)
        seconds = time.perf_counter() - start
        await send(stamp.stamped(stamp.END, job.count, job.size))
        say("result", seconds=seconds)
        await peer.in_thread(wait_told)


def measure(peer: Peer, job: Job) -> Measured:
    """One run; the value is microseconds a publish, at the publisher."""
    with play(peer, "sub_match", job) as publisher:
        where = publisher.expect("ready")["endpoint"]
        before, start = publisher.resident(), time.perf_counter()
        with raw_client("raw_sub", peer, replace(job, endpoint=where)) as subscriber:
            subscriber.expect("ready", PATIENCE + job.subscriptions / 40_000)
            subscribed, after = time.perf_counter() - start, publisher.resident()
            publisher.tell()
            facts = publisher.expect("result", 2 * PATIENCE)
            subscriber.expect("result", 2 * PATIENCE)
            publisher.tell()
    more = {
        "subscribed in": round(subscribed, 3),
        "bytes a subscription": round((after - before) / job.subscriptions, 1),
    }
    return Measured(1e6 * facts["seconds"] / job.count, more)


def _case(number: int, publishes: int, *, scattered: bool = False) -> Case:
    words = " to topics that lie apart" if scattered else ""
    return Case(
        name=f"subscriptions/{number}" + "/scattered" * scattered,
        title=f"one publish against {grouped(number)} subscriptions{words}",
        unit="us",
        better="less",
        job=Job(size=64, subscriptions=number, count=publishes, scattered=int(scattered)),
        measure=measure,
        rounds=2 if number > 100_000 else 1000,
    )


def cases(short: bool) -> list[Case]:
    if short:
        return [_case(1000, 1000), _case(1000, 1000, scattered=True)]
    follow = [_case(number, PUBLISHES) for number in NUMBERS]
    return follow + [_case(number, PUBLISHES, scattered=True) for number in SCATTERED]


ROLES = {"sub_match": Role(_sub_match_blocking, _sub_match, told=True)}
