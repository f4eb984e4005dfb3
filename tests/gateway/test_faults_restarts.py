"""Brokers die, gateways are restarted, and no message is lost in either direction."""

from __future__ import annotations

import faulthandler
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pika
import pytest
import trio

import hypersocket as hs

from ..brokers.by_pika import channel
from ..brokers.node import SMALL
from ..brokers.rabbitmq import RabbitMQ, missing
from .processes import PATIENT, GatewayProcess, gateway

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

NUMBER = struct.Struct(">Q92x")  # 100 bytes
PREFETCH = 500
BATCH = 50
JOURNAL = ("-rabbit", "queue_index_max_journal_entries", f"{PREFETCH}")
"""A queue writes down what was acknowledged when there is so much of it: 32,768 by default."""
ANY_PORT = "tcp://127.0.0.1:*"
PATIENCE = 60.0

CONFIG = """
gateway.linger = 60
[broker]
{patient}
url = "{url}"
reconnect_ivl = 0.05
reconnect_ivl_max = 0.2

[routes.out]
kind = "out"
socket = {{ connect = "{source}" }}
queue = "out"
prefetch = {prefetch}

[routes.in]
kind = "in"
socket = {{ connect = "{sink}" }}
queue = "in"
prefetch = {prefetch}
"""


def fill(url: str, count: int) -> None:
    """Declare both queues, durable, and put the numbers into `in`, on the broker's disk."""
    with channel(url) as there:
        for queue in ("in", "out"):
            there.queue_declare(queue, durable=True)
        there.tx_select()
        properties = pika.BasicProperties(delivery_mode=2)
        for number in range(count):
            there.basic_publish("", "in", NUMBER.pack(number), properties)
            if number % 5000 == 0:
                there.tx_commit()
        there.tx_commit()


def drain(url: str, queue: str) -> list[int]:
    """The numbers of all messages in a queue, in their order."""
    found: list[int] = []
    with channel(url) as there:
        waiting = there.queue_declare(queue, passive=True).method.message_count
        if waiting:
            for _, properties, body in there.consume(queue, auto_ack=True):
                assert properties.delivery_mode == 2
                found.append(NUMBER.unpack(body)[0])
                if len(found) == waiting:
                    break
    return found


