"""The AMQP gateway beside what else carries messages to and from RabbitMQ.

The broker is the same for all, and so are the queues in it. The ØMQ ends are the fastest there are,
so that the gateway is what is measured: ``remote_thr``, ``local_thr`` and ``remote_lat``, all ours.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace

from .. import amqp
from ..contract import Case, Measured, Peer, Role
from ..job import Job
from ..process import PATIENCE, place, play
from ..speak import UnsupportedError
from .device import ends

SIZE = 100
_CHUNK = 250
_OURS = ("hypersocket-pure", "hypersocket-compiled")
_RATE = 25_000
"""Messages a second that queues are filled for; a faster peer is done sooner."""

_FOREVER = 3600.0

_LONGER = 3
"""How often a run is made longer before it is called broken."""


def _counted(job: Job) -> Job:
    """So many messages as to take about the time that is asked for, and one that ends them."""
    chunks = max(10, int(_RATE * job.seconds) // job.chunk)
    return replace(job, count=chunks * job.chunk + 1)


# --- out and in: throughput ------------------------------------------------------------


def _out(peer: Peer, job: Job, kind: str) -> Measured:
    """A run, and a longer one where all came at once: the machine stood still, or it is short."""
    for _ in range(_LONGER):
        try:
            return _out_once(peer, job, kind)
        except amqp.TooFew:
            job = replace(job, seconds=4 * job.seconds)
    return _out_once(peer, job, kind)


def _out_once(peer: Peer, job: Job, kind: str) -> Measured:
    job = _counted(job)
    with amqp.broker(persistent=kind == "_persistent") as broker:
        if peer.name == "shovel":
            broker.fill(job)
            broker.shovel(marked=kind == "_marked")
            rate = broker.rate_into(amqp.TARGET, job)
        elif peer.name not in _OURS:
            with play(peer, "amqp_publisher" + kind, replace(job, broker=broker.url)) as publisher:
                publisher.expect("ready")
                rate = broker.rate_into(amqp.TARGET, job)
                publisher.tell()
        else:
            with _gateway(peer, "gateway_out" + kind, job, broker) as where:
                sent = replace(job, endpoint=where, seconds=_FOREVER)
                with play(ends(), "remote_thr", sent):
                    rate = broker.rate_into(amqp.TARGET, job)
        # The last message of those that the shovel carried is of another kind.
        broker.check(amqp.TARGET, replace(job, count=job.count - 1))
    return Measured(rate, {"count": job.count})


def measure_out(peer: Peer, job: Job) -> Measured:
    """One run; the value is messages a second that come to the queue, as the broker counts them."""
    return _out(peer, job, "")


def measure_out_persistent(peer: Peer, job: Job) -> Measured:
    """The same with messages that the broker writes to its disk."""
    return _out(peer, job, "_persistent")


def measure_out_marked(peer: Peer, job: Job) -> Measured:
    """The same with a header in each message that says who has carried it."""
    return _out(peer, job, "_marked")


def _in(peer: Peer, job: Job, gateway: str, consumer: str) -> Measured:
    job = _counted(job)
    with amqp.broker() as broker:
        broker.fill(job)
        if peer.name in _OURS:
            with (
                place("tcp") as endpoint,
                play(ends(), "local_thr", replace(job, endpoint=endpoint)) as receiver,
                play(peer, gateway, _told(job, broker, receiver.expect("ready")["endpoint"])),
            ):
                facts = receiver.expect("result", PATIENCE + job.seconds)
        else:
            with play(peer, consumer, replace(job, broker=broker.url)) as process:
                facts = process.expect("result", PATIENCE + job.seconds)
                process.tell()
    return Measured(facts["rate"], {"count": facts["count"]})


def measure_in(peer: Peer, job: Job) -> Measured:
    """One run; the value is messages a second at the receiver."""
    return _in(peer, job, "gateway_in", "amqp_consumer")


def measure_in_10(peer: Peer, job: Job) -> Measured:
    """The same over AMQP 1.0."""
    return _in(peer, job, "gateway_in_10", "amqp10_consumer")


# --- call: latency ---------------------------------------------------------------------


def measure_call(peer: Peer, job: Job) -> Measured:
    """One run; the value is the median round trip in microseconds."""
    from ..peers import BY_NAME

    with amqp.broker() as broker:
        told = replace(job, broker=broker.url)
        with play(BY_NAME["bare-amqp"], "amqp_service", told) as service:
            service.expect("ready")
            if peer.name in (*_OURS, "bare-relay"):
                with (
                    _gateway(peer, "gateway_call", job, broker) as where,
                    play(ends(), "remote_lat", replace(job, endpoint=where)) as client,
                ):
                    facts = client.expect("result", PATIENCE + job.seconds)
                    client.tell()
            else:
                with play(peer, "amqp_caller", told) as client:
                    facts = client.expect("result", PATIENCE + job.seconds)
                    client.tell()
    more = {key: value for key, value in facts.items() if key != "event"}
    return Measured(facts["p50"], more)


def _told(job: Job, broker: amqp.Broker, endpoint: str) -> Job:
    return replace(job, endpoint=endpoint, broker=broker.url)


@contextmanager
def _gateway(peer: Peer, role: str, job: Job, broker: amqp.Broker) -> Generator[str]:
    """A gateway of the peer's; gives where its socket is."""
    with play(peer, role, _told(job, broker, "tcp://127.0.0.1:*")) as process:
        yield process.expect("ready")["endpoint"]


