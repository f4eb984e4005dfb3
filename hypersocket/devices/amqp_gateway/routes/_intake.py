"""What a socket receives, on its way out before any task is woken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Forward: TypeAlias = Callable[[list[Any]], int]
"""Is given messages that came together, and says how many more may come now."""


class Intake:
    """Gives messages to a function where they are read: those of one round of reading together.

    To the socket that it takes from, it is what a device feeds: told to write when all that could
    be read has been.

    Args:
        socket: what to take from.
        forward: what to give messages to. It may not wait. What it raises ends :meth:`take`.
        stop: cancels :meth:`take`.

    Attributes:
        fed: the socket is reading, and calls :meth:`write` after it.
    """

    def __init__(self, socket: Any, forward: Forward, stop: Callable[[], None]) -> None:
        self.fed = False
        self._socket = socket
        self._forward = forward
        self._stop = stop
        self._came: list[Any] = []
        self._room = 0
        self._error: Exception | None = None

    async def take(self, room: int) -> None:
        """Wait for messages and have them forwarded, until there is no room for more.

        Args:
            room: for how many there is.

        Cancelled, nothing is lost: what was taken has been forwarded.
        """
        self._room = room
        self._socket._feed(self)
        try:
            await self._socket._pass_on(self._take, 1)
        finally:
            self._socket._feed_no_more(self)
            self.write()
            error, self._error = self._error, None
            if error is not None:
                raise error

    def _take(self, messages: list[Any]) -> bool:
        self._came += messages
        self._room -= len(messages)
        # What comes otherwise than by reading is forwarded by the task.
        return self.fed and self._room > 0

    def write(self) -> None:
        """Forward what came."""
        if not self._came:
            return
        came, self._came = self._came, []
        try:
            self._room = self._forward(came)
        except Exception as error:  # noqa: BLE001 - take() raises it: others read here, too
            self._error = error
            self._room = 0
        if self._room <= 0:
            self._stop()
