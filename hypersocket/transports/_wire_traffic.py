"""Traffic in plain frames, which go between the system and the pipe's queues within the core."""

from __future__ import annotations

from typing import Any

import trio

from .._speedups import COMMAND_CAME, ENDED, WRITTEN, FrameDecoder, Wire
from ._fd_traffic import FdTraffic


class WireTraffic(FdTraffic):
    """One connection as a channel of the socket's poller, with no mechanism between.

    Args:
        decoder: the connection's, which cuts no messages itself from now on; None where it does,
            since they may be subscriptions.
    """

    def __init__(self, *args: Any, decoder: FrameDecoder | None, **more: Any) -> None:
        super().__init__(*args, **more)
        self._cuts = decoder is not None
        self._wire = Wire(self._fd, self._pipe, decoder)

    def _settle(self) -> None:
        self._wire.close()

    def _unwritten(self) -> bool:
        return self._wire.has_outgoing

    def _note_life(self) -> None:
        if self._wire.heard:
            self._wire.heard = False
            self._conn.heard()

    def _receive(self) -> None:
        if not self._cuts:
            super()._receive()

    def _digest(self) -> None:
        if not self._cuts:
            super()._digest()
            return
        conn, wire = self._conn, self._wire
        try:
            while not self._ended:
                found = wire.read()
                if found == COMMAND_CAME:
                    self._note_life()
                    self._dispatch(conn.receive_command(wire.command, trio.current_time()))
                    self._after_protocol()
                elif found == ENDED:
                    conn.receive(b"", trio.current_time())
                    conn.next_events()
                    self._end(self._end_of_peer())
                else:
                    return
        except Exception as error:  # noqa: BLE001 - told and logged; ends this peer alone
            self._fail(error)

    def _write(self) -> bool:
        wire = self._wire
        if self._control or self._subscriptions:
            wire.add_control(bytes(self._control))
            self._control.clear()
            while self._subscriptions:
                wire.add_control(self._take_subscriptions())
        return wire.write() == WRITTEN
