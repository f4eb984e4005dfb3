"""One ROUTER that serves many REQ clients.

The clients are one raw program in C (``raw_req``) for every peer, so that the server is what is
measured: it has one request of each client outstanding at any time.
"""

from __future__ import annotations

from dataclasses import replace

from .. import build
from ..contract import AwaitingPeer, BlockingPeer, Case, Measured, Peer, Role
from ..job import Job
from ..process import PATIENCE, Child, play
from ..speak import UnsupportedError, say

NUMBERS = (1, 10, 100, 500)


def _router_blocking(peer: BlockingPeer, job: Job) -> None:
    with peer.open("ROUTER", bind=job.endpoint) as router:
        say("ready", endpoint=peer.endpoint(router))
        recv, send = router.recv_multipart, router.send_multipart
        while True:
            send(recv())


async def _router(peer: AwaitingPeer, job: Job) -> None:
    async with peer.open("ROUTER", bind=job.endpoint) as router:
        say("ready", endpoint=peer.endpoint(router))
        recv, send = router.recv_multipart, router.send_multipart
        while True:
            await send(await recv())


def raw_client(program: str, peer: Peer, job: Job) -> Child:
    """Start one of the raw clients.

    Raises:
        UnsupportedError: the peer does not speak ZMTP.
    """
    if not peer.speaks_zmtp:
        raise UnsupportedError("has another protocol on the wire than the raw client")
    return Child([str(build.program(program)), *job.words()], {}, "raw client")


def measure(peer: Peer, job: Job) -> Measured:
    """One run; the value is replies a second, all clients together."""
    with play(peer, "router", job) as server:
        where = server.expect("ready")["endpoint"]
        with raw_client("raw_req", peer, replace(job, endpoint=where)) as clients:
            facts = clients.expect("result", PATIENCE + job.seconds)
            clients.tell()
    return Measured(facts["rate"], {"count": facts["count"]})


def _case(number: int) -> Case:
    return Case(
        name=f"fan_in/{number}",
        title=f"ROUTER serving {number} REQ, tcp, 64 B",
        unit="replies/s",
        better="more",
        job=Job(size=64, peers=number),
        measure=measure,
        not_peers=(),
    )


def cases(short: bool) -> list[Case]:
    return [_case(20)] if short else [_case(number) for number in NUMBERS]


ROLES = {"router": Role(_router_blocking, _router)}
