"""How a command ends: its exit status, and the one line that says why."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import cast

from .. import HypersocketError

SUCCEEDED, FAILED, BAD_USAGE = 0, 1, 2


class Failed(Exception):
    """The command cannot do what it was asked to; the text is the one line that says why.

    Attributes:
        status: the exit status.
    """

    def __init__(self, reason: str, status: int = FAILED) -> None:
        super().__init__(reason)
        self.status = status


def finish(work: Callable[[], int | None], *known: type[Exception]) -> int:
    """Do the work of a command, and tell what went wrong in one line.

    Args:
        work: returns the exit status; None is success.
        known: what may go wrong apart from :class:`Failed`, the network and the system.

    Returns:
        The exit status. Any other exception is a mistake of ours and is raised.
    """
    try:
        status = work()
        if cast("object", sys.stdout) is not None:
            sys.stdout.flush()
    except (KeyboardInterrupt, Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - see below
        return _failed(error, (Failed, HypersocketError, OSError, *known))
    return status or SUCCEEDED


def _failed(error: BaseException, known: tuple[type[Exception], ...]) -> int:
    causes = list(_causes(error))
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        return say("interrupted")
    if any(isinstance(cause, BrokenPipeError) for cause in causes):
        return _reader_left()
    for cause in causes:
        if not isinstance(cause, known):
            raise error
    first = causes[0]
    say(str(first))
    return first.status if isinstance(first, Failed) else FAILED


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, or where nurseries have wrapped it those that it is made of."""
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _causes(inner)
    else:
        yield error


def _reader_left() -> int:
    # Whoever read the output has seen enough. Python would complain once more at its exit.
    if cast("object", sys.stdout) is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def messages(number: int) -> str:
    """How many, in words."""
    return f"{number} message{'' if number == 1 else 's'}"


@contextmanager
def telling() -> Generator[None]:
    """For writing to standard error: what cannot be told ends nothing."""
    try:
        yield
    except BrokenPipeError:
        # Whoever read it has gone. Python would try once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    except OSError:
        pass  # a full disk, which may have room again


_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
"""What could command the terminal: texts may come from peers and from files."""


def _escape(match: re.Match[str]) -> str:
    return f"\\x{ord(match.group()):02x}"


def say(text: str, who: str = "hypersocket") -> int:
    """Write one line to standard error, if anybody reads it; returns the status of a failure."""
    if cast("object", sys.stderr) is not None:
        line = _CONTROLS.sub(_escape, " ".join(f"{who}: {text}".split()))
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        with telling():
            print(line.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)
    return FAILED
