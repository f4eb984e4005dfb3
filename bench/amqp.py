"""A broker for the benchmarks of the gateway, and what has to be done in it before and after.

The node is of the tests' making: private, and gone with this process. Messages are put there, and
looked at, by pika.
"""

from __future__ import annotations

import atexit
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import stamp
from .job import Job
from .process import BrokenPeer
from .speak import UnsupportedError, WrongMessage

SOURCE, TARGET = "source", "target"
"""Names of queues."""

PREFETCH = 1000
"""Messages that each consumer may have at once."""

TRANSIENT, PERSISTENT = 1, 2
"""Delivery modes."""

_PATIENCE = 30.0


def missing() -> str | None:
    """Why there can be no broker here; None if there can."""
    for name in ("pamqp", "pika"):
        if find_spec(name) is None:
            return f"not installed ({name})"
    from tests.brokers import node

    return node.missing()


@cache
def _node() -> Any:
    """The broker of this run: as it comes, with no thought for what it costs others."""
    from tests.brokers.node import Node

    directory = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
    plugins = ("rabbitmq_amqp1_0", "rabbitmq_shovel")
    node = Node(Path(directory.name), plugins=plugins, erl_args=(), tls=False)

    def end() -> None:
        node.close()
        directory.cleanup()

    atexit.register(end)
    node.start()
    return node


def version() -> str:
    """The broker's."""
    from tests.brokers.node import BIN

    found = sorted(BIN.parent.glob("lib/rabbitmq_server-*"))
    return found[-1].name.removeprefix("rabbitmq_server-") if found else "unknown"


class TooFew(BrokenPeer):
    """There were not enough messages to tell how fast they come."""


class Broker:
    """A vhost of the node, with two durable queues in it.

    Attributes:
        url: where it is, user and password included.
    """

    def __init__(self, node: Any, vhost: str, persistent: bool) -> None:
        import pika

        self.url = f"amqp://guest:guest@127.0.0.1:{node.port}/{vhost}"
        self._node, self._vhost, self._persistent = node, vhost, persistent
        self._properties = pika.BasicProperties(
            delivery_mode=PERSISTENT if persistent else TRANSIENT
        )
        self._connection: Any = pika.BlockingConnection(pika.URLParameters(self.url))
        self._channel: Any = self._connection.channel()
        for queue in (SOURCE, TARGET):
            self._channel.queue_declare(queue, durable=True)

    def close(self) -> None:
        """End the connection, and delete all that was in the vhost."""
        self._connection.close()
        self._node.ctl("delete_vhost", self._vhost)

    def fill(self, job: Job) -> None:
        """Put ``job.count`` messages into the source, of which every ``job.chunk``th is stamped."""
        plain, publish = stamp.plain(job.size), self._channel.basic_publish
        for number in range(job.count):
            body = plain
            if number % job.chunk == 0:
                body = stamp.stamped(kind(number, job), number, job.size)
            publish("", SOURCE, body, self._properties)
        self.wait(SOURCE, job.count)

    def depth(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        found: int = self._channel.queue_declare(queue, passive=True).method.message_count
        return found

    def wait(self, queue: str, count: int) -> tuple[int, float]:
        """Wait until there are so many; returns how many there were then, and at which time."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            now = time.perf_counter()
            found = self.depth(queue)
            if found >= count:
                return found, (now + time.perf_counter()) / 2
            if time.monotonic() > deadline:
                raise BrokenPeer(f"{found} of {count} messages came to the queue {queue}")
            # By pika, so that a heartbeat is answered.
            self._connection.sleep(0.005)

    def rate_into(self, queue: str, job: Job) -> float:
        """Messages a second, from the first fifth of them to the last; then check each of them.

        Raises:
            TooFew: all have come between two looks.
        """
        first, start = self.wait(queue, job.count // 5)
        last, end = self.wait(queue, job.count)
        if last == first:
            raise TooFew(f"all of {job.count} messages came at once: too few to be measured")
        return (last - first) / (end - start)

    def check(self, queue: str, job: Job) -> None:
        """Take ``job.count`` messages, and see that none is missing and none there twice.

        Raises:
            BrokenPeer: one is.
        """
        self._channel.basic_qos(prefetch_count=PREFETCH)
        messages = self._channel.consume(queue, auto_ack=True, inactivity_timeout=_PATIENCE)
        for number, (_, _, body) in zip(range(job.count), messages, strict=False):
            if body is None:
                raise BrokenPeer(f"message {number} is not in the queue {queue}")
            if number % job.chunk == 0:
                try:
                    stamp.check(body, number, job.size)
                except WrongMessage as error:
                    raise BrokenPeer(str(error)) from None

    def shovel(self, marked: bool) -> None:
        """Have RabbitMQ itself carry messages from the source to the target.

        Args:
            marked: whether it says in a header of each that it has.
        """
        words = {
            "src-protocol": "amqp091",
            "src-uri": self.url,
            "src-queue": SOURCE,
            "src-prefetch-count": PREFETCH,
            "dest-protocol": "amqp091",
            "dest-uri": self.url,
            "dest-queue": TARGET,
            "dest-add-forward-headers": marked,
            "ack-mode": "on-confirm",
        }
        import json

        self._node.ctl(
            "set_parameter", "--vhost", self._vhost, "shovel", "shovel", json.dumps(words)
        )


@contextmanager
def broker(persistent: bool = False) -> Generator[Broker]:
    """A vhost of its own for one measurement.

    Raises:
        UnsupportedError: there can be no broker here.
    """
    if (why := missing()) is not None:
        raise UnsupportedError(why)
    node = _node()
    found = Broker(node, node.fresh_vhost(), persistent)
    try:
        yield found
    finally:
        found.close()


def kind(number: int, job: Job) -> int:
    """What the stamp of a message says, where a fifth of all is there to warm up."""
    if number == job.count - 1:
        return stamp.END
    return stamp.START if number == _start(job) else stamp.RUN


def _start(job: Job) -> int:
    return job.count // 5 // job.chunk * job.chunk


class Meter:
    """For consumers that are not ours: counts, checks, and says the rate at the end."""

    def __init__(self, job: Job, say: Callable[..., None]) -> None:
        self._job, self._say = job, say
        self._start = 0.0
        self.received = 0

    def took(self, body: bytes) -> bool:
        """Look at one message. True if it is the last."""
        job, number = self._job, self.received
        self.received += 1
        if number % job.chunk:
            return False
        found = stamp.check(body, number, job.size)
        if found == stamp.START:
            self._start = time.perf_counter()
        elif found == stamp.END:
            seconds, count = time.perf_counter() - self._start, number - _start(job)
            self._say("result", count=count, seconds=seconds, rate=count / seconds)
            return True
        return False
