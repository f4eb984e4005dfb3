"""Time to connect: a new REQ, one request, its reply, and closed; against one REP."""

from __future__ import annotations

import time
from dataclasses import replace

from .. import stamp
from ..contract import AwaitingPeer, BlockingPeer, Case, Measured, Peer, Role
from ..job import Job
from ..latencies import summary
from ..process import PATIENCE, place, play
from ..speak import WrongMessage, say

MOST = 500
"""Connections in a run: a closed one keeps its port for a minute."""


def _remote_connect_blocking(peer: BlockingPeer, job: Job) -> None:
    samples: list[float] = []
    request, deadline = stamp.stamped(stamp.RUN, 0, job.size), time.perf_counter() + job.seconds
    while len(samples) < MOST and (time.perf_counter() < deadline or len(samples) < 3):
        start = time.perf_counter()
        with peer.open("REQ", connect=job.endpoint) as req:
            req.send(request)
            reply = req.recv()
            samples.append(1e6 * (time.perf_counter() - start))
        if reply != request:
            raise WrongMessage("a reply is not that to the request")
    say("result", **summary(samples[1:]))


async def _remote_connect(peer: AwaitingPeer, job: Job) -> None:
    samples: list[float] = []
    request, deadline = stamp.stamped(stamp.RUN, 0, job.size), time.perf_counter() + job.seconds
    while len(samples) < MOST and (time.perf_counter() < deadline or len(samples) < 3):
        start = time.perf_counter()
        async with peer.open("REQ", connect=job.endpoint) as req:
            await req.send(request)
            reply = await req.recv()
            samples.append(1e6 * (time.perf_counter() - start))
        if reply != request:
            raise WrongMessage("a reply is not that to the request")
    say("result", **summary(samples[1:]))


def measure(peer: Peer, job: Job) -> Measured:
    """One run; the value is the median in microseconds, from opening to the reply."""
    with (
        place(job.endpoint) as endpoint,
        play(peer, "local_lat", replace(job, endpoint=endpoint)) as server,
    ):
        where = server.expect("ready")["endpoint"]
        with play(peer, "remote_connect", replace(job, endpoint=where)) as client:
            facts = client.expect("result", PATIENCE + job.seconds)
    return Measured(facts["p50"], {"samples": facts["samples"], "p99": facts["p99"]})


def cases(short: bool) -> list[Case]:  # noqa: ARG001 - the same both ways
    return [
        Case(
            name="connect",
            title="time to connect: from a new REQ to its first reply, tcp, median",
            unit="us",
            better="less",
            job=Job(endpoint="tcp", size=64),
            measure=measure,
        )
    ]


ROLES = {"remote_connect": Role(_remote_connect_blocking, _remote_connect)}
