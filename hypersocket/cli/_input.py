"""What is to be sent: texts that are given, or the lines of a file or of standard input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from typing import Protocol

import trio

from ._formats import Format, FormatError, Frames
from ._outcome import Failed

READ_SIZE = 256 * 1024


class Source(Protocol):
    """Where messages come from."""

    position: int
    """How many bytes of the input the messages that were taken came from."""

    async def batch(self) -> list[Frames]:
        """The next messages; none at the end."""
        ...


class Given:
    """Messages from the command line, as often as is asked for."""

    def __init__(self, messages: list[Frames], count: int | None) -> None:
        self.position = 0
        self._left = islice(cycle(messages), len(messages) if count is None else count)

    async def batch(self) -> list[Frames]:
        """The next messages; none at the end."""
        await trio.lowlevel.checkpoint()
        return list(islice(self._left, 1000))


class Lines:
    """A message for each line of a file.

    Args:
        fd: the file; it is read in a thread, and may be a terminal or a pipe.
        name: for errors.
        form: how a line is written.
        count: the most messages to take.
    """

    def __init__(self, fd: int, name: str, form: Format, count: int | None) -> None:
        self.position = 0
        self._fd = fd
        self._name = name
        self._parse = form.parse
        self._left = count
        self._number = 0
        self._rest: list[bytes] = []  # of a line whose end is not here yet
        self._ended = False
        self._wrong: Failed | None = None

    async def batch(self) -> list[Frames]:
        """The next messages; none at the end.

        Raises:
            Failed: a line that is not written as the format asks. Those before it are given first.
        """
        while not self._ended and self._left != 0:
            if self._wrong is not None:
                raise self._wrong
            data = await _read(self._fd)
            self._ended = not data
            self.position += len(data)
            messages = list(self._messages(self._lines(data)))
            if messages:
                return messages
        if self._wrong is not None:
            raise self._wrong
        await trio.lowlevel.checkpoint()
        return []

    def _lines(self, data: bytes) -> list[bytes]:
        """The lines that are complete."""
        if data:
            *lines, rest = data.split(b"\n")
            if lines:
                lines[0] = b"".join([*self._rest, lines[0]])
                self._rest.clear()
            self._rest.append(rest)
            return lines
        last = b"".join(self._rest)
        return [last] if last else []

    def _messages(self, lines: Iterable[bytes]) -> Iterator[Frames]:
        for line in lines:
            if self._left == 0:
                return
            self._number += 1
            try:
                message = self._parse(line)
            except FormatError as error:
                self._wrong = Failed(f"{self._name}, line {self._number}: {error}")
                return
            if self._left is not None:
                self._left -= 1
            yield message


class Whole:
    """All of a file as one message."""

    def __init__(self, fd: int) -> None:
        self.position = 0
        self._fd = fd
        self._taken = False

    async def batch(self) -> list[Frames]:
        """The message; after that, none."""
        if self._taken:
            await trio.lowlevel.checkpoint()
            return []
        parts: list[bytes] = []
        while data := await _read(self._fd):
            parts.append(data)
        self._taken = True
        whole = b"".join(parts)
        self.position = len(whole)
        return [[whole]]


async def _read(fd: int) -> bytes:
    # A thread, since a terminal or a pipe may keep us waiting. One that still waits when the
    # command ends does not hold it up, and what it reads after that nobody misses.
    return await trio.to_thread.run_sync(os.read, fd, READ_SIZE, abandon_on_cancel=True)
