"""What peers are known to do wrong, and is worked round."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quirks:
    """What a peer is known to do wrong.

    Attributes:
        text_ids: ids must be text, and ids and addresses of at most 255 bytes: RabbitMQ 3 takes
            others, and then ends the connection of whoever reads them over 0-9-1.
        absolute_credit: a flow sets the credit without regard to what is on its way, so that more
            comes than was allowed, unless nothing can be on its way (RabbitMQ 3; 2.6.7).
        unchecked_targets: who sends to a queue that is not there is let, and all of it is accepted
            and lost (RabbitMQ 3).
        uncounted: what was released again and again has a delivery count of 0, or none (RabbitMQ).
        second_timestamps: creation times that came over 0-9-1 are in seconds (RabbitMQ 3).
    """

    text_ids: bool = False
    absolute_credit: bool = False
    unchecked_targets: bool = False
    uncounted: bool = False
    second_timestamps: bool = False


NO_QUIRKS = Quirks()
RABBITMQ = Quirks(uncounted=True)
RABBITMQ_3 = Quirks(
    text_ids=True,
    absolute_credit=True,
    unchecked_targets=True,
    uncounted=True,
    second_timestamps=True,
)


def quirks_of(product: str, version: str) -> Quirks:
    """The faults to work round, from what a peer says in its open frame's properties."""
    if product != "RabbitMQ":
        return NO_QUIRKS
    major = version.partition(".")[0]
    return RABBITMQ_3 if major.isdigit() and int(major) < 4 else RABBITMQ
