"""REQ and REP between two processes: ``local_lat`` replies, ``remote_lat`` asks and measures."""

from __future__ import annotations

from dataclasses import replace

from ..contract import AwaitingPeer, BlockingPeer, Case, Measured, Peer, Role
from ..job import Job
from ..latencies import Latencies
from ..process import PATIENCE, place, play
from ..speak import say, wait_told


def _local_lat_blocking(peer: BlockingPeer, job: Job) -> None:
    with peer.open("REP", bind=job.endpoint) as rep:
        say("ready", endpoint=peer.endpoint(rep))
        recv, send = rep.recv, rep.send
        while True:
            send(recv())


async def _local_lat(peer: AwaitingPeer, job: Job) -> None:
    async with peer.open("REP", bind=job.endpoint) as rep:
        say("ready", endpoint=peer.endpoint(rep))
        recv, send = rep.recv, rep.send
        while True:
            await send(await recv())


def _remote_lat_blocking(peer: BlockingPeer, job: Job) -> None:
    with peer.open("REQ", connect=job.endpoint) as req:
        latencies, send, recv = Latencies(job), req.send, req.recv
        for request in latencies:
            send(request)
            latencies.replied(recv())
        say("result", **latencies.facts())
        wait_told()


async def _remote_lat(peer: AwaitingPeer, job: Job) -> None:
    async with peer.open("REQ", connect=job.endpoint) as req:
        latencies, send, recv = Latencies(job), req.send, req.recv
        for request in latencies:
            await send(request)
            latencies.replied(await recv())
        say("result", **latencies.facts())
        await peer.in_thread(wait_told)


def measure(peer: Peer, job: Job) -> Measured:
    """One run; the value is the median round trip in microseconds."""
    with (
        place(job.endpoint) as endpoint,
        play(peer, "local_lat", replace(job, endpoint=endpoint)) as server,
    ):
        where = server.expect("ready")["endpoint"]
        with play(peer, "remote_lat", replace(job, endpoint=where)) as client:
            facts = client.expect("result", PATIENCE + job.seconds)
            client.tell()
    more = {key: value for key, value in facts.items() if key != "event"}
    return Measured(facts["p50"], more)


def _case(transport: str) -> Case:
    return Case(
        name=f"lat/{transport}",
        title=f"REQ/REP round trip, {transport}, 64 B, median",
        unit="us",
        better="less",
        job=Job(endpoint=transport, size=64),
        measure=measure,
        not_peers=(),
    )


def cases(short: bool) -> list[Case]:
    return [_case("tcp")] if short else [_case("tcp"), _case("ipc")]


ROLES = {
    "local_lat": Role(_local_lat_blocking, _local_lat),
    "remote_lat": Role(_remote_lat_blocking, _remote_lat),
}
