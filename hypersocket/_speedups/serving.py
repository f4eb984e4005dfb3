"""The connections of a poller, and what is done for many of them at once.

The compiled form is ``_serving.pyx``, in which nothing of Python stands between the system and the
wires; a test drives both side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .wire import forget_shared

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_LOOKED_AT = 8
"""Descriptors that :func:`look` takes."""

MOST_SERVED = 256
"""Channels that :meth:`Channels.serve` serves."""


class Channels:
    """The connections of a poller, by their descriptors.

    A channel has ``ready(events)``, which reads and writes what can be, and ``flush()``, which
    writes what waits to be written. Neither raises.
    """

    def __init__(self) -> None:
        self._all: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, fd: int, channel: Any) -> None:
        """Have a channel for this descriptor."""
        if fd < 0:
            raise ValueError(f"fd={fd}: expected a descriptor")
        self._all[fd] = channel

    def remove(self, fd: int) -> bool:
        """Have none for it any more; returns whether there was one."""
        return self._all.pop(fd, None) is not None

    def only(self) -> int:
        """The descriptor of the one channel that there is; -1 where there are none, or more."""
        if len(self._all) != 1:
            return -1
        (fd,) = self._all
        return fd

    def ready(self, fd: int, events: int) -> None:
        """Have the channel of a descriptor, if there is one, read and write."""
        # None, if another of this round has ended it. Its number is nobody else's yet: only
        # tasks open descriptors, and none runs meanwhile.
        channel = self._all.get(fd)
        if channel is not None:
            channel.ready(events)

    def serve(self, epoll: Any, most: int) -> None:
        """Have those that are ready by now read and write, each told of its events.

        Args:
            epoll: the set that they are in, a ``select.epoll``.
            most: no more than so many, up to :data:`MOST_SERVED`.

        Raises:
            OSError: the set cannot be asked.
        """
        if not 0 < most <= MOST_SERVED:
            raise ValueError(f"most={most}: expected 1 to {MOST_SERVED}")
        for fd, events in epoll.poll(0, most):
            self.ready(fd, events)


def flush_dirty(dirty: list[Any]) -> None:
    """Have the channels of the list written, and those that come into it meanwhile."""
    while dirty:
        some = dirty[:]
        dirty.clear()
        for channel in some:
            channel.flush()
        forget_shared()


def look(descriptors: Sequence[int], seconds: float) -> int:  # noqa: ARG001
    """Look for something to read, for so many seconds.

    Only the compiled form looks; it lets other threads run meanwhile.

    Returns:
        The place of the first descriptor that can be read; -1 if none can.
    """
    return -1
