"""Many idle connections to one ROUTER: what each costs in memory, and that each is served.

The raw client opens them, waits while the server's memory is read, and then sends one request on
each, which all have to be replied to.
"""

from __future__ import annotations

import resource
import time
from dataclasses import replace

from ..contract import Case, Measured, Peer, grouped
from ..job import Job
from ..process import PATIENCE, BrokenPeer, play
from .fan_in import raw_client

_SPARE = 200
"""File descriptors that a process needs besides its connections."""


def raise_limit(wanted: int) -> None:
    """Allow this process and its children so many file descriptors.

    Raises:
        BrokenPeer: the system does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BrokenPeer(f"the system allows {hard} file descriptors and {wanted} are needed")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def measure(peer: Peer, job: Job) -> Measured:
    """One run; the value is resident bytes a connection."""
    raise_limit(job.peers + _SPARE)
    with play(peer, "router", job) as server:
        where = server.expect("ready")["endpoint"]
        before = server.resident()
        start = time.perf_counter()
        with raw_client("raw_idle", peer, replace(job, endpoint=where)) as clients:
            clients.expect("ready", 4 * PATIENCE)
            accepted = time.perf_counter() - start
            time.sleep(0.2)  # what the handshakes left to be freed
            after = server.resident()
            clients.tell()
            facts = clients.expect("result", 4 * PATIENCE)
            clients.tell()
    if facts["served"] != job.peers:
        raise BrokenPeer(f"served {facts['served']} of {job.peers} connections")
    more = {"accepted in": round(accepted, 3), "served in": round(facts["seconds"], 3)}
    return Measured((after - before) / job.peers, more)


def cases(short: bool) -> list[Case]:
    number = 200 if short else 10_000
    return [
        Case(
            name=f"idle/{number}",
            title=f"{grouped(number)} idle connections: resident memory for each",
            unit="bytes",
            better="less",
            job=Job(size=64, peers=number),
            measure=measure,
            rounds=2,
        )
    ]
