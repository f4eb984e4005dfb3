"""Whether anybody is there to take messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from .... import _events as events

FIRST_LOOK, LONGEST_LOOK = 0.005, 0.1
"""Seconds between two looks for a subscription, of which sockets do not tell."""


class Peers:
    """Knows whether a PUSH has a peer, or a PUB a subscriber.

    Args:
        socket: the socket.
        on_change: called when that changes.

    Attributes:
        present: whether somebody is there.
    """

    def __init__(self, socket: Any, on_change: Callable[[], None]) -> None:
        self.present = False
        self._socket = socket
        self._subscribes = socket.socket_type == "PUB"
        self._on_change = on_change

    async def watch(self) -> None:
        """Learn who comes and goes, until cancelled."""
        async with self._socket.monitor() as monitor:
            pause = FIRST_LOOK
            while True:
                undecided = self._look()
                event = None
                with trio.move_on_after(pause if undecided else float("inf")):
                    event = await monitor.__anext__()
                    while not isinstance(event, _TELLING):
                        event = await monitor.__anext__()
                pause = min(2 * pause, LONGEST_LOOK) if event is None else FIRST_LOOK

    def _look(self) -> bool:
        """See who is there; True where a peer is connected, and may subscribe at any time."""
        peers = [peer for peer in self._socket.stats().peers if peer.connected]
        here = [peer for peer in peers if peer.subscriptions or not self._subscribes]
        if self.present is not bool(here):
            self.present = bool(here)
            self._on_change()
        return bool(peers) and not here


_TELLING = (events.Disconnected, events.HandshakeSucceeded, events.EventsMissed)
