"""The first bytes of a message that is checked: a topic, what it is for, and its number.

Not every message carries one: a receiver that finds each in its place knows that none between
them was lost or came twice, and the check costs the same next to nothing for each peer.
"""

from __future__ import annotations

import struct

from .speak import WrongMessage

_LAYOUT = struct.Struct("<cB6xQ")
SIZE = _LAYOUT.size
TOPIC = b"#"

RUN, START, END, HELLO = 0, 1, 2, 3


def stamped(kind: int, number: int, size: int) -> bytes:
    """A message of ``size`` bytes with a stamp."""
    return _LAYOUT.pack(TOPIC, kind, number).ljust(size, b".")


def plain(size: int) -> bytes:
    """A message of ``size`` bytes without one."""
    return b"-" * size


def check(message: bytes, number: int, size: int) -> int:
    """Read the stamp of the message that should be number ``number``; returns its kind.

    Raises:
        WrongMessage: it is another message, or none of ours.
    """
    if len(message) != size:
        raise WrongMessage(f"message {number} has {len(message)} bytes in place of {size}")
    topic, kind, found = _LAYOUT.unpack_from(message)
    if topic != TOPIC:
        raise WrongMessage(f"message {number} has no stamp: lost, repeated or out of order")
    if found != number:
        raise WrongMessage(f"expected message {number} and received {found}")
    return int(kind)


def kind_of(message: bytes) -> int:
    """What a stamped message is for, whatever its number."""
    return message[1]


def number_of(message: bytes) -> int:
    """The number of a stamped message."""
    return int(_LAYOUT.unpack_from(message)[2])
