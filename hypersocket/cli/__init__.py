"""The ``hypersocket`` command. Needs nothing but what the package itself needs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn, cast

from .. import HypersocketError, __version__
from . import demo

SUCCEEDED, FAILED, BAD_USAGE = 0, 1, 2

EXAMPLES = """\
examples:
  hypersocket demo               watch each pattern at work
  python -m hypersocket demo     the same, where the command is not on the path
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name; those of the process by default.

    Returns:
        The exit status: 0, 1 where it failed or was interrupted, 2 for bad usage. The reason is
        one line on standard error.
    """
    try:
        _parser().parse_args(argv)
    except SystemExit as leaving:  # --help, --version and bad usage have said what they had to
        return leaving.code if isinstance(leaving.code, int) else FAILED
    if cast("object", sys.stdout) is None:
        return _say("there is no standard output to write to")
    try:
        demo.run()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (KeyboardInterrupt, BaseExceptionGroup, HypersocketError, demo.DemoFailed, OSError) as e:
        return _failed(e)
    return SUCCEEDED


def _failed(error: BaseException) -> int:
    causes = list(_causes(error))
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        return _say("interrupted")
    for cause in causes:
        if not isinstance(cause, (HypersocketError, demo.DemoFailed, OSError)):
            raise error
    return _say(str(causes[0]))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, or where nurseries have wrapped it those that it is made of."""
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _causes(inner)
    else:
        yield error


def _say(reason: str) -> int:
    if cast("object", sys.stderr) is None:
        return FAILED
    print(f"hypersocket: {reason}", file=sys.stderr)
    return FAILED


class _Parser(argparse.ArgumentParser):
    """One line for bad usage, in place of the usage and a line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="hypersocket",
        description="ZeroMQ-style sockets, native to trio.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"hypersocket {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser(
        "demo",
        help="each pattern at work, in this process, over real tcp sockets",
        description="Each pattern at work over real tcp sockets on 127.0.0.1, in this process and"
        " with nothing else running.\nEvery delivery is printed, and checked: the exit status is 1"
        " if one is wrong.",
        epilog="example:\n  hypersocket demo\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser
