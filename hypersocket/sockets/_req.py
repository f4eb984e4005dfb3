"""REQ: requests that are sent, answered, or abandoned (RFC 28)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import trio

from .._errors import MultipartError, StateError
from .._message import Buffer, Message, frames_of, from_frames, to_bytes, to_message
from .._option_groups import ReqOptions, RoutingIdOptions
from .._reasons import DropReason, Reason
from .._signal import Signal
from .._speedups import FairQueue, LoadBalancer
from ..transports import Pipe
from ._receiving import Receiver
from ._sending import Sender


class _NumberedRequest(list[bytes]):
    """A request of :meth:`Req.request` that has its envelope already."""


class _Exchange:
    """A numbered request that waits for its reply."""

    def __init__(self) -> None:
        self.answered = Signal()
        self.reply: Message | None = None  # still None when woken: the socket has closed


class Req(RoutingIdOptions, ReqOptions, Receiver, Sender):
    """Sends a request to one of its peers, in turn, then receives the reply.

    With ``req_relaxed``, the default, a request may be sent while the last is unanswered; that
    one is abandoned, and its reply never seen. A REP answers in turn, so its replies to abandoned
    requests are counted off. A ROUTER may answer in any order or not at all; unless
    ``req_correlate`` is on, it is sent no other request by the connection on which it owes a
    reply, since nothing else could tell the replies apart: that connection is ended for a new one.
    """

    socket_type = "REQ"
    _looks_first = False  # nothing comes so soon after a request

    def _prepare(self) -> None:
        super()._prepare()
        self._balancer = LoadBalancer(self.immediate)
        self._queue = FairQueue()
        self._asked: Pipe | None = None  # who is to answer the request of send()
        self._asked_number: bytes | None = None  # of that request, where requests have one
        self._owing: dict[Pipe, int] = {}  # how many abandoned requests a peer may still answer
        self._numbers = count(1)
        self._exchanges: dict[bytes, _Exchange] = {}
        self._turn = trio.Lock()
        self._turn_holder: trio.lowlevel.Task | None = None

    # Whole exchanges

    async def request(self, data: Buffer) -> bytes:
        """Send a request and wait for its reply, as one exchange.

        Tasks that call this take turns. With ``req_correlate`` many exchanges are under way at
        once instead.

        Raises:
            MultipartError: the reply has several parts, and is lost: use
                :meth:`request_multipart`.
            StateError: ``req_relaxed`` is off, and a request of :meth:`send` is unanswered.
            trio.BusyResourceError: a task waits in :meth:`recv` for the reply to such a request.
            trio.ClosedResourceError: the socket is closed, or was meanwhile.

        A cancelled call has abandoned its request: the reply is never seen. (Where a ROUTER answers
        late and knows the next connection for the same peer, by a fixed ``routing_id`` for
        instance, that takes ``req_correlate``.)
        """
        reply = await self._exchange(to_bytes(data))
        if isinstance(reply, list):
            raise MultipartError(
                f"the reply has {len(reply)} parts: use request_multipart() to receive it"
            )
        return reply

    async def request_multipart(self, frames: Iterable[Buffer]) -> list[bytes]:
        """Like :meth:`request`, for messages of any number of frames."""
        return frames_of(await self._exchange(to_message(frames)))

    async def _exchange(self, message: Message) -> Message:
        self._check_open()
        if self.req_correlate:
            return await self._exchange_numbered(message)
        async with self._turn:
            if self._receivers:
                raise trio.BusyResourceError("another task waits for the reply to its send()")
            self._turn_holder = trio.lowlevel.current_task()
            try:
                await self._send([message])
                try:
                    return from_frames(await self.recv_multipart())
                except BaseException:
                    self._abandon()
                    raise
            finally:
                self._turn_holder = None

    async def _exchange_numbered(self, message: Message) -> Message:
        number = self._next_number()
        exchange = self._exchanges[number] = _Exchange()
        try:
            await self._send([_NumberedRequest([number, b"", *frames_of(message)])])
            await exchange.answered.wait()
        finally:
            del self._exchanges[number]
        if exchange.reply is None:
            raise trio.ClosedResourceError("the socket was closed while waiting for the reply")
        return exchange.reply

    def _next_number(self) -> bytes:
        return (next(self._numbers) & 0xFFFFFFFF).to_bytes(4, "big")

    def _closing(self) -> None:
        super()._closing()
        for exchange in self._exchanges.values():
            exchange.answered.set()

    # Sending

    def _check_my_turn(self) -> None:
        if self._turn_holder not in (None, trio.lowlevel.current_task()):
            raise trio.BusyResourceError("another task is in the middle of request()")

    def _check_may_send(self, messages: list[Message]) -> None:
        if isinstance(messages[0], _NumberedRequest):
            return
        self._check_my_turn()
        self._check_finished()

    def _check_finished(self) -> None:
        unfinished = self._asked is not None or bool(self._head)
        if unfinished and not self.req_relaxed:
            raise StateError(
                "a request was sent and its reply not received: receive it first, or turn on "
                "req_relaxed"
            )

    def _offer(self, message: Message) -> bool:
        pipe = self._choose()
        if pipe is None:
            return False
        if isinstance(message, _NumberedRequest):
            pipe.send(message)
            return True
        self._check_finished()  # another task may have sent while this one waited
        self._abandon()
        self._asked = pipe
        self._asked_number = self._next_number() if self.req_correlate else None
        number = [] if self._asked_number is None else [self._asked_number]
        pipe.send([*number, b"", *frames_of(message)])
        return True

    def _choose(self) -> Pipe | None:
        """The next peer with room that owes no reply; or one whose debt is cut off for it."""
        debtor: Pipe | None = None
        for _ in range(len(self._balancer)):
            pipe: Pipe | None = self._balancer.next()
            if pipe is None:
                break
            if self.req_correlate or _answers_in_turn(pipe) or not self._owes(pipe):
                return pipe
            debtor = debtor or pipe
        if debtor is None:
            return self._retract()
        self._abandon()
        self._owing.pop(debtor, None)
        debtor.reset(Reason.REQUEST_ABANDONED)
        return debtor if debtor.writable else None

    def _owes(self, pipe: Pipe) -> bool:
        if pipe in self._owing:
            return True
        under_way = pipe is self._asked and not pipe.has_outgoing
        return under_way and self._asked_number is None

    def _retract(self) -> Pipe | None:
        """Make room by taking back the last request, if it is not under way yet."""
        pipe = self._asked
        if pipe is None or self._asked_number is not None or not pipe.has_outgoing:
            return None
        if pipe.closing or (self.immediate and not pipe.connected):
            return None
        self._abandon()
        return pipe

    def _abandon(self) -> None:
        """Want the reply to the request of :meth:`send` no more."""
        if self._head:
            self._head.clear()
            self._host.drop(DropReason.STALE_REPLY)
        pipe, self._asked = self._asked, None
        if pipe is None or pipe.gone or self._asked_number is not None:
            return
        retracted = pipe.discard_outgoing()
        pipe.drop(DropReason.REQUEST_ABANDONED, retracted)
        if not retracted:  # it is under way
            pipe.forsake()
            self._owing[pipe] = self._owing.get(pipe, 0) + 1

    # Receiving

    def _check_may_receive(self) -> None:
        self._check_my_turn()
        if self._asked is None and not self._head:
            raise StateError("there is no request to be replied to: send one first")

    def _fetch(self) -> Message | None:
        return None  # what comes is sorted as it comes, and the reply put at the head

    def _pipe_readable(self, pipe: Pipe) -> None:
        self._queue.add(pipe)
        while (message := self._queue.take()) is not None:
            self._sort(self._queue.source, message)
        self._pump_receivers()

    def _sort(self, pipe: Pipe, message: Message) -> None:
        if not isinstance(message, list) or b"" not in message[:2]:
            pipe.drop(DropReason.MALFORMED)
            return
        end = message.index(b"")
        number = message[0] if end else None
        body = message[end + 1 :]
        if not body:
            pipe.drop(DropReason.MALFORMED)
        elif number is not None and number in self._exchanges:
            exchange = self._exchanges[number]
            exchange.reply = from_frames(body)
            exchange.answered.set()
        elif number is None and self._owing.get(pipe) and _answers_in_turn(pipe):
            self._owing[pipe] -= 1
            pipe.drop(DropReason.STALE_REPLY)
        elif pipe is self._asked and number == self._asked_number:
            self._asked = None
            self._head.append(from_frames(body))
        else:
            self._owing.pop(pipe, None)
            pipe.drop(DropReason.STALE_REPLY)

    def _option_changed(self, name: str) -> None:
        if hasattr(self, "_balancer"):  # else it is being made
            self._balancer.immediate = self.immediate
        super()._option_changed(name)

    # Peers

    def _pipe_opened(self, pipe: Pipe) -> None:
        super()._pipe_opened(pipe)
        if not self.immediate:
            self._pipe_writable(pipe)

    def _pipe_connected(self, pipe: Pipe) -> None:
        if self.probe_router:
            pipe.send(b"")
        super()._pipe_connected(pipe)
        self._pipe_writable(pipe)

    def _pipe_disconnected(self, pipe: Pipe) -> None:
        super()._pipe_disconnected(pipe)
        self._owing.pop(pipe, None)  # a reply goes to the connection that the request came by
        if self.immediate:
            self._balancer.remove(pipe)

    def _pipe_gone(self, pipe: Pipe) -> None:
        super()._pipe_gone(pipe)
        self._owing.pop(pipe, None)
        self._balancer.remove(pipe)

    def _pipe_writable(self, pipe: Pipe) -> None:
        super()._pipe_writable(pipe)
        self._balancer.add(pipe)
        self._pump_senders()


def _answers_in_turn(pipe: Pipe) -> bool:
    """Whether the peer answers each request once, in the order that they came (RFC 28, REP)."""
    return pipe.peer is not None and pipe.peer.socket_type == "REP"
