"""The pipeline pattern (RFC 30): PUSH spreads messages over its peers, PULL collects them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._message import Message
from .._option_groups import ConflateOptions
from .._speedups import (
    SHORT_WAYS,
    BatchReceivePath,
    FairQueue,
    LoadBalancer,
    MultipartReceivePath,
    ReceivePath,
    SendPath,
    ShortWays,
)
from ..transports import Pipe
from ._receiving import BatchReceiver
from ._sending import BatchSender


class BalancedSender(BatchSender):
    """A socket whose messages go to its peers in turn, and wait while none has room."""

    def _prepare(self) -> None:
        super()._prepare()
        self._balancer = LoadBalancer(self.immediate)
        self._send_path = SendPath(self._balancer, self._senders, self._budget, super().send)

    if not TYPE_CHECKING and SHORT_WAYS:
        send = ShortWays.short_send

    def _opening(self) -> None:
        super()._opening()
        self._send_path.is_open = True

    def _closing(self) -> None:
        self._send_path.is_open = False
        super()._closing()

    def _option_changed(self, name: str) -> None:
        if hasattr(self, "_balancer"):  # else it is being made
            self._balancer.immediate = self.immediate
        super()._option_changed(name)

    def _pipe_opened(self, pipe: Pipe) -> None:
        super()._pipe_opened(pipe)
        if not self.immediate:
            self._pipe_writable(pipe)

    def _pipe_connected(self, pipe: Pipe) -> None:
        super()._pipe_connected(pipe)
        self._pipe_writable(pipe)

    def _pipe_disconnected(self, pipe: Pipe) -> None:
        super()._pipe_disconnected(pipe)
        if self.immediate:
            self._balancer.remove(pipe)

    def _pipe_gone(self, pipe: Pipe) -> None:
        super()._pipe_gone(pipe)
        self._balancer.remove(pipe)

    def _pipe_writable(self, pipe: Pipe) -> None:
        super()._pipe_writable(pipe)
        self._balancer.add(pipe)
        self._pump_senders()

    def _offer(self, message: Message) -> bool:
        return self._balancer.send(message)

    def _offer_batch(self, messages: list[Message]) -> bool:
        return self._balancer.send_batch(messages)


class FairReceiver(BatchReceiver):
    """A socket that takes messages from its peers in turn."""

    def _prepare(self) -> None:
        super()._prepare()
        self._queue = self._inlet = FairQueue(self._receivers)
        common = self._queue, self._head, self._receivers, self._budget
        ready = self._host.poller.serve, self._host.poller.look
        single = ReceivePath(*common, super().recv, *ready)
        multipart = MultipartReceivePath(*common, super().recv_multipart, *ready)
        many = BatchReceivePath(*common, super().recv_many, *ready)
        self._receive_path, self._receive_multipart_path = single, multipart
        self._receive_many_path = many
        self._short_ways += [single, multipart, many]

    if not TYPE_CHECKING and SHORT_WAYS:
        recv = ShortWays.short_recv
        recv_multipart = ShortWays.short_recv_multipart
        recv_many = ShortWays.short_recv_many

    def _pipe_readable(self, pipe: Pipe) -> None:
        self._queue.add(pipe)
        self._pump_receivers()

    def _fetch(self) -> Message | None:
        return self._queue.take()

    def _fetch_singles(self, most: int) -> list[bytes]:
        return self._queue.take_singles(most)


class Push(ConflateOptions, BalancedSender):
    """Sends each message to one of its PULL peers, in turn; waits while none has room."""

    socket_type = "PUSH"


class Pull(ConflateOptions, FairReceiver):
    """Receives from its PUSH peers, in turn."""

    socket_type = "PULL"
    _takes_rest = True
