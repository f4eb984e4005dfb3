"""``hypersocket push``, ``pull``, ``pub``, ``sub``, ``req`` and ``rep``."""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

import click

from .. import Pub, Pull, Push, Rep, Req, Socket, Sub
from . import _signals, _traffic
from ._command import Command
from ._formats import FORMATS, Format, FormatError, Frames
from ._input import Given, Lines, Source, Whole
from ._logging import connections_option
from ._outcome import Failed
from ._progress import FileProgress
from ._traffic import Settings
from ._types import (
    Seconds,
    check_endpoints,
    linger_option,
    read_options,
    socket_option,
    split_options,
)

F = TypeVar("F", bound=Callable[..., Any])
Work: TypeAlias = Callable[[], int]
"""What a command returns: it is done when the command line has been understood."""

Sender: TypeAlias = Callable[[Settings, Source, _traffic.Told, _signals.Stop], Awaitable[int]]

_COUNT = {
    "send": "Send N messages and end: --data is repeated as often as that takes, and of a file"
    " no more is sent.",
    "receive": "End after N messages.",
    "answer": "End after N requests.",
}


def _common(count: str, timeout: str, linger: str = "5") -> Callable[[F], F]:
    """What all of them have."""
    decorators = [
        click.argument("endpoints", metavar="ENDPOINT...", nargs=-1, required=True),
        click.option("--bind", is_flag=True, help="Listen at ENDPOINT, rather than connect to it."),
        click.option(
            "--format",
            "form",
            type=click.Choice(list(FORMATS)),
            default="text",
            show_default=True,
            help="How messages are written and printed.",
        ),
        click.option("--count", type=click.IntRange(min=1), metavar="N", help=_COUNT[count]),
        click.option("--timeout", type=Seconds(), metavar="S", help=timeout),
        linger_option(f"--timeout, or else {linger}"),
        connections_option,
        socket_option(),
    ]

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _data(what: str) -> Callable[[F], F]:
    return click.option("--data", multiple=True, metavar="TEXT", help=f"{what} Repeatable.")


_print = click.option(
    "--print",
    "printed",
    type=click.Choice(list(FORMATS)),
    help="How messages are printed, where that is to differ from --format.",
)

_file = click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="F",
    help="Send the lines of this file, or with --format raw all of it as one message.",
)


def _settings(socket_type: type[Socket], given: dict[str, Any], **defaults: str) -> Settings:
    """The settings that all of them have, checked."""
    check_endpoints(given["endpoints"], "ENDPOINT", binding=given["bind"])
    options = split_options(given["options"])
    timeout, linger = given["timeout"], given["linger"]
    if linger is not None:
        options["linger"] = repr(linger)
    elif timeout is not None:
        options.setdefault("linger", repr(timeout))
    for name, value in defaults.items():
        options.setdefault(name, value)
    return Settings(
        endpoints=given["endpoints"],
        bind=given["bind"],
        form=FORMATS[given["form"]],
        timeout=math.inf if timeout is None else timeout,
        options=read_options(options, socket_type),
        count=given["count"],
        printed=FORMATS[given["printed"]] if given.get("printed") else None,
    )


def _read_data(data: tuple[str, ...], form: Format) -> list[Frames]:
    messages: list[Frames] = []
    for text in data:
        try:
            messages.append(form.parse(os.fsencode(text)))
        except FormatError as error:
            raise click.BadParameter(str(error), param_hint="--data") from None
    return messages


def _sending(send: Sender, settings: Settings, data: tuple[str, ...], file: str | None) -> Work:
    """Send what the command line gives, or the file, or standard input."""
    if data and file is not None:
        raise click.UsageError("--data and --file exclude each other")
    messages = _read_data(data, settings.form)

    def work() -> int:
        logging.getLogger("hypersocket").addFilter(_not_of_drops)
        if messages:
            given = Given(messages, settings.count)
            return _signals.run(partial(send, settings, given, _not_told))
        with _opened(file) as fd:
            name = "standard input" if file in {None, "-"} else str(file)
            source = _source(fd, name, settings)
            with FileProgress(name, fd if file not in {None, "-"} else None) as progress:
                return _signals.run(partial(send, settings, source, progress.sent))

    return work


def _not_of_drops(record: logging.LogRecord) -> bool:
    """Whether the record is of something else than drops, of which the command itself tells."""
    return "dropping messages" not in str(record.msg)


def _not_told(position: int) -> None:
    """Messages from the command line are not worth a progress bar."""


def _opened(file: str | None) -> AbstractContextManager[int]:
    if file is None or file == "-":
        if cast("object", sys.stdin) is None:
            raise Failed("there is no standard input to read, and neither --data nor --file")
        return nullcontext(sys.stdin.fileno())
    return _File(file)


class _File(AbstractContextManager[int]):
    """A file, by its descriptor."""

    def __init__(self, name: str) -> None:
        self._fd = os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _source(fd: int, name: str, settings: Settings) -> Source:
    if settings.form.lines:
        return Lines(fd, name, settings.form, settings.count)
    return Whole(fd)


