"""Traffic in plain frames, which go between the system and the pipe's queues within the core."""

from __future__ import annotations

from typing import Any

import trio

from .._speedups import COMMAND_CAME, ENDED, FrameDecoder, Wire
from ._fd_traffic import TAKES_TURNS, FdTraffic
from ._poller import Channel


class WireTraffic(FdTraffic):
    """One connection whose :class:`Wire` is the channel of the poller, with no mechanism between.

    What is here is what the wire leaves to its owner.

    Args:
        decoder: the connection's, which cuts no messages itself from now on; None where it does,
            since they may be subscriptions.
    """

    def __init__(self, *args: Any, decoder: FrameDecoder | None, **more: Any) -> None:
        super().__init__(*args, **more)
        self._cuts = decoder is not None
        poller = self._poller
        self._wire = Wire(self._fd, self._pipe, decoder, self, poller.dirty, poller.ring_flusher)
        self._wire.eager = self._host.socket_type in TAKES_TURNS

    def start(self) -> bool:
        """Join the poller."""
        if not self._ended:
            self._pipe.outlet = self._wire
        return super().start()

    def _channel(self) -> Channel:
        return self._wire

    def _let_write(self, allowed: bool) -> None:
        self._wire.writes = allowed

    def _is_blocked(self) -> bool:
        return self._wire.blocked

    def _settle(self) -> None:
        if self._pipe.outlet is self._wire:
            self._pipe.outlet = None
        self._wire.close()

    def _unwritten(self) -> bool:
        return self._wire.has_outgoing

    def _between_messages(self) -> bool:
        return self._wire.between_messages if self._cuts else super()._between_messages()

    # Reading

    @trio.lowlevel.enable_ki_protection
    def read_slowly(self) -> None:
        """Read where that is not ordinary: at the end, without room, or for a publisher."""
        self._read()

    def _receive(self) -> None:
        if not self._cuts:
            super()._receive()

    @trio.lowlevel.enable_ki_protection
    def _digest(self) -> None:
        if not self._cuts:
            super()._digest()
            return
        try:
            if found := self._wire.read():
                self.found(found)
        except Exception as error:  # noqa: BLE001 - told and logged; ends this peer alone
            self._fail(error)

    @trio.lowlevel.enable_ki_protection
    def found(self, found: int) -> None:
        """Something came that is no message."""
        conn, wire = self._conn, self._wire
        try:
            while not self._ended:
                if found == COMMAND_CAME:
                    self._note_life()
                    self._dispatch(conn.receive_command(wire.command, trio.current_time()))
                    self._after_protocol()
                    found = wire.read()
                elif found == ENDED:
                    conn.receive(b"", trio.current_time())
                    conn.next_events()
                    self._end(self._end_of_peer())
                else:
                    return
        except Exception as error:  # noqa: BLE001 - told and logged; ends this peer alone
            self._fail(error)

    def failed(self, error: Exception) -> None:
        """Something was wrong with what came, or with what was to be sent."""
        self._fail(error)

    def time_is_up(self, now: float) -> None:
        """A deadline that was asked for has come."""
        # Of a large message, what has come may not have been worth waking for.
        if not self._ended and self._cuts and self._wire.reads:
            self._digest()
        super().time_is_up(now)

    def _note_life(self) -> None:
        if self._wire.heard:
            self._wire.heard = False
            self._conn.heard()

    def finish(self, deadline: float) -> None:
        """Write what is left, say that no more comes, and end by ``deadline``."""
        self._wire.read_no_more()  # each read is ours from now on: see _read
        super().finish(deadline)

    # Writing

    def outgoing(self) -> None:
        """There is something to write."""
        if self._control or self._subscriptions:
            self._wire.has_control = True
        self._wire.outgoing()

    @trio.lowlevel.enable_ki_protection
    def flush(self) -> None:
        """Write at once what can be written without waiting."""
        self._wire.flush()

    def add_control(self) -> None:
        """Give the wire what goes before the next message."""
        if self._control:
            self._wire.add_control(bytes(self._control))
            self._control.clear()
        while self._subscriptions:
            self._wire.add_control(self._take_subscriptions())

    def write_blocked(self) -> None:
        """The system takes no more for now, or takes some again."""
        self._want()

    def write_failed(self) -> None:
        """The connection is broken."""
        # What the peer wrote before it went can still be read; the end comes with that.
        self._write_broken = True
        self._wire.writes = False
        self._wire.blocked = False
        self._want()
