"""The exclusive pair pattern (RFC 31): PAIR talks to one peer, both ways."""

from __future__ import annotations

from .._errors import HandshakeError
from .._message import Message
from .._reasons import Reason
from ..transports import Pipe
from ._sending import BatchSender
from .pipeline import FairReceiver


class Pair(FairReceiver, BatchSender):
    """Sends to and receives from its one PAIR peer; others are refused while it is there."""

    socket_type = "PAIR"

    def _prepare(self) -> None:
        super()._prepare()
        self._only: Pipe | None = None

    def _pipe_opened(self, pipe: Pipe) -> None:
        super()._pipe_opened(pipe)
        if self._only is None:
            self._only = pipe
            self._pump_senders()

    def _pipe_connected(self, pipe: Pipe) -> None:
        if self._only is None:
            self._only = pipe
        elif self._only is not pipe:
            raise HandshakeError("a PAIR talks to one peer, and has it already", Reason.BUSY)
        super()._pipe_connected(pipe)
        self._pump_senders()

    def _pipe_gone(self, pipe: Pipe) -> None:
        super()._pipe_gone(pipe)
        if pipe is self._only:
            # Another endpoint that was refused so far may take the place at its next attempt.
            self._only = next((one for one in self._host.pipes if one.dialled), None)
            self._pump_senders()

    def _pipe_writable(self, pipe: Pipe) -> None:
        super()._pipe_writable(pipe)
        self._pump_senders()

    def _usable(self) -> Pipe | None:
        pipe = self._only
        if pipe is None or (self.immediate and not pipe.connected) or not pipe.writable:
            return None
        return pipe

    def _offer(self, message: Message) -> bool:
        pipe = self._usable()
        if pipe is None:
            return False
        pipe.send(message)
        return True

    def _offer_batch(self, messages: list[Message]) -> bool:
        pipe = self._usable()
        if pipe is None:
            return False
        if pipe.room_out < len(messages) and not pipe.flushed:
            pipe.want_room()
            return False
        for message in messages:
            pipe.send(message)
        return True
