"""The monitor feed: publishes what happens to sockets, and how they do, to whoever subscribes."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary, WeakSet

import trio

from .. import _events as events
from ..sockets import Socket
from ..sockets.publish_subscribe import Pub, XPub
from ._bodies import SCHEMA, Told, Whole, device_told, encode, event_told, socket_told
from ._kinds import Body
from ._sources import DeviceLike, Source
from ._topics import Topic, topic_prefix

logger = logging.getLogger("hypersocket")

MIN_GAP = 0.1
"""Seconds between two answers to new subscriptions, so that nobody can keep a program busy."""

REST = 9
"""The same, for how many times as long as the last answer took."""

MAX_ASKED = 64
"""Topics that are answered one by one; of more at once, the answer is everything."""

LINGER = 1.0
"""Seconds that a feed's own socket may take to write its last messages."""

BATCH = 32
"""Messages published in a row before other tasks have their turn."""


async def publish_monitor(
    monitor: Pub | XPub | str,
    *,
    name: str,
    sockets: Mapping[str, Socket],
    device: DeviceLike | None = None,
    interval: float = 1.0,
    max_peers: int = 100,
    task_status: trio.TaskStatus[Feed] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Publish the events and statistics of sockets, and of a device, to whoever subscribes.

    Meant for ``feed = await nursery.start(...)``, which returns once every event from then on is
    told. Sockets may be opened before or after. The sockets that are watched are never held
    back: a subscriber that is too slow misses messages, which the feed counts.

    Args:
        monitor: an open PUB or XPUB, or an endpoint that an XPUB is to be bound to. Of an XPUB
            the feed receives the subscriptions, and answers each at once with the state of
            things; turn on its ``xpub_verbose``, so that it learns of all. Through a PUB new
            subscribers wait for the next interval. Several feeds may share one socket.
        name: what the device or program is called in topics.
        sockets: the sockets to watch, by the names that they have in topics.
        device: the handle of a device, or a gateway, for its own counters.
        interval: seconds between two statistics. They are taken only while somebody subscribes.
        max_peers: how many peers of each socket, and workers of a device, have statistics of
            their own. Of more, those with most messages waiting or dropped are told.

    Returns when the sockets, or the one to publish by, have all closed, or after
    :meth:`Feed.stop`. Cancelled, it says that it has stopped to those it can tell at once.

    Raises:
        ValueError: a name, the interval or ``max_peers`` cannot be; nothing has begun.
        EndpointError: ``monitor`` cannot be understood, or is not of this machine.
        AddressInUse: somebody else has that address.
        trio.ClosedResourceError: ``monitor`` is closed.
        RuntimeError: ``monitor`` is not open.
    """
    source = Source(name, dict(sockets), device)
    _check(monitor, interval, max_peers)
    if isinstance(monitor, str):
        async with XPub(bind=monitor, xpub_verbose=True, linger=LINGER) as publisher:
            await Feed(publisher, source, interval, max_peers)._run(task_status)
    else:
        await monitor.wait_connected(0)  # which raises where the socket is not open
        await Feed(monitor, source, interval, max_peers)._run(task_status)


@asynccontextmanager
async def monitor_feed(
    monitor: Pub | XPub | str,
    *,
    name: str,
    sockets: Mapping[str, Socket],
    device: DeviceLike | None = None,
    interval: float = 1.0,
    max_peers: int = 100,
) -> AsyncGenerator[Feed, None]:
    """:func:`publish_monitor` for as long as an ``async with`` block lasts.

    ::

        async with hs.Pull(bind="tcp://*:5555") as pull:
            async with monitor_feed("tcp://*:5556", name="orders", sockets={"in": pull}):
                ...

    Arguments and errors are those of :func:`publish_monitor`. What the block raises leaves as
    itself. A mistake in the feed is logged, and does not end the block.
    """
    source = Source(name, dict(sockets), device)
    _check(monitor, interval, max_peers)
    if isinstance(monitor, str):
        async with (
            XPub(bind=monitor, xpub_verbose=True, linger=LINGER) as publisher,
            _beside(Feed(publisher, source, interval, max_peers)) as feed,
        ):
            yield feed
    else:
        await monitor.wait_connected(0)
        async with _beside(Feed(monitor, source, interval, max_peers)) as feed:
            yield feed


@asynccontextmanager
async def _beside(feed: Feed) -> AsyncGenerator[Feed, None]:
    async def run(task_status: trio.TaskStatus[Feed]) -> None:
        try:
            await feed._run(task_status)
        except Exception:
            logger.exception("the monitor feed of %r failed", feed.name)

    failure: Exception | KeyboardInterrupt | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        try:
            yield feed
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - raised again below
            failure = error  # outside of the nursery, which would wrap it
        feed.stop()
    if failure is not None:
        try:
            raise failure
        finally:
            failure = None  # or the traceback would hold itself


class Feed:
    """The handle of a running feed, which ``nursery.start`` returns.

    Attributes:
        name: of the device or program.
        interval: seconds between two statistics; may be changed, from the next one on.
    """

    def __init__(
        self, publisher: Pub | XPub, source: Source, interval: float, max_peers: int
    ) -> None:
        self.name = source.name
        self.interval = interval
        self._publisher = publisher
        self._source = source
        self._max_peers = max_peers
        self._run_id = os.urandom(8).hex()
        self._bound = {name: set(socket.endpoints) for name, socket in source.sockets.items()}
        self._watched = len(source.sockets)
        self._events_missed = 0
        self._refused = 0
        self._asked: set[bytes] = set()
        self._was_asked = trio.Event()
        self._stopping = trio.Event()

    def __repr__(self) -> str:
        return f"<Feed of {self.name!r} at {', '.join(self.endpoints) or 'nowhere'}>"

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where it can be subscribed to, as resolved."""
        return self._publisher.endpoints

    def stop(self) -> None:
        """Tell the last, and end; returns at once."""
        self._stopping.set()

    # Tasks

    async def _run(self, task_status: trio.TaskStatus[Feed]) -> None:
        sharing = _sharing.setdefault(self._publisher, WeakSet())
        sharing.add(self)
        try:
            async with trio.open_nursery() as nursery:
                for name, socket in self._source.sockets.items():
                    await nursery.start(self._watch, name, socket)
                nursery.start_soon(self._tick)
                nursery.start_soon(self._answer)
                if isinstance(self._publisher, XPub):
                    nursery.start_soon(_hear, self._publisher, sharing)
                task_status.started(self)
                await self._stopping.wait()
                nursery.cancel_scope.cancel()
        finally:
            sharing.discard(self)
            self._tell_last()

    async def _watch(
        self,
        name: str,
        socket: Socket,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        bound = self._bound[name]
        async with socket.monitor() as monitor:
            task_status.started()
            async for event in monitor:
                if isinstance(event, events.Listening):
                    bound.add(event.endpoint)
                elif isinstance(event, events.EventsMissed):
                    self._events_missed += event.count
                    bound.update(socket.endpoints)  # one of those missed may have been Listening
                topic, body = event_told(self.name, name, event, bound)
                self._publish(topic, body, event.time)
        self._watched -= 1
        if not self._watched:
            self.stop()

    async def _tick(self) -> None:
        due = trio.current_time()
        while True:
            await self._publish_stats()
            # After a delay the next is due from now on: two at once would help nobody.
            due = max(due + self.interval, trio.current_time())
            await trio.sleep_until(due)

    async def _answer(self) -> None:
        """Tell new subscribers how things are."""
        while True:
            await self._was_asked.wait()
            self._was_asked = trio.Event()
            asked, self._asked = self._asked, set()
            before = time.perf_counter()
            await self._publish_stats(asked)
            await trio.sleep(max(MIN_GAP, REST * (time.perf_counter() - before)))

    def _ask(self, prefix: bytes) -> None:
        self._asked.add(prefix)
        if len(self._asked) > MAX_ASKED:
            self._asked = {b""}
        self._was_asked.set()

    # Messages

    async def _publish_stats(self, prefixes: Iterable[bytes] = (b"",)) -> None:
        prefixes = tuple(prefixes)
        if not self._subscribers():
            return
        now = trio.current_time()
        published = 0
        for topic, body in self._stats_told(prefixes):
            if bytes(topic).startswith(prefixes):
                self._publish(topic, body, now)
                published += 1
                if published % BATCH == 0:
                    await trio.lowlevel.checkpoint()

    def _stats_told(self, prefixes: tuple[bytes, ...] = (b"",)) -> Iterable[Told]:
        """All statistics that may match, and perhaps others."""
        whole = Whole.of(self._source, self._max_peers)
        yield device_told(self._source, whole, self._numbers())
        for name, socket in self._source.sockets.items():
            own = topic_prefix(self.name, name)
            if own.startswith(prefixes) or any(one.startswith(own) for one in prefixes):
                yield from socket_told(
                    *(self.name, name, socket, self._bound[name], self._max_peers),
                    part=whole.parts.get(name, {}),
                )

    def _numbers(self) -> dict[str, dict[str, int]]:
        stats = self._publisher.stats()
        return {
            "counters": {
                "feed_messages_out": stats.messages_out,
                "feed_messages_dropped": stats.dropped + self._refused,
                "feed_events_missed": self._events_missed,
            },
            "gauges": {"feed_subscribers": self._subscribers()},
        }

    def _subscribers(self) -> int:
        return sum(peer.subscriptions > 0 for peer in self._publisher.stats().peers)

    def _publish(self, topic: Topic, body: Body, at: float) -> None:
        whole: Body = {
            "schema": SCHEMA,
            "run": self._run_id,
            "time": round(time.time() - (trio.current_time() - at), 6),
            "monotonic": at,
            "interval_seconds": self.interval,
            "device": topic.device,
            "socket": topic.socket,
            "peer": topic.peer,
            "event": topic.event,
            **body,
        }
        try:
            self._publisher.send_multipart_nowait([bytes(topic), encode(whole)])
        except trio.WouldBlock:  # with xpub_nodrop: not even then is anybody held back
            self._refused += 1
        except trio.ClosedResourceError:
            self.stop()

    def _tell_last(self) -> None:
        # Without waiting, as this may be on the way out of a cancelled scope.
        now = trio.current_time()
        for topic, body in self._stats_told():
            if not topic.peer:
                self._publish(topic, body, now)
        self._publish(Topic(device=self.name, event="stopped"), {}, now)


_sharing: WeakKeyDictionary[XPub | Pub, WeakSet[Feed]] = WeakKeyDictionary()
"""The feeds that publish by one socket: each subscription that one receives is for all of them."""


async def _hear(publisher: XPub, feeds: WeakSet[Feed]) -> None:
    async for frames in publisher.multipart():
        if len(frames) == 1 and frames[0][:1] == b"\1":
            for feed in tuple(feeds):
                feed._ask(frames[0][1:])
    for feed in tuple(feeds):  # the socket has closed
        feed.stop()


def _check(monitor: object, interval: float, max_peers: int) -> None:
    if not isinstance(monitor, (Pub, XPub, str)):
        raise TypeError(f"monitor={monitor!r}: expected an open Pub or XPub, or an endpoint")
    if isinstance(monitor, XPub) and monitor.xpub_manual:
        raise ValueError("monitor: with xpub_manual no subscription would take effect; turn it off")
    if isinstance(monitor, Pub) and monitor.conflate:
        raise ValueError("monitor: with conflate only the last message would arrive; turn it off")
    if not (isinstance(interval, (int, float)) and 0 < interval < math.inf):
        raise ValueError(f"interval={interval!r}: expected a number of seconds above 0")
    if not isinstance(max_peers, int) or max_peers < 0:
        raise ValueError(f"max_peers={max_peers!r}: expected a number of peers, 0 or more")
