"""The ``hypersocket`` command, made with click and rich: ``pip install 'hypersocket[cli]'``.

``hypersocket demo`` needs neither.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import cast

from ._outcome import FAILED, SUCCEEDED, Failed, finish, say

MISSING = "this needs click and rich: pip install 'hypersocket[cli]'"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name; those of the process by default.

    Returns:
        The exit status: 0, 1 where it failed or was interrupted, 2 for bad usage or configuration.
        The reason is one line on standard error.
    """
    return finish(partial(_main, sys.argv[1:] if argv is None else list(argv)))


def _main(arguments: list[str]) -> int:
    try:
        import click as click
    except ModuleNotFoundError:
        return demonstrate() if arguments == ["demo"] else say(MISSING)
    from ._root import run

    return run(arguments)


def demonstrate() -> int:
    """Show each pattern and device at work; returns the exit status."""
    from . import demo

    if cast("object", sys.stdout) is None:
        raise Failed("there is no standard output to write to")
    demo.run()
    return SUCCEEDED


__all__ = ["FAILED", "SUCCEEDED", "main"]
