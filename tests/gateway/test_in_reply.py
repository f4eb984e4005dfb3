"""In, with workers that answer."""

from __future__ import annotations

import pytest
import trio
import zmq
from trio.testing import MockClock

import hypersocket as hs
from hypersocket.amqp import Queue
from hypersocket.devices.amqp_gateway._spec import DeadLetters, RouteSpec

from ..brokers.rabbitmq import RabbitMQ
from .worlds import amqp, at, depth, gateway, running, until, where

Q = Queue(name="q", durable=False)


def work(**changes: object) -> RouteSpec:
    given: dict[str, object] = {"queue": "q", "ack": "reply", **changes}
    return RouteSpec(name="in", kind="in", socket=at("DEALER"), **given)  # type: ignore[arg-type]


async def test_an_answer_settles_a_job(rabbitmq: RabbitMQ) -> None:
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, work(), declare=[Q])) as gw:
        await peer.put("q", b"1", b"2")
        async with hs.Rep(connect=where(gw, "in")) as rep:
            assert await rep.recv() == b"1"
            await until(lambda: gw.stats().routes[0].pending == 2)
            await rep.send(b"done")
            assert await rep.recv() == b"2"
            assert gw.stats().routes[0].confirmed == 1
            await rep.send(b"")
            await until(lambda: gw.stats().routes[0].confirmed == 2)
        assert await depth(rabbitmq, "q") == (0, 0)


async def test_an_answer_may_reject_or_requeue(rabbitmq: RabbitMQ) -> None:
    route = work(dead_letters=DeadLetters(exchange="", routing_key="dead"), prefetch=1)
    declare = (Q, Queue(name="dead", durable=False))
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route, declare=declare)) as gw:
        await peer.put("q", b"job")
        async with hs.Rep(connect=where(gw, "in")) as rep:
            await rep.recv()
            await rep.send(b"requeue")
            assert await rep.recv() == b"job"
            await rep.send_multipart([b"reject", b"I cannot do this"])
            [dead] = await peer.take("dead", 1)
            await until(lambda: not gw.stats().routes[0].pending)
        assert await depth(rabbitmq, "q") == (0, 0)
    assert dead.properties.headers["x-hypersocket-reason-text"] == "I cannot do this"
    stats = gw.stats().routes[0]
    assert (stats.requeued, stats.rejected, stats.dead_lettered, stats.redelivered) == (1, 1, 1, 1)
    assert (stats.received, stats.forwarded, stats.confirmed) == (2, 2, 0)


async def test_the_job_of_a_worker_that_goes_is_done_by_another(rabbitmq: RabbitMQ) -> None:
    route = work(timeout=None)
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route, declare=[Q])) as gw:
        await peer.put("q", b"job")
        async with hs.Rep(connect=where(gw, "in")) as first:
            assert await first.recv() == b"job"
            with zmq.Context() as context, context.socket(zmq.REP) as second:
                second.connect(where(gw, "in"))
                await until(lambda: len(gw.sockets["in"].stats().peers) == 2)
                await first.aclose()
                got = await trio.to_thread.run_sync(second.recv)
                assert got == b"job"
                second.send(b"done")
                await until(lambda: gw.stats().routes[0].confirmed == 1)
    stats = gw.stats().routes[0]
    assert (stats.requeued, stats.redelivered, stats.confirmed) == (1, 1, 1)


async def test_a_worker_that_is_too_slow_loses_its_job(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture, jumping_clock: MockClock
) -> None:
    route = work(timeout=20)
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, route, declare=[Q])) as gw:
        await peer.put("q", b"job")
        async with (
            hs.Rep(connect=where(gw, "in")) as slow,
            hs.Rep(connect=where(gw, "in")) as other,
        ):
            got: list[tuple[hs.Rep, bytes]] = []

            async def take(rep: hs.Rep) -> None:
                got.append((rep, await rep.recv()))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(take, slow)
                nursery.start_soon(take, other)
                await until(lambda: len(got) == 1)
                jumping_clock.jump(20)
            first, second = got[0][0], got[1][0]
            await second.send(b"done")
            await until(lambda: gw.stats().routes[0].confirmed == 1)
            await until(lambda: gw.stats().routes[0].overdue == 1)
            assert "has not answered within 20 s" in caplog.text
            await first.send(b"too late")
            await until(lambda: gw.stats().routes[0].late >= 1)
            await until(lambda: gw.stats().routes[0].overdue == 0)
            await peer.put("q", b"next")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(take, slow)
                nursery.start_soon(take, other)
                await until(lambda: len(got) > 2)
                nursery.cancel_scope.cancel()
            assert got[2][1] == b"next"
    assert gw.stats().routes[0].expired >= 1


async def test_slow_workers_are_not_fed(rabbitmq: RabbitMQ) -> None:
    """Each has one job; the others wait for whoever is free."""
    async with (
        amqp(rabbitmq) as peer,
        running(gateway(rabbitmq, work(), declare=[Q])) as gw,
        hs.Rep(connect=where(gw, "in")) as slow,
    ):
        await peer.put("q", b"long")
        assert await slow.recv() == b"long"
        async with hs.Rep(connect=where(gw, "in")) as quick:
            await peer.put("q", *[b"%d" % n for n in range(50)])
            done: list[bytes] = []
            while len(done) < 50:
                done.append(await quick.recv())
                await quick.send(b"")
        assert sorted(map(int, done)) == list(range(50))
        await slow.send(b"")
        await until(lambda: gw.stats().routes[0].confirmed == 51)


async def test_with_no_worker_there_the_broker_keeps_the_jobs(rabbitmq: RabbitMQ) -> None:
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, work(), declare=[Q])) as gw:
        await peer.put("q", b"1", b"2")
        async with hs.Rep(connect=where(gw, "in")) as rep:
            await rep.recv()
        while await depth(rabbitmq, "q") != (2, 0):
            pass
        stats = gw.stats().routes[0]
        assert stats.pending == 0
        assert stats.received == stats.requeued


async def test_a_stop_waits_for_answers_and_gives_back_the_rest(rabbitmq: RabbitMQ) -> None:
    async with amqp(rabbitmq) as peer, running(gateway(rabbitmq, work(), declare=[Q])) as gw:
        await peer.put("q", b"1", b"2", b"3")
        async with hs.Rep(connect=where(gw, "in")) as rep:
            await rep.recv()
            await until(lambda: gw.stats().routes[0].pending == 3)
            gw.stop_soon()
            await until(lambda: gw.stats().routes[0].pending == 1)
            assert gw.state == "stopping"
            await rep.send(b"done")
            result = await gw.stop()
        assert await depth(rabbitmq, "q") == (2, 0)
    [stats] = result.stats.routes
    assert (stats.confirmed, stats.requeued) == (1, 2)
    assert result.complete


async def test_a_stop_does_not_wait_for_ever(rabbitmq: RabbitMQ) -> None:
    made = gateway(rabbitmq, work(), declare=[Q], linger=0.2)
    async with amqp(rabbitmq) as peer, running(made) as gw:
        await peer.put("q", b"1")
        async with hs.Rep(connect=where(gw, "in")) as rep:
            await rep.recv()
            result = await gw.stop()
        while await depth(rabbitmq, "q") != (1, 0):
            pass
    assert result.returned == {"in": 1}
