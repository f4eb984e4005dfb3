"""What arrived, as it is printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import cast

import trio

from ._formats import Format, Frames
from ._outcome import Failed


class Output:
    """Writes messages to standard output, past Python's buffer, so that they show at once."""

    def __init__(self, form: Format) -> None:
        if cast("object", sys.stdout) is None:
            raise Failed("there is no standard output to write to")
        self._show = form.show
        self._fd = sys.stdout.fileno()

    async def write(self, messages: Sequence[Frames]) -> None:
        """Write them; returns when all is written.

        Cancelled, some may be written later, or not at all.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        data = b"".join(map(self._show, messages))
        # A thread, since whoever reads may be slow, and the sockets have peers to answer.
        await trio.to_thread.run_sync(_write_all, self._fd, data, abandon_on_cancel=True)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
