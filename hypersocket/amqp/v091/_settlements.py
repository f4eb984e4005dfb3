"""Which deliveries are unsettled, and how to say in few words what became of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from ._message import ACCEPTED, REJECTED, RELEASED, UNSETTLED, Message

_pack = struct.Struct("!BHIIQBB").pack
_ACK: Final = 60 << 16 | 80
_REJECT: Final = 60 << 16 | 90
_NACK: Final = 60 << 16 | 120
_END: Final = 0xCE

# What is written for a verdict: for one delivery, and for all up to one.
_ONE: Final = {ACCEPTED: (_ACK, 0), REJECTED: (_REJECT, 0), RELEASED: (_REJECT, 1)}
_UP_TO: Final = {ACCEPTED: (_ACK, 1), REJECTED: (_NACK, 1), RELEASED: (_NACK, 3)}


class Settlements:
    """The deliveries of one channel that the broker waits to hear of.

    What is settled is only noted; :meth:`write` says it all, with one frame for each run of equal
    verdicts from the oldest on, and one for each delivery beyond a gap.
    """

    def __init__(self) -> None:
        self._verdicts: dict[int, int] = {}  # in the order of the tags
        self._beyond: list[int] = []  # settled since the last write
        self._unsettled = 0

    @property
    def unsettled(self) -> int:
        """Deliveries that nothing was said of."""
        return self._unsettled

    @property
    def unwritten(self) -> bool:
        """Whether something was settled since the last :meth:`write`."""
        return bool(self._beyond)

    def add(self, messages: Sequence[Message]) -> None:
        """They were delivered."""
        self._verdicts.update([(message.tag, UNSETTLED) for message in messages])
        self._unsettled += len(messages)

    def settle(self, messages: Sequence[Message], verdict: int) -> None:
        """Note a verdict.

        Raises:
            ValueError: one was settled before, or comes from elsewhere; none of them is settled.
        """
        for at, message in enumerate(messages):
            wrong = ""
            if message.owner is not self:
                wrong = "it was not delivered on this channel"
            elif message.verdict != UNSETTLED:
                wrong = "it was settled before"
            if wrong:
                for taken in messages[:at]:
                    taken.verdict = UNSETTLED
                raise ValueError(f"{message!r} cannot be settled: {wrong}")
            message.verdict = verdict
        tags = [message.tag for message in messages]
        self._verdicts.update(dict.fromkeys(tags, verdict))
        self._beyond += tags
        self._unsettled -= len(tags)

    def write(self, channel: int) -> bytes:
        """The frames for all that was settled and not written yet."""
        parts = self._oldest_runs(channel)
        verdicts = self._verdicts
        for tag in self._beyond:
            verdict = verdicts.get(tag, UNSETTLED)
            if verdict > UNSETTLED:
                index, bits = _ONE[verdict]
                parts.append(_pack(1, channel, 13, index, tag, bits, _END))
                # Forgotten, so that what gathers behind one that stays unsettled has a bound.
                del verdicts[tag]
        self._beyond = []
        return b"".join(parts)

    def _oldest_runs(self, channel: int) -> list[bytes]:
        """Everything settled before the first unsettled one, as few frames; forgotten after."""
        parts: list[bytes] = []
        done: list[int] = []
        run = last = 0
        for tag, verdict in self._verdicts.items():
            if verdict == UNSETTLED:
                break
            done.append(tag)
            if run not in {UNSETTLED, verdict}:
                parts.append(_up_to(channel, last, run))
            run, last = verdict, tag
        if run:
            parts.append(_up_to(channel, last, run))
        for tag in done:
            del self._verdicts[tag]
        return parts


def _up_to(channel: int, tag: int, verdict: int) -> bytes:
    index, bits = _UP_TO[verdict]
    return _pack(1, channel, 13, index, tag, bits, _END)