def _role(name: str) -> Role:
    def blocking(peer: object, job: Job) -> None:  # noqa: ARG001 - the contract's
        raise UnsupportedError("has no gateway")

    async def awaiting(peer: object, job: Job) -> None:
        from ..peers.ours import Ours

        if not isinstance(peer, Ours):
            raise UnsupportedError("has no gateway")
        await peer.gateway(name, job)

    return Role(blocking, awaiting)


_OUT = "PUSH to a RabbitMQ queue, on-confirm, 100 B"


def _stream(name: str, title: str, measure: Callable[[Peer, Job], Measured], *beside: str) -> Case:
    return Case(
        name=f"gateway/{name}",
        title=title,
        unit="messages/s",
        better="more",
        job=Job(endpoint="tcp", size=SIZE, chunk=_CHUNK, batch=_CHUNK),
        measure=measure,
        peers=(*_OURS, *beside),
    )


def cases(short: bool) -> list[Case]:
    both = ("shovel", "bare-amqp")
    title = f"{_OUT}; the shovel from queue to queue; frames packed before"
    out = _stream("out", title, measure_out, *both)
    title = f"{_OUT}, persistent; the shovel from queue to queue; frames packed before"
    persistent = _stream("out/persistent", title, measure_out_persistent, *both)
    title = f"{_OUT}, marked in a header; the shovel from queue to queue"
    marked = _stream("out/marked", title, measure_out_marked, "shovel")
    title = "RabbitMQ queue to PULL, ack on sent, 100 B; pika's loop over a consumer"
    into = _stream("in", title, measure_in, "pika")
    title = "RabbitMQ queue to PULL over AMQP 1.0, ack on sent, 100 B; proton's Container"
    into_10 = _stream("in-1.0", title, measure_in_10, "proton")
    call = Case(
        name="gateway/call",
        title="REQ to an AMQP service and back, 100 B, median; AMQP clients that ask it themselves",
        unit="us",
        better="less",
        job=Job(endpoint="tcp", size=SIZE),
        measure=measure_call,
        peers=(*_OURS, "pika", "bare-amqp", "bare-relay"),
    )
    streams = [out, into, into_10] if short else [out, persistent, marked, into, into_10]
    return [*streams, call]


ROLES = {
    **{name: _role(name) for name in ("gateway_out", "gateway_out_persistent")},
    **{name: _role(name) for name in ("gateway_out_marked", "gateway_call")},
    **{name: _role(name) for name in ("gateway_in", "gateway_in_10")},
    # Those of the peers that speak AMQP have what these do.
    **{name: _role(name) for name in ("amqp_consumer", "amqp10_consumer")},
    **{name: _role(name) for name in ("amqp_caller", "amqp_service")},
    **{name: _role(name) for name in ("amqp_publisher", "amqp_publisher_persistent")},
}
