"""Writes the table of options from their declarations, so that it cannot say anything else.

python docs/_options.py docs/generated
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

import hypersocket as hs  # noqa: E402
from hypersocket import Reason  # noqa: E402
from hypersocket import _option_groups as groups  # noqa: E402
from hypersocket._options import HasOptions, Option, options_of  # noqa: E402

SOCKETS: tuple[type[hs.Socket], ...] = (
    *(hs.Req, hs.Rep, hs.Dealer, hs.Router),
    *(hs.Pub, hs.Sub, hs.XPub, hs.XSub),
    *(hs.Push, hs.Pull, hs.Pair),
)


def option_groups() -> Iterator[type[HasOptions]]:
    """The classes that declare options, in the order of their declaration."""
    for value in vars(groups).values():
        if isinstance(value, type) and issubclass(value, HasOptions) and value is not HasOptions:
            yield value


def declared_in(group: type) -> dict[str, Option[Any]]:
    """The options that a group itself declares."""
    return {name: value for name, value in vars(group).items() if isinstance(value, Option)}


def sockets_with(group: type[HasOptions]) -> list[str]:
    """The socket types that have a group's options."""
    return [socket.__name__ for socket in SOCKETS if issubclass(socket, group)]


def every_option() -> dict[str, Option[Any]]:
    """Every option that some socket has, by name."""
    found: dict[str, Option[Any]] = {}
    for socket in SOCKETS:
        found.update(options_of(socket))
    return found


def render() -> str:
    """The whole table, a part for each group of options, and then the differences from libzmq."""
    lines: list[str] = []
    for group in option_groups():
        owners = sockets_with(group)
        who = "all" if len(owners) == len(SOCKETS) else ", ".join(f"`{name}`" for name in owners)
        lines += [f"## {(group.__doc__ or '').splitlines()[0].rstrip('.')}", ""]
        lines += [f"Which have them: {who}.", ""]
        lines += ["| option | default | a change applies | what it is for |"]
        lines += ["| --- | --- | --- | --- |"]
        lines += [_row(name, option) for name, option in declared_in(group).items()]
        lines += [""]
    lines += ["## Where the default is not libzmq's", ""]
    lines += ["| option | hypersocket | libzmq | why |", "| --- | --- | --- | --- |"]
    for name, option in every_option().items():
        if option.libzmq is not None:
            theirs = option.libzmq.replace("none", "no such option", 1)
            lines.append(f"| `{name}` | {_default(option)} | {theirs} | {option.why} |")
    return "\n".join([*lines, ""])


def _row(name: str, option: Option[Any]) -> str:
    cells = (f"`{name}`", f"{_default(option)}<br>{option.unit}", option.applies, option.doc)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(option: Option[Any]) -> str:
    value = option.default
    if isinstance(value, int) and not isinstance(value, bool) and value >= 2**20:
        return f"`{value:_}`"
    return f"`{value!r}`"


BOUNDS: tuple[tuple[str, str, Reason | None], ...] = (
    ("the size of one message", "maxmsgsize", Reason.MESSAGE_TOO_LARGE),
    ("the frames of one message", "max_frames", Reason.TOO_MANY_FRAMES),
    ("the size of one command", "max_command_size", Reason.COMMAND_TOO_LARGE),
    ("what it tells of itself in the handshake", "max_metadata_size", Reason.METADATA_TOO_LARGE),
    ("the time for the handshake", "handshake_ivl", Reason.HANDSHAKE_TIMEOUT),
    ("handshakes at once, of one endpoint", "max_handshakes", Reason.TOO_MANY_HANDSHAKES),
    ("the size of one topic", "max_topic_size", Reason.TOPIC_TOO_LONG),
    ("subscriptions", "max_subscriptions", Reason.TOO_MANY_SUBSCRIPTIONS),
    ("messages that we hold unread for the user", "rcvhwm", None),
    ("messages that it leaves unread", "sndhwm", None),
)
"""What a peer may cost us: for people, the option, and the reason that is told."""


def render_bounds() -> str:
    """The bounds on what a peer may cost."""
    options = every_option()
    lines = ["| of a peer is bounded | by the option | default | reason that is told |"]
    lines += ["| --- | --- | --- | --- |"]
    for what, name, reason in BOUNDS:
        told = f"`{reason.name}`" if reason else "none: it is read no further, or not sent to"
        unit = options[name].unit.partition(",")[0]
        lines.append(f"| {what} | `{name}` | {_default(options[name])} {unit} | {told} |")
    return "\n".join([*lines, ""])


def write(directory: Path) -> None:
    """Write ``options.md`` and ``bounds.md``, unless they say the same already."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in (("options.md", render()), ("bounds.md", render_bounds())):
        path = directory / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "generated")