class Tally:
    """What was sent and what came, and who waits for how much of it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.allowed = 0
        self.sent = 0
        self.kills = 0
        """How often the broker was killed so far."""
        self.first: set[int] = set()
        """Numbers that came."""
        self.again: list[int] = []
        """Numbers that came once more."""
        self.unexplained: list[int] = []
        """Where the numbers went back once more than there had been kills by then. The queue is
        read in order, so a number that comes again is behind such a place: one that is in a life
        of the broker in which it came before, whenever that is noticed here."""
        self._backs = 0
        self._last = -1
        self._changed = trio.lowlevel.ParkingLot()

    async def until(self, holds: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE):
            while not holds():
                await self._changed.park()

    async def until_received(self, count: int) -> None:
        await self.until(lambda: len(self.first) >= count)

    async def until_sent(self, count: int) -> None:
        await self.until(lambda: self.sent == count)

    def allow(self, number: int) -> None:
        """Let the sender go on up to this one."""
        self.allowed = min(self.count, number)
        self._changed.unpark_all()

    async def send(self, push: hs.Push) -> None:
        while self.sent < self.count:
            await self.until(lambda: self.sent < self.allowed)
            batch = range(self.sent, min(self.sent + BATCH, self.allowed))
            await push.send_many([NUMBER.pack(number) for number in batch])
            self.sent = batch.stop
            self._changed.unpark_all()

    async def receive(self, pull: hs.Pull) -> None:
        while True:
            for message in await pull.recv_many():
                self._came(*NUMBER.unpack(message))
            self._changed.unpark_all()

    def _came(self, number: int) -> None:
        if number <= self._last:
            self._backs += 1
            if self._backs > self.kills:
                self.unexplained.append(number)
        self._last = number
        if number in self.first:
            self.again.append(number)
        self.first.add(number)


async def restart(process: GatewayProcess) -> None:
    """Gracefully: it says that nothing is left."""
    assert await process.stop() == 0, process.wrote()
    await process.start()


async def carry(
    broker: RabbitMQ,
    process: GatewayProcess,
    push: hs.Push,
    tally: Tally,
    kills: int,
    restarts: int,
) -> None:
    """Have all messages carried both ways, with faults in between, by progress and not by time."""
    step = tally.count // (kills + 1)
    gentle = {round((n + 1) * kills / (restarts + 1)) for n in range(restarts)}
    await process.start()
    for kill in range(1, kills + 1):
        last = kill * step
        half = last - step // 2
        tally.allow(half)
        if kill in gentle:
            await tally.until_received(half)
            await tally.until_sent(half)
            # What PUSH has not written when its peer goes is none of the gateway's: PUSH drops it,
            # and counts it. What it has written, wherever that is, the gateway is to take.
            with trio.fail_after(PATIENCE):
                assert await push.flush() == 0
            await restart(process)
        await tally.until_received(last)
        # So that there is something on its way out, too.
        tally.allow(last)
        await tally.until_sent(last)
        tally.kills += 1
        await broker.kill()
        await broker.start()
    tally.allow(tally.count)
    await tally.until(lambda: len(tally.first) == tally.sent == tally.count)


async def lose_nothing(path: Path, count: int, kills: int, restarts: int) -> None:
    # Each step has its own limit; all of them together take longer than a test that hangs may.
    faulthandler.cancel_dump_traceback_later()
    tally = Tally(count)
    async with (
        RabbitMQ(path / "broker", plugins=(), erl_args=(*SMALL, *JOURNAL)) as broker,
        hs.Push(bind=ANY_PORT) as push,
        hs.Pull(bind=ANY_PORT) as pull,
    ):
        await trio.to_thread.run_sync(fill, broker.url, count)
        ends = {"source": push.endpoints[0], "sink": pull.endpoints[0]}
        text = CONFIG.format(patient=PATIENT, url=broker.url, prefetch=PREFETCH, **ends)
        async with gateway(path / "gateway.toml", text) as process, trio.open_nursery() as nursery:
            nursery.start_soon(tally.send, push)
            nursery.start_soon(tally.receive, pull)
            await carry(broker, process, push, tally, kills, restarts)
            assert await push.flush() == 0
            assert await process.stop() == 0, process.wrote()
            nursery.cancel_scope.cancel()
        came = await trio.to_thread.run_sync(drain, broker.url, "out")
        left = await trio.to_thread.run_sync(drain, broker.url, "in")
    out = Counter(came)
    print(f"out: {len(came) - len(out)} came twice; in: {len(tally.again)}")
    assert sorted(out) == sorted(tally.first) == list(range(count))
    # Twice went out what the broker had not confirmed when it died.
    assert max(out.values()) <= 1 + kills
    assert len(came) - len(out) <= kills * PREFETCH
    # Twice came in what the broker, when it died, had not yet written down as acknowledged: so
    # never within one of its lives, whatever the gateway went through meanwhile.
    assert tally.unexplained == []
    # That is as much as the broker lets be unacknowledged, and as much as it keeps unwritten.
    assert len(tally.again) <= kills * 2 * PREFETCH
    # What was acknowledged last may come again at the very end; nothing else is left.
    assert set(left) <= tally.first


@pytest.mark.skipif(hs.speedups != "compiled", reason="the short form runs on the pure core")
async def test_nothing_is_lost_while_the_broker_is_killed_twenty_times(tmp_path: Path) -> None:
    await lose_nothing(tmp_path, count=100_000, kills=20, restarts=5)


@pytest.mark.skipif(hs.speedups == "compiled", reason="the long form runs on the compiled core")
async def test_nothing_is_lost_while_the_broker_is_killed(tmp_path: Path) -> None:
    await lose_nothing(tmp_path, count=10_000, kills=3, restarts=1)
