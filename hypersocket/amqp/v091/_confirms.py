"""Which publications the broker has not answered yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .._types import Publication
from ._errors import Malformed


class ConfirmWindow:
    """The publications of one channel that are unconfirmed, by their sequence numbers.

    The broker counts publications from 1 (RabbitMQ's publisher confirms), and confirms one, or all
    up to one. Each publication leaves the window once.
    """

    def __init__(self) -> None:
        self._pending: dict[int, Publication] = {}
        self._oldest = 1
        self._next = 1
        self._returned_up_to = 1

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, publications: Sequence[Publication]) -> None:
        """They were published, in this order."""
        end = self._next + len(publications)
        self._pending.update(zip(range(self._next, end), publications, strict=True))
        self._next = end

    def settle(self, tag: int, multiple: bool) -> list[Publication]:
        """The broker answered for one publication, or for all up to one; tag 0 is all.

        Raises:
            Malformed: there was no such publication.
        """
        if not tag < self._next or not (tag or multiple):
            raise Malformed(f"publication {tag} was confirmed, of {self._next - 1} published", 503)
        pop = self._pending.pop
        if multiple:
            stop = (tag or self._next - 1) + 1
            found = [one for n in range(self._oldest, stop) if (one := pop(n, None)) is not None]
            self._oldest = max(self._oldest, stop)
            return found
        one = pop(tag, None)
        if tag == self._oldest:
            self._advance()
        return [] if one is None else [one]

    def returned(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        same_properties: Callable[[Publication], bool],
    ) -> Publication | None:
        """The broker returned one: find it, and take it out; None if there is no such.

        Basic.Return has no number. It comes before the confirmation, and returns come in the order
        of publishing, so it is the first after the last returned one that looks like it.
        """

        def alike(number: int) -> bool:
            one = self._pending.get(number)
            return (
                one is not None
                and one.target.routing_key == routing_key
                and one.target.exchange == exchange
                and one.body == body
            )

        later = range(max(self._returned_up_to, self._oldest), self._next)
        number = next((n for n in later if alike(n) and same_properties(self._pending[n])), None)
        if number is None:  # a broker that changes properties, or keeps no order
            all_of_them = range(self._oldest, self._next)
            number = next((n for n in all_of_them if alike(n)), None)
        if number is None:
            return None
        self._returned_up_to = number + 1
        return self._pending.pop(number)

    def abandon(self) -> list[Publication]:
        """No answer can come any more: all that are left, oldest first."""
        left = list(self._pending.values())
        self._pending.clear()
        self._oldest = self._next
        return left

    def _advance(self) -> None:
        oldest = self._oldest + 1
        while oldest < self._next and oldest not in self._pending:
            oldest += 1
        self._oldest = oldest
