"""PUSH to PULL between two processes: ``local_thr`` receives, ``remote_thr`` sends.

The sender goes on for a given time. Every chunk begins with a message that carries its number,
which the receiver expects exactly there; it measures from one such message to the last.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from .. import stamp
from ..contract import AwaitingPeer, BlockingPeer, Case, Measured, Peer, Role
from ..job import Job
from ..process import PATIENCE, place, play
from ..speak import WrongMessage, say, wait_told

SIZES = (64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576)
BATCH = 500
_CHUNK_BYTES = 4_194_304


class Meter:
    """What the receiver knows between two stamps."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.received = 0
        self._start = self._start_number = 0.0

    def stamped(self, message: bytes) -> bool:
        """Look at the message that begins a chunk. True if it is the last."""
        kind = stamp.check(message, self.received, self._size)
        if kind == stamp.START:
            self._start, self._start_number = time.perf_counter(), self.received
        elif kind == stamp.END:
            self._tell(time.perf_counter())
            return True
        return False

    def _tell(self, now: float) -> None:
        count, seconds = self.received - self._start_number, now - self._start
        say("result", count=count, seconds=seconds, rate=count / seconds)


class Pace:
    """Which kind of chunk the sender sends next, by the clock."""

    def __init__(self, job: Job) -> None:
        self._start = time.perf_counter() + job.warmup
        self._end = self._start + job.seconds
        self._started = False

    def kind(self) -> int:
        """Ask once for each chunk."""
        now = time.perf_counter()
        if now < self._start:
            return stamp.RUN
        if not self._started:
            self._started = True
            return stamp.START
        return stamp.END if now >= self._end else stamp.RUN


def local_thr(peer: BlockingPeer, job: Job) -> None:
    with peer.open("PULL", bind=job.endpoint) as pull:
        say("ready", endpoint=peer.endpoint(pull))
        meter, recv, rest = Meter(job.size), pull.recv, range(job.chunk - 1)
        while not meter.stamped(recv()):
            for _ in rest:
                recv()
            meter.received += job.chunk


def remote_thr(peer: BlockingPeer, job: Job) -> None:
    with peer.open("PUSH", connect=job.endpoint) as push:
        pace, number, send, rest = Pace(job), 0, push.send, range(job.chunk - 1)
        message, kind = stamp.plain(job.size), stamp.RUN
        while kind != stamp.END:
            kind = pace.kind()
            send(stamp.stamped(kind, number, job.size))
            if kind != stamp.END:
                for _ in rest:
                    send(message)
                number += job.chunk
        wait_told()


async def _local_thr(peer: AwaitingPeer, job: Job) -> None:
    async with peer.open("PULL", bind=job.endpoint) as pull:
        say("ready", endpoint=peer.endpoint(pull))
        if job.batch and peer.batches:
            await _receive_batches(pull.recv_many, job)
            return
        meter, recv, rest = Meter(job.size), pull.recv, range(job.chunk - 1)
        while not meter.stamped(await recv()):
            for _ in rest:
                await recv()
            meter.received += job.chunk


async def _receive_batches(recv_many: Callable[[], Awaitable[list[bytes]]], job: Job) -> None:
    meter, to_stamp, seen = Meter(job.size), 0, 0
    while True:
        messages = await recv_many()
        while to_stamp < len(messages):
            meter.received = seen + to_stamp
            if meter.stamped(messages[to_stamp]):
                if to_stamp != len(messages) - 1:
                    raise WrongMessage("messages came after the last")
                return
            to_stamp += job.chunk
        to_stamp -= len(messages)
        seen += len(messages)


async def _remote_thr(peer: AwaitingPeer, job: Job) -> None:
    async with peer.open("PUSH", connect=job.endpoint) as push:
        pace, number, kind = Pace(job), 0, stamp.RUN
        send, rest, message = push.send, range(job.chunk - 1), stamp.plain(job.size)
        batches = bool(job.batch and peer.batches)
        others = [message] * (job.chunk - 1)
        while kind != stamp.END:
            kind = pace.kind()
            first = stamp.stamped(kind, number, job.size)
            if kind == stamp.END:
                await send(first)
            elif batches:
                await push.send_many([first, *others])
            else:
                await send(first)
                for _ in rest:
                    await send(message)
            number += job.chunk
        await peer.in_thread(wait_told)


def measure(peer: Peer, job: Job) -> Measured:
    """One run; the value is messages a second at the receiver."""
    with (
        place(job.endpoint) as endpoint,
        play(peer, "local_thr", replace(job, endpoint=endpoint)) as receiver,
    ):
        where = receiver.expect("ready")["endpoint"]
        with play(peer, "remote_thr", replace(job, endpoint=where)) as sender:
            facts = receiver.expect("result", PATIENCE + job.seconds)
            sender.tell()
    megabytes = facts["rate"] * job.size / 1e6
    return Measured(facts["rate"], {"count": facts["count"], "MB/s": round(megabytes, 1)})


def _case(transport: str, size: int, batch: int = 0, bare: bool = False) -> Case:
    chunk = batch or max(1, min(64, _CHUNK_BYTES // size))
    job = Job(endpoint=transport, size=size, chunk=chunk, batch=batch)
    name = f"thr/{transport}/{size}" + ("/batch" if batch else "")
    how = f"batches of {batch} where there are batches" if batch else "one call a message"
    return Case(
        name=name,
        title=f"PUSH to PULL, {transport}, {shown(size)}, {how}",
        unit="messages/s",
        better="more",
        job=job,
        measure=measure,
        not_peers=() if bare else ("bare",),
    )


def shown(size: int) -> str:
    """A size for people."""
    for unit, shift in (("MiB", 20), ("KiB", 10)):
        if size >= 1 << shift:
            return f"{size >> shift} {unit}"
    return f"{size} B"


def cases(short: bool) -> list[Case]:
    if short:
        return [_case("tcp", 64), _case("tcp", 64, BATCH), _case("tcp", 65_536, bare=True)]
    return [
        *(_case("tcp", size, bare=size >= 65_536) for size in SIZES),
        _case("tcp", 64, BATCH),
        _case("ipc", 64),
    ]


ROLES = {
    "local_thr": Role(local_thr, _local_thr),
    "remote_thr": Role(remote_thr, _remote_thr),
}
