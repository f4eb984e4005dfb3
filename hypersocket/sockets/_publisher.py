"""Publishers: PUB and XPUB (RFC 29)."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from .._errors import ProtocolError, StateError
from .._message import Message, to_bytes
from .._option_groups import ConflateOptions, PublisherOptions, XPubOptions
from .._reasons import DropReason, Reason
from .._speedups import (
    SHORT_WAYS,
    FairQueue,
    PrefixSet,
    PrefixTree,
    PublishPath,
    ShortWays,
    forget_shared,
)
from ..transports import Pipe
from ._receiving import BatchReceiver
from ._sending import BatchSender

EVERY_TIME = sys.maxsize
FORGOTTEN_AT_ONCE = 1000
"""Topics of a peer that has left; then other tasks run."""


def topic_bytes(topic: bytes | str) -> bytes:
    """A topic as bytes; text is encoded as UTF-8."""
    if isinstance(topic, str):
        return topic.encode()
    try:
        return to_bytes(topic)
    except TypeError:
        raise TypeError(
            f"a topic is bytes or str, not {type(topic).__name__}; several are told one by one"
        ) from None


class _Held:
    """What a peer subscribes to, or did by a connection that has ended."""

    __slots__ = ("silent", "size", "topics")

    def __init__(self) -> None:
        self.topics = PrefixSet()
        self.size = 0  # bytes of topics, as often as it subscribes to them
        self.silent = False  # whether their end has been told already


class Publisher(PublisherOptions, BatchSender):
    """Sends each message to all peers that subscribe to a prefix of its first frame.

    A peer that is full does not get the message, which is counted as dropped for it; with
    ``xpub_nodrop`` sending waits for it instead.
    """

    def _prepare(self) -> None:
        super()._prepare()
        self._tree = PrefixTree()  # of pipes
        self._held: dict[Pipe, _Held] = {}
        # What those who have left subscribed to: it is in the tree still, and counts for nothing.
        # A peer that was dialled may be back, and gone again, before that is forgotten.
        self._leaving: dict[Pipe, list[_Held]] = {}
        common = self._tree, self._senders, self._budget
        self._send_path = PublishPath(*common, super().send, multipart=False)
        self._send_multipart_path = PublishPath(*common, super().send_multipart, multipart=True)
        self._publish_paths = self._send_path, self._send_multipart_path
        self._short_ways += self._publish_paths
        self._set_plain()
        self._set_bounds()

    if not TYPE_CHECKING and SHORT_WAYS:
        send = ShortWays.short_send
        send_multipart = ShortWays.short_send_multipart

    def _set_plain(self) -> None:
        for way in self._publish_paths:
            way.is_plain = not (self.invert_matching or self.xpub_nodrop or self._leaving)

    def _set_bounds(self) -> None:
        # Looked up once, since there may be a million subscriptions.
        self._bounds = self.max_topic_size, self.max_subscriptions, self.max_subscription_bytes

    def _option_changed(self, name: str) -> None:
        super()._option_changed(name)
        if hasattr(self, "_publish_paths"):  # else it is being made
            self._set_plain()
            self._set_bounds()

    async def wait_subscribed(self, topic: bytes | str, subscribers: int = 1) -> None:
        """Wait until at least ``subscribers`` peers hold a subscription that matches ``topic``.

        What is sent then reaches them, which answers the slow joiner: a publisher that sends as
        soon as it is open sends to nobody.

        Raises:
            trio.ClosedResourceError: the socket is closed, or was meanwhile.
        """
        topic = topic_bytes(topic)
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            self._check_open()
            if len(self._matching(topic)) >= subscribers:
                break
            await self._host.wait_changed()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def _pipe_connected(self, pipe: Pipe) -> None:
        pipe.shares = True
        super()._pipe_connected(pipe)

    # Subscriptions

    def _pipe_subscription(self, pipe: Pipe, topic: bytes, wanted: bool) -> None:
        self._apply(pipe, topic, wanted)

    def _check_bounds(self, topic: bytes, held: int, size: int = 0) -> None:
        longest, most, most_bytes = self._bounds
        if len(topic) > longest:
            raise ProtocolError(
                f"a subscription of {len(topic)} bytes is over max_topic_size ({longest})",
                Reason.TOPIC_TOO_LONG,
            )
        if held >= most:
            raise ProtocolError(
                f"more subscriptions than max_subscriptions ({most})",
                Reason.TOO_MANY_SUBSCRIPTIONS,
            )
        if size > most_bytes:
            raise ProtocolError(
                f"{size} bytes of topics are over max_subscription_bytes ({most_bytes})",
                Reason.TOO_MANY_SUBSCRIPTIONS,
            )

    def _apply(self, pipe: Pipe, topic: bytes, wanted: bool) -> tuple[bool, bool] | None:
        """Let a subscription take effect, or end.

        Returns:
            None if there was none to end. Else whether it was the topic's first or last, and
            whether it was this peer's first or last of the topic.
        """
        if self._leaving:
            self._forget_former(pipe, topic)
        held = self._held.get(pipe)
        if wanted:
            if held is None:
                held = self._held[pipe] = _Held()
            size = held.size + len(topic)
            self._check_bounds(topic, pipe.subscriptions, size)
            held.topics.add(topic)
            change = self._tree.add(topic, pipe)
            pipe.subscriptions += 1
            held.size = size
            self._host.changed()
            return change
        ended = self._tree.discard(topic, pipe)
        if ended is not None:
            assert held is not None
            pipe.subscriptions -= 1
            held.size -= len(topic)
            if ended[1]:
                held.topics.discard(topic)
        return ended

    def _forget(self, pipe: Pipe) -> None:
        """End all subscriptions of a peer: at once for the peer, and bit by bit in the tree."""
        pipe.subscriptions = 0
        held = self._held.pop(pipe, None)
        if held is None:
            return
        self._leaving.setdefault(pipe, []).append(held)
        self._set_plain()
        if self._forget_some(pipe, held) and not self._host.closing:
            self._host.start_soon(self._forget_rest, pipe, held)

    async def _forget_rest(self, pipe: Pipe, held: _Held) -> None:
        await trio.lowlevel.checkpoint()
        while self._forget_some(pipe, held):
            await trio.lowlevel.checkpoint()

    def _forget_some(self, pipe: Pipe, held: _Held) -> bool:
        """Take some of what a peer had out of the tree; returns whether there is more."""
        for topic in held.topics.take(FORGOTTEN_AT_ONCE):
            self._forget_topic(pipe, topic, held.silent)
        if len(held.topics):
            return True
        former = self._leaving[pipe]
        former.remove(held)
        if not former:
            del self._leaving[pipe]
            self._set_plain()
        return False

    def _forget_former(self, pipe: Pipe, topic: bytes) -> None:
        """A topic concerns a peer that is back: by its former connections it is not held."""
        for held in self._leaving.get(pipe, ()):
            if held.topics.discard(topic):
                self._forget_topic(pipe, topic, held.silent)
                return  # a later connection held it instead of the former, and not besides

    def _forget_topic(self, pipe: Pipe, topic: bytes, silent: bool) -> None:  # noqa: ARG002
        self._tree.discard(topic, pipe, EVERY_TIME)

    def _pipe_disconnected(self, pipe: Pipe) -> None:
        super()._pipe_disconnected(pipe)
        self._forget(pipe)
        # What was for the subscriptions of that connection is not for those of the next.
        pipe.drop(DropReason.PEER_GONE, pipe.discard_outgoing())

    def _pipe_gone(self, pipe: Pipe) -> None:
        super()._pipe_gone(pipe)
        self._forget(pipe)
        self._pump_senders()

    def _pipe_writable(self, pipe: Pipe) -> None:
        super()._pipe_writable(pipe)
        self._pump_senders()

    # Messages

    def _matching(self, topic: bytes) -> Sequence[Pipe]:
        found: tuple[Pipe, ...] = self._tree.matches(topic)
        if not self._leaving:
            return found
        return [p for p in found if p not in self._leaving or self._holds_now(p, topic)]

    def _holds_now(self, pipe: Pipe, topic: bytes) -> bool:
        """Whether a peer that has left is back, and subscribes to a prefix again."""
        held = self._held.get(pipe)
        return held is not None and held.topics.covers(topic)

    def _audience(self, message: Message) -> Sequence[Pipe]:
        matching = self._matching(message[0] if isinstance(message, list) else message)
        if self.invert_matching:
            unwilling = set(matching)
            return [p for p in self._host.pipes if p.connected and p not in unwilling]
        return matching

    def _offer(self, message: Message) -> bool:
        audience = self._audience(message)
        if self.xpub_nodrop and not self._all_writable(audience):
            return False
        for pipe in audience:
            if pipe.writable:
                pipe.send(message)
            else:
                pipe.drop(DropReason.HIGH_WATER_MARK)
        return True

    def _all_writable(self, audience: Sequence[Pipe]) -> bool:
        # Each is asked, so that each that is full tells when it has room.
        return sum(pipe.writable for pipe in audience) == len(audience)

    def _offer_batch(self, messages: list[Message]) -> bool:
        if self.xpub_nodrop and not self._fits(messages):
            return False
        for message in messages:
            for pipe in self._audience(message):
                if pipe.writable or self.xpub_nodrop:
                    pipe.send(message)
                else:
                    pipe.drop(DropReason.HIGH_WATER_MARK)
        forget_shared()
        return True

    def _fits(self, messages: list[Message]) -> bool:
        shares: dict[Pipe, int] = {}
        for message in messages:
            for pipe in self._audience(message):
                shares[pipe] = shares.get(pipe, 0) + 1
        fits = True
        for pipe, share in shares.items():
            if pipe.room_out < share and not pipe.flushed:
                pipe.want_room()
                fits = False
        return fits


class Pub(ConflateOptions, Publisher):
    """Sends each message to all SUB peers that subscribe to a prefix of its first frame."""

    socket_type = "PUB"


class _Asked:
    """What a peer wants of an XPUB with ``xpub_manual``: one for each connection."""

    __slots__ = ("size", "topics")

    def __init__(self) -> None:
        self.topics: dict[bytes, None] = {}
        self.size = 0  # bytes of them


class XPub(XPubOptions, BatchReceiver, Publisher):
    r"""A PUB that receives its peers' subscriptions, as messages.

    The first of a topic is received as ``b"\x01" + topic``, the end of the last as
    ``b"\x00" + topic``. Other messages that XSUB peers send are received as they are.
    """

    socket_type = "XPUB"

    def _prepare(self) -> None:
        super()._prepare()
        self._queue = FairQueue()
        self._news: deque[tuple[Pipe | None, _Asked | None, bytes]] = deque()
        self._holding: set[Pipe] = set()
        self._asked: dict[Pipe, _Asked] = {}  # by those that are connected
        # Whose subscription was received last, and by which connection.
        self._last_from: tuple[Pipe, _Asked | None] | None = None

    def subscribe(self, topic: bytes | str) -> None:
        """With ``xpub_manual``: subscribe the peer whose subscription was received last.

        Raises:
            StateError: ``xpub_manual`` is off, or no subscription was received yet.
        """
        pipe = self._manual_peer()
        if pipe is not None:
            self._apply(pipe, topic_bytes(topic), True)

    def unsubscribe(self, topic: bytes | str) -> None:
        """With ``xpub_manual``: the opposite of :meth:`subscribe`."""
        pipe = self._manual_peer()
        if pipe is not None:
            self._apply(pipe, topic_bytes(topic), False)

    def _manual_peer(self) -> Pipe | None:
        if not self.xpub_manual:
            raise StateError("subscriptions take effect by themselves: turn on xpub_manual first")
        if self._last_from is None:
            raise StateError("no subscription was received yet whose peer this could be for")
        # One that has gone, or has come back with subscriptions of its own, has none of that.
        pipe, asked = self._last_from
        return pipe if self._asked.get(pipe) is asked and pipe.connected else None

    def _pipe_connected(self, pipe: Pipe) -> None:
        super()._pipe_connected(pipe)
        self._asked[pipe] = _Asked()
        if self.xpub_welcome_msg is not None:
            pipe.send(self.xpub_welcome_msg)

    def _pipe_subscription(self, pipe: Pipe, topic: bytes, wanted: bool) -> None:
        if self.xpub_manual:
            self._note(pipe, topic, wanted)
            self._announce(pipe, topic, wanted)
            return
        change = self._apply(pipe, topic, wanted)
        verbose = self.xpub_verboser or (wanted and self.xpub_verbose)
        if verbose or (change is not None and change[0]):
            self._announce(pipe, topic, wanted)

    def _note(self, pipe: Pipe, topic: bytes, wanted: bool) -> None:
        """With ``xpub_manual``: remember what a peer wants, whether it gets it or not."""
        asked = self._asked[pipe]
        if not wanted and topic in asked.topics:
            del asked.topics[topic]
            asked.size -= len(topic)
        elif wanted and topic not in asked.topics:
            size = asked.size + len(topic)
            self._check_bounds(topic, len(asked.topics), size)
            asked.topics[topic] = None
            asked.size = size

    def _announce(self, pipe: Pipe | None, topic: bytes, wanted: bool) -> None:
        asked = None if pipe is None else self._asked.get(pipe)
        self._news.append((pipe, asked, (b"\1" if wanted else b"\0") + topic))
        if pipe is not None and self.rcvhwm and len(self._news) >= self.rcvhwm:
            # A peer may change its mind for ever; it is read no further before this is received.
            pipe.hold_input()
            self._holding.add(pipe)
        self._pump_receivers()

    def _pipe_gone(self, pipe: Pipe) -> None:
        self._holding.discard(pipe)
        super()._pipe_gone(pipe)

    def _forget(self, pipe: Pipe) -> None:
        asked = self._asked.pop(pipe, None)
        topics = asked.topics if asked is not None else {}
        if topics and pipe in self._held:
            self._held[pipe].silent = True
        super()._forget(pipe)
        for topic in topics:
            self._announce(None, topic, False)

    def _forget_topic(self, pipe: Pipe, topic: bytes, silent: bool) -> None:
        times = self._tree.times(topic, pipe) if self.xpub_verboser else 1
        if self._tree.discard(topic, pipe, EVERY_TIME) == (True, True) or self.xpub_verboser:
            for _ in range(0 if silent else times):
                self._announce(None, topic, False)

    def _pipe_readable(self, pipe: Pipe) -> None:
        self._queue.add(pipe)
        self._pump_receivers()

    def _fetch(self) -> Message | None:
        if self._news:
            pipe, asked, notice = self._news.popleft()
            if pipe is not None:
                self._last_from = pipe, asked
            if self._holding and 2 * len(self._news) <= self.rcvhwm:
                held, self._holding = self._holding, set()
                for one in held:
                    one.release_input()
            return notice
        return self._queue.take()

    def _held_messages(self) -> int:
        return super()._held_messages() + len(self._news)
