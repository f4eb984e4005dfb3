"""What a command says of its work on standard error: warnings, and with ``--verbose`` more."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from ._outcome import say, telling

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Wishes:
    """What options have asked for that commands are not told of.

    Attributes:
        level: the least grave that is to be said.
    """

    level: int = logging.WARNING


def verbose_option(level: int, what: str) -> Callable[[F], F]:
    """``--verbose``; see :func:`begin`.

    Args:
        level: at which there is something to say that is of use.
        what: that is.
    """

    def remember(ctx: click.Context, _: click.Parameter, verbose: bool) -> None:
        wishes = ctx.find_object(Wishes)
        if wishes is not None and verbose:
            wishes.level = level

    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=remember,
        help=f"Tell on standard error of {what}, too.",
    )


connections_option = verbose_option(
    logging.DEBUG, "connections that end or cannot be made, and of what is dropped"
)


def begin(wishes: Wishes) -> None:
    """Log as was asked for."""
    logging.basicConfig(handlers=[_Lines(wishes)], level=logging.WARNING)
    ours = wishes.level if wishes.level < logging.WARNING else logging.NOTSET
    logging.getLogger("hypersocket").setLevel(ours)


class _Lines(logging.Handler):
    """A line on standard error for each record; where an error was, its traceback if verbose."""

    def __init__(self, wishes: Wishes) -> None:
        super().__init__()
        self._wishes = wishes

    def emit(self, record: logging.LogRecord) -> None:
        """Write it."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            say(record.getMessage())
        elif self._wishes.level < logging.WARNING:
            say(record.getMessage())
            with telling():
                traceback.print_exception(error)
        else:
            say(f"{record.getMessage()}: {error!r} (with --verbose, also where that was)")
