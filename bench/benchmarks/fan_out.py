"""PUB to many SUB: ``fan_pub`` publishes, and every subscriber has to get every message.

Twice: with the peer's own subscribers, all in one process (``fan_sub``), and with a raw client
(``raw_sub``), so that the publisher alone is what is measured. The queues have no limit, because
a publisher drops what does not fit, and the count is fixed for the same reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from .. import build, stamp
from ..contract import AwaitingPeer, BlockingPeer, Case, Measured, Peer, Role
from ..job import Job
from ..process import PATIENCE, Child, play
from ..speak import UnsupportedError, Watchdog, WrongMessage, say, told, wait_told

NUMBERS = (1, 10, 50, 200)
DELIVERIES = 400_000
_HELLO_EVERY = 0.01


def _messages(job: Job) -> list[bytes]:
    last = job.count - 1
    kinds = {0: stamp.START, last: stamp.END}
    return [stamp.stamped(kinds.get(n, stamp.RUN), n, job.size) for n in range(job.count)]


def _fan_pub_blocking(peer: BlockingPeer, job: Job) -> None:
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
        say("result", start=start, seconds=time.perf_counter() - start)
        wait_told()


async def _fan_pub(peer: AwaitingPeer, job: Job) -> None:
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
        say("result", start=start, seconds=time.perf_counter() - start)
        await peer.in_thread(wait_told)


class Subscribers:
    """Counts for all subscribers of a process."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._left = job.peers
        self._greeted = 0
        self.received = 0
        self._watchdog = Watchdog(lambda: self.received, job.peers * job.count)

    def greeted(self) -> None:
        """One has received its first message, so that it is surely subscribed."""
        self._greeted += 1
        if self._greeted == self._job.peers:
            say("ready")
            self._watchdog.start()

    def last(self, message: bytes, received: int) -> bool:
        """One has received as many messages as there are. True when all have."""
        end = stamp.check(message, self._job.count - 1, self._job.size) == stamp.END
        if not end or received != self._job.count:
            raise WrongMessage(f"a subscriber's message {received} is not the last")
        self._left -= 1
        if self._left:
            return False
        self._watchdog.done()
        say("result", end=time.perf_counter(), received=self.received)
        return True


def _fan_sub_blocking(peer: BlockingPeer, job: Job) -> None:
    from contextlib import ExitStack

    all_of = Subscribers(job)
    with ExitStack() as stack:
        handles = [
            stack.enter_context(
                peer.open("SUB", connect=job.endpoint, hwm=0, subscribe=stamp.TOPIC)
            )
            for _ in range(job.peers)
        ]
        counts: dict[object, int] = {}
        ready, drain, over = peer.ready(handles), peer.drain, False
        while not over:
            for handle in ready():
                messages = drain(handle)
                before = counts.get(handle, -1)
                if before <= 0:
                    if before == -1 and messages:
                        all_of.greeted()
                        counts[handle] = before = 0
                    messages = [m for m in messages if stamp.kind_of(m) != stamp.HELLO]
                if not messages:
                    continue
                all_of.received += len(messages)
                counts[handle] = before + len(messages)
                if counts[handle] >= job.count:
                    over = all_of.last(messages[-1], counts[handle])


async def _fan_sub(peer: AwaitingPeer, job: Job) -> None:
    all_of = Subscribers(job)
    await peer.together(*[partial(_one_sub, peer, job, all_of)] * job.peers)


async def _one_sub(peer: AwaitingPeer, job: Job, all_of: Subscribers) -> None:
    async with peer.open("SUB", connect=job.endpoint, hwm=0, subscribe=stamp.TOPIC) as sub:
        recv = sub.recv
        message = await recv()
        all_of.greeted()
        while stamp.kind_of(message) == stamp.HELLO:
            message = await recv()
        all_of.received += 1
        for _ in range(job.count - 1):
            message = await recv()
            all_of.received += 1
        all_of.last(message, job.count)


def _raw_subscribers(peer: Peer, job: Job) -> Child:
    if not peer.speaks_zmtp:
        raise UnsupportedError("has another protocol on the wire than the raw client")
    command = [str(build.program("raw_sub")), *job.words()]
    return Child(command, {}, "raw subscribers")


def _own_subscribers(peer: Peer, job: Job) -> Child:
    return play(peer, "fan_sub", job)


def measure(subscribers: Callable[[Peer, Job], Child], peer: Peer, job: Job) -> Measured:
    """One run; the value is deliveries a second, all subscribers together."""
    with play(peer, "fan_pub", job) as publisher:
        where = publisher.expect("ready")["endpoint"]
        with subscribers(peer, replace(job, endpoint=where)) as receivers:
            receivers.expect("ready")
            publisher.tell()
            facts = receivers.expect("result", 2 * PATIENCE)
            sent = publisher.expect("result")
            publisher.tell()
    # The monotonic clock is one for all processes: from the first send to the last delivery.
    seconds = facts["end"] - sent["start"]
    deliveries = job.peers * job.count
    return Measured(deliveries / seconds, {"count": job.count, "sent in": sent["seconds"]})


def _case(number: int, raw: bool, deliveries: int) -> Case:
    whose = "a raw client" if raw else "its own subscribers"
    count = max(100, deliveries // number)
    return Case(
        name=f"fan_out/{number}" + ("/raw" if raw else ""),
        title=f"PUB to {number} SUB, tcp, 64 B, {whose}",
        unit="deliveries/s",
        better="more",
        job=Job(size=64, peers=number, count=count),
        measure=partial(measure, _raw_subscribers if raw else _own_subscribers),
    )


def cases(short: bool) -> list[Case]:
    if short:
        return [_case(10, raw, 5000) for raw in (False, True)]
    own = [_case(number, raw=False, deliveries=DELIVERIES) for number in NUMBERS]
    return [*own, _case(200, raw=True, deliveries=DELIVERIES)]


ROLES = {
    "fan_pub": Role(_fan_pub_blocking, _fan_pub, told=True),
    "fan_sub": Role(_fan_sub_blocking, _fan_sub),
}
