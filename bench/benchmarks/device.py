"""A device between two others: a streamer's throughput, and a queue's round trip.

The ends are the same for every peer, and the fastest there are, so that the device is what is
measured: ``remote_thr`` to ``local_thr`` in batches, ``remote_lat`` to ``local_lat``, all ours.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from ..contract import AwaitingPeer, BlockingPeer, Case, Measured, Peer, Role
from ..job import Job
from ..process import PATIENCE, Child, place, play
from ..speak import say
from .throughput import BATCH, shown

PEERS = ("hypersocket-pure", "hypersocket-compiled", "pyzmq")
SIZES = (64, 1024)

_SIDES = {"streamer": ("PULL", "PUSH"), "queue": ("ROUTER", "DEALER")}


def _blocking(kind: str, peer: BlockingPeer, job: Job) -> None:
    front, back = _SIDES[kind]
    with (
        peer.open(back, connect=job.endpoint) as backend,
        peer.open(front, bind="tcp://127.0.0.1:*") as frontend,
    ):
        say("ready", endpoint=peer.endpoint(frontend))
        peer.forward(kind, frontend, backend)


async def _awaiting(kind: str, peer: AwaitingPeer, job: Job) -> None:
    front, back = _SIDES[kind]
    async with (
        peer.open(back, connect=job.endpoint) as backend,
        peer.open(front, bind="tcp://127.0.0.1:*") as frontend,
    ):
        say("ready", endpoint=peer.endpoint(frontend))
        await peer.forward(kind, frontend, backend)


def _streamer_blocking(peer: BlockingPeer, job: Job) -> None:
    _blocking("streamer", peer, job)


async def _streamer(peer: AwaitingPeer, job: Job) -> None:
    await _awaiting("streamer", peer, job)


def _queue_blocking(peer: BlockingPeer, job: Job) -> None:
    _blocking("queue", peer, job)


async def _queue(peer: AwaitingPeer, job: Job) -> None:
    await _awaiting("queue", peer, job)


def ends() -> Peer:
    """Ours, compiled where that is built."""
    from ..peers import BY_NAME

    compiled = BY_NAME["hypersocket-compiled"]
    return compiled if compiled.missing() is None else BY_NAME["hypersocket-pure"]


@contextmanager
def _through(
    kind: str, peer: Peer, job: Job, local: str, remote: str
) -> Generator[tuple[Child, Child]]:
    """The two ends, with the peer's device between them."""
    fastest = ends()
    with (
        place(job.endpoint) as endpoint,
        play(fastest, local, replace(job, endpoint=endpoint)) as near,
        play(peer, kind, replace(job, endpoint=near.expect("ready")["endpoint"])) as device,
    ):
        where = device.expect("ready")["endpoint"]
        with play(fastest, remote, replace(job, endpoint=where)) as far:
            yield near, far


def measure_streamer(peer: Peer, job: Job) -> Measured:
    """One run; the value is messages a second at the receiver."""
    with _through("streamer", peer, job, "local_thr", "remote_thr") as (receiver, sender):
        facts = receiver.expect("result", PATIENCE + job.seconds)
        sender.tell()
    megabytes = facts["rate"] * job.size / 1e6
    return Measured(facts["rate"], {"count": facts["count"], "MB/s": round(megabytes, 1)})


def measure_queue(peer: Peer, job: Job) -> Measured:
    """One run; the value is the median round trip in microseconds."""
    with _through("queue", peer, job, "local_lat", "remote_lat") as (_, client):
        facts = client.expect("result", PATIENCE + job.seconds)
        client.tell()
    more = {key: value for key, value in facts.items() if key != "event"}
    return Measured(facts["p50"], more)


def _streamer_case(size: int) -> Case:
    return Case(
        name=f"device/streamer/{size}",
        title=f"PUSH to PULL through a streamer, tcp, {shown(size)}; `zmq.proxy` beside it",
        unit="messages/s",
        better="more",
        job=Job(endpoint="tcp", size=size, chunk=BATCH, batch=BATCH),
        measure=measure_streamer,
        peers=PEERS,
    )


def cases(short: bool) -> list[Case]:
    queue = Case(
        name="device/queue",
        title="REQ/REP round trip through a queue, tcp, 64 B, median; `zmq.proxy` beside it",
        unit="us",
        better="less",
        job=Job(endpoint="tcp", size=64),
        measure=measure_queue,
        peers=PEERS,
    )
    return [*(_streamer_case(size) for size in (SIZES[:1] if short else SIZES)), queue]


ROLES = {
    "streamer": Role(_streamer_blocking, _streamer),
    "queue": Role(_queue_blocking, _queue),
}
