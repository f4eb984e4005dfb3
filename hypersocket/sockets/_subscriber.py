"""Subscribers: SUB and XSUB (RFC 29)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._message import Message
from .._option_groups import ConflateOptions, SubscriberOptions
from .._reasons import DropReason
from .._speedups import (
    PASSED_OVER,
    FilteredMultipartReceivePath,
    FilteredReceivePath,
    PrefixTree,
    cost_of,
)
from ..transports import Pipe
from ._publisher import topic_bytes
from ._sending import BatchSender
from ._socket import Endpoints
from .pipeline import FairReceiver

Topics = bytes | str | Iterable[bytes | str]


class Subscriber(FairReceiver):
    """Receives from its publishers, in turn, and tells them what it subscribes to.

    Subscriptions are counted: one that was made twice ends when it is cancelled twice. Publishers
    are told of the first and the last only, and each is told all of them when it connects.
    """

    _takes_rest = True

    def _prepare(self) -> None:
        super()._prepare()
        self._topics = PrefixTree()

    def _pipe_connected(self, pipe: Pipe) -> None:
        super()._pipe_connected(pipe)
        for topic in self._topics:
            pipe.tell_subscription(topic, True)

    def _subscribe(self, topic: bytes) -> None:
        first, _ = self._topics.add(topic, None)
        if first:
            self._tell(topic, True)

    def _unsubscribe(self, topic: bytes) -> bool:
        ended = self._topics.discard(topic, None)
        if ended is None:
            return False
        if ended[0]:
            self._tell(topic, False)
        return True

    def _tell(self, topic: bytes, wanted: bool) -> None:
        for pipe in self._host.pipes:
            if pipe.connected:
                pipe.tell_subscription(topic, wanted)


class Sub(ConflateOptions, SubscriberOptions, Subscriber):
    """Receives the messages whose first frame begins with a topic that it subscribes to.

    Args:
        subscribe: a topic, or several, from the beginning on; text is encoded as UTF-8. The
            empty topic subscribes to everything. Without any nothing is received.
    """

    socket_type = "SUB"
    _filtered: list[FilteredReceivePath | FilteredMultipartReceivePath]

    def _prepare(self) -> None:
        super()._prepare()
        self._passed = 0  # not wanted, and not taken from the budget yet
        common = self._queue, self._head, self._receivers, self._budget
        refill = self._host.poller.serve
        covers = self._topics.covers
        single = FilteredReceivePath(*common, self._receive_path.slow, refill, covers=covers)
        multipart = FilteredMultipartReceivePath(
            *common, self._receive_multipart_path.slow, refill, covers=covers
        )
        self._receive_path, self._receive_multipart_path = single, multipart
        self._short_ways[:] = self._filtered = [single, multipart]  # and none for batches
        self._set_inverted()

    def _set_inverted(self) -> None:
        for way in self._filtered:
            way.inverted = self.invert_matching

    def _option_changed(self, name: str) -> None:
        super()._option_changed(name)
        if hasattr(self, "_filtered"):  # else it is being made
            self._set_inverted()

    def __init__(
        self,
        *,
        subscribe: Topics = (),
        bind: Endpoints = (),
        connect: Endpoints = (),
        **options: Any,
    ) -> None:
        super().__init__(bind=bind, connect=connect, **options)
        single = isinstance(subscribe, (bytes, str)) or not isinstance(subscribe, Iterable)
        topics: Any = (subscribe,) if single else subscribe
        for topic in topics:
            self.subscribe(topic)

    def subscribe(self, topic: bytes | str) -> None:
        """Receive messages that begin with ``topic`` too, from now on.

        May be called before the socket is opened. Publishers learn of it in their own time; see
        :meth:`Pub.wait_subscribed`.

        Raises:
            TypeError: ``topic`` is neither bytes nor text.
        """
        self._subscribe(topic_bytes(topic))

    def unsubscribe(self, topic: bytes | str) -> None:
        """Undo one :meth:`subscribe` to the same topic.

        Raises:
            ValueError: there was none.
        """
        if not self._unsubscribe(topic_bytes(topic)):
            raise ValueError(f"not subscribed to {topic!r}")

    def _fetch(self) -> Message | None:
        # A publisher filters; but it may not have heard yet what was cancelled, and multicast
        # brings everything.
        message = None
        passed = 0
        while passed < PASSED_OVER and (message := super()._fetch()) is not None:
            topic = message[0] if isinstance(message, list) else message
            if self._topics.covers(topic) is not self.invert_matching:
                break
            message = None
            passed += 1
        self._passed_over(passed)
        self._goes_on = passed == PASSED_OVER
        return message

    def _fetch_singles(self, most: int) -> list[bytes]:
        covers, inverted = self._topics.covers, self.invert_matching
        came = super()._fetch_singles(most)
        wanted = [message for message in came if covers(message) is not inverted]
        self._passed_over(len(came) - len(wanted))
        return wanted

    def _passed_over(self, count: int) -> None:
        self._passed += count
        self._budget.left -= cost_of(self._passed, 0)
        self._passed &= 7  # too few to cost anything: it counts with what comes next


class XSub(Subscriber, BatchSender):
    r"""A SUB that sends its subscriptions as messages.

    ``b"\x01" + topic`` subscribes, ``b"\x00" + topic`` cancels. Other messages go
    to all publishers as they are; a publisher that is full does not get them.
    """

    socket_type = "XSUB"

    def _offer(self, message: Message) -> bool:
        if isinstance(message, bytes) and message[:1] == b"\1":
            self._subscribe(message[1:])
        elif isinstance(message, bytes) and message[:1] == b"\0":
            self._unsubscribe(message[1:])
        else:
            self._send_upstream(message)
        return True

    def _offer_batch(self, messages: list[Message]) -> bool:
        for message in messages:
            self._offer(message)
        return True

    def _send_upstream(self, message: Message) -> None:
        for pipe in self._host.pipes:
            if not pipe.connected:
                continue
            if pipe.writable:
                pipe.send(message)
            else:
                pipe.drop(DropReason.HIGH_WATER_MARK)