@click.command(
    cls=Command,
    examples={
        "hypersocket push tcp://127.0.0.1:5557 --data 'one job'": "Send one message",
        "seq 1000 | hypersocket push --bind 'tcp://*:5557'": "Share out lines among those who pull",
        "hypersocket push tcp://127.0.0.1:5557 --format raw --file picture.png --timeout 10": (
            "Send a file as one message, and fail if nobody took it in ten seconds"
        ),
    },
)
@_common(
    "send",
    "Fail when nobody takes a message for S seconds, or all is not written S seconds after the"
    " last.",
)
@_data("A message to send.")
@_file
def push(data: tuple[str, ...], file: str | None, **given: Any) -> Work:
    """Send messages, each to one of those who pull.

    They are what --data gives, or else the lines of a file or of standard input. It ends when all
    are written, with status 1 if some could not be.
    """
    return _sending(_traffic.push, _settings(Push, given), data, file)


@click.command(
    cls=Command,
    examples={
        "hypersocket pub --bind 'tcp://*:5556' --topic weather --data 'rain at ten'": (
            "Publish one message of two frames, when somebody has subscribed to it"
        ),
        "tail -f log | hypersocket pub tcp://127.0.0.1:5556 --wait-subscribers 0": (
            "Publish lines to a forwarder, whether somebody listens or not"
        ),
    },
)
@_common("send", "Fail when the subscribers have not come within S seconds.")
@click.option("--topic", metavar="T", help="Send this as the first frame of each message.")
@click.option(
    "--wait-subscribers",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Wait for N subscribers, to --topic if it is given, before the first message.",
)
@_data("A message to publish.")
@_file
def pub(
    data: tuple[str, ...],
    file: str | None,
    topic: str | None,
    wait_subscribers: int,
    **given: Any,
) -> Work:
    """Send messages to all who subscribe to what they begin with.

    They are what --data gives, or else the lines of a file or of standard input. It ends when all
    are written, with status 1 if some could not be, or were dropped for a subscriber that was
    full.
    """
    settings = replace(
        _settings(Pub, given),
        topics=() if topic is None else (os.fsencode(topic),),
        subscribers=wait_subscribers,
    )
    return _sending(_traffic.pub, settings, data, file)


@click.command(
    cls=Command,
    examples={
        "hypersocket req tcp://127.0.0.1:5555 --data 'how many?' --timeout 5": (
            "Ask once, and wait for the reply for five seconds"
        ),
        "hypersocket req tcp://127.0.0.1:5555 < questions.txt > answers.txt": (
            "Ask each line, one after another"
        ),
    },
)
@_common("send", "Fail when a reply does not come for S seconds.", linger="0")
@_print
@_data("A request to send.")
@_file
def req(data: tuple[str, ...], file: str | None, **given: Any) -> Work:
    """Send requests, one after another, and print the replies.

    They are what --data gives, or else the lines of a file or of standard input.
    """
    # A request whose reply nobody waits for any more need not be written.
    return _sending(_traffic.req, _settings(Req, given, linger="0"), data, file)


@click.command(
    cls=Command,
    examples={
        "hypersocket rep --bind 'tcp://*:5555'": "Answer each request with itself",
        "hypersocket rep tcp://127.0.0.1:5560 --data yes --data no": (
            "Serve behind a queue, with yes and no by turns"
        ),
    },
)
@_common("answer", "Fail when no request comes for S seconds.")
@_print
@_data("A reply; several are given in turn.")
def rep(data: tuple[str, ...], **given: Any) -> Work:
    """Print requests, and answer each with --data, or else with itself.

    It runs until SIGINT or SIGTERM, which end it with status 0, or 1 if --count is not reached.
    """
    settings = _settings(Rep, given)
    replies = _read_data(data, settings.form)
    return partial(_signals.run, partial(_traffic.rep, settings, replies))


@click.command(
    cls=Command,
    examples={
        "hypersocket pull --bind 'tcp://*:5558'": "Print what is pushed here, a line each",
        "hypersocket pull tcp://127.0.0.1:5557 --format raw --count 1 > picture.png": (
            "Take one message as it is"
        ),
    },
)
@_common("receive", "Fail when nothing arrives for S seconds.")
def pull(**given: Any) -> Work:
    """Print what is pushed.

    It runs until SIGINT or SIGTERM, which end it with status 0 when all that was received is
    printed, or 1 if --count is not reached.
    """
    return partial(_signals.run, partial(_traffic.pull, _settings(Pull, given)))


@click.command(
    cls=Command,
    examples={
        "hypersocket sub tcp://127.0.0.1:5556": "Print all that is published",
        "hypersocket sub tcp://127.0.0.1:5556 --topic weather --topic sport --format json": (
            "Print what begins with one of two topics, exactly"
        ),
    },
)
@_common("receive", "Fail when nothing arrives for S seconds.")
@click.option(
    "--topic",
    "topics",
    multiple=True,
    metavar="T",
    help="Subscribe to what begins with this; to everything by default. Repeatable.",
)
def sub(topics: tuple[str, ...], **given: Any) -> Work:
    """Print what is published.

    It runs until SIGINT or SIGTERM, which end it with status 0 when all that was received is
    printed, or 1 if --count is not reached.
    """
    settings = replace(_settings(Sub, given), topics=tuple(map(os.fsencode, topics)))
    return partial(_signals.run, partial(_traffic.sub, settings))
