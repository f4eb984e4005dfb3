"""Within one process: ``inproc_thr`` and ``inproc_lat``.

Two tasks where calls are awaited, two threads where they block: each peer's own way.
"""

from __future__ import annotations

import os
import threading
from functools import partial

from .. import stamp
from ..contract import AwaitingPeer, BlockingPeer, Case, Handle, Measured, Peer, Role
from ..job import Job
from ..latencies import Latencies
from ..process import PATIENCE, play
from ..speak import say
from .throughput import Meter, Pace

ENDPOINT = "inproc://bench"


def _thr_blocking(peer: BlockingPeer, job: Job) -> None:
    with peer.open("PULL", bind=ENDPOINT) as pull:
        sender = threading.Thread(target=_send_blocking, args=(peer, job), daemon=True)
        sender.start()
        meter, recv, rest = Meter(job.size), pull.recv, range(job.chunk - 1)
        while not meter.stamped(recv()):
            for _ in rest:
                recv()
            meter.received += job.chunk
        sender.join()


def _send_blocking(peer: BlockingPeer, job: Job) -> None:
    with peer.open("PUSH", connect=ENDPOINT) as push:
        pace, number, send, rest = Pace(job), 0, push.send, range(job.chunk - 1)
        message, kind = stamp.plain(job.size), stamp.RUN
        while kind != stamp.END:
            kind = pace.kind()
            send(stamp.stamped(kind, number, job.size))
            if kind != stamp.END:
                for _ in rest:
                    send(message)
                number += job.chunk


async def _thr(peer: AwaitingPeer, job: Job) -> None:
    async with peer.open("PULL", bind=ENDPOINT) as pull:
        await peer.together(partial(_receive, pull, job), partial(_send, peer, job))


async def _receive(pull: Handle, job: Job) -> None:
    recv = pull.recv
    meter, rest = Meter(job.size), range(job.chunk - 1)
    while not meter.stamped(await recv()):
        for _ in rest:
            await recv()
        meter.received += job.chunk


async def _send(peer: AwaitingPeer, job: Job) -> None:
    async with peer.open("PUSH", connect=ENDPOINT) as push:
        pace, number, send, rest = Pace(job), 0, push.send, range(job.chunk - 1)
        message, kind = stamp.plain(job.size), stamp.RUN
        while kind != stamp.END:
            kind = pace.kind()
            await send(stamp.stamped(kind, number, job.size))
            if kind != stamp.END:
                for _ in rest:
                    await send(message)
                number += job.chunk


def _lat_blocking(peer: BlockingPeer, job: Job) -> None:
    with peer.open("REQ", bind=ENDPOINT) as req:
        connected = threading.Event()
        threading.Thread(target=_reply_blocking, args=(peer, connected), daemon=True).start()
        connected.wait()
        latencies, send, recv = Latencies(job), req.send, req.recv
        for request in latencies:
            send(request)
            latencies.replied(recv())
        say("result", **latencies.facts())
        os._exit(0)  # the other thread waits for a request, and some would wait for it


def _reply_blocking(peer: BlockingPeer, connected: threading.Event) -> None:
    with peer.open("REP", connect=ENDPOINT) as rep:
        connected.set()
        recv, send = rep.recv, rep.send
        while True:
            send(recv())


async def _lat(peer: AwaitingPeer, job: Job) -> None:
    async with peer.open("REQ", bind=ENDPOINT) as req:
        await peer.together(partial(_ask, req, job), partial(_reply, peer))


async def _ask(req: Handle, job: Job) -> None:
    send, recv = req.send, req.recv
    latencies = Latencies(job)
    for request in latencies:
        await send(request)
        latencies.replied(await recv())
    await send(b"")
    await recv()
    say("result", **latencies.facts())


async def _reply(peer: AwaitingPeer) -> None:
    async with peer.open("REP", connect=ENDPOINT) as rep:
        recv, send = rep.recv, rep.send
        request = b"#"
        while request:
            request = await recv()
            await send(request)


def _measure(role: str, peer: Peer, job: Job) -> Measured:
    with play(peer, role, job) as process:
        facts = process.expect("result", PATIENCE + job.seconds)
    value = facts["rate"] if role == "inproc_thr" else facts["p50"]
    return Measured(value, {key: fact for key, fact in facts.items() if key != "event"})


def cases(short: bool) -> list[Case]:  # noqa: ARG001 - the same both ways
    return [
        Case(
            name="inproc_thr",
            title="PUSH to PULL, inproc, 64 B, one call a message",
            unit="messages/s",
            better="more",
            job=Job(endpoint=ENDPOINT, size=64),
            measure=partial(_measure, "inproc_thr"),
        ),
        Case(
            name="inproc_lat",
            title="REQ/REP round trip, inproc, 64 B, median",
            unit="us",
            better="less",
            job=Job(endpoint=ENDPOINT, size=64),
            measure=partial(_measure, "inproc_lat"),
        ),
    ]


ROLES = {
    "inproc_thr": Role(_thr_blocking, _thr),
    "inproc_lat": Role(_lat_blocking, _lat),
}
