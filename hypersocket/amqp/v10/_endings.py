"""How a connection ended, in words, and whether trying again can help."""

from __future__ import annotations

from .._types import ConnectionLost
from ._conditions import Condition
from ._proton import constants


class Endings:
    """Makes the error of one connection's end.

    Args:
        peer: what the peer is called.
        sasl: the mechanism of the login.
        username: who logs in by PLAIN.

    Attributes:
        is_open: whether the connection was open.
        closing: whether this side had asked for the end.
    """

    def __init__(self, peer: str, sasl: str, username: str) -> None:
        self.is_open = False
        self.closing = False
        self._peer = peer
        self._sasl = sasl
        self._username = username

    def told(self, what: str, condition: Condition | None) -> ConnectionLost:
        """The peer has ended it, and told why, perhaps."""
        if self.closing and condition is None:
            return ConnectionLost(f"the connection to {self._peer} was closed by this side")
        words = str(condition) if condition else "without giving a reason"
        return ConnectionLost(
            f"{self._peer} {what}: {words}",
            condition=condition.name if condition else "",
            temporary=condition.temporary if condition else True,
        )

    def broken(self, condition: Condition | None, outcome: int) -> ConnectionLost:
        """The engine itself gave up: a refused login, a time-out, or bytes that are no AMQP.

        Args:
            condition: why.
            outcome: of the login.
        """
        if condition is None:
            return self.silent("")
        if outcome not in {constants.PN_SASL_NONE, constants.PN_SASL_OK}:
            who = f" as {self._username!r}" if self._sasl == "PLAIN" else ""
            # Codes 1 to 4 of 5.3.3.6; the last says itself that it passes.
            return ConnectionLost(
                f"{self._peer} refused the login by {self._sasl}{who}: {condition}",
                condition=condition.name,
                temporary=outcome == constants.PN_SASL_TEMP,
            )
        if condition.description == "connection aborted":
            return self.silent("")
        if condition.description == "local-idle-timeout expired":  # which the peer did not say
            return ConnectionLost(
                f"the connection to {self._peer} ended: {condition}", temporary=True
            )
        if condition.name == "amqp:unauthorized-access":
            return self.told(f"takes no login by {self._sasl}", condition)
        # Before it opened, garbage means that this is no AMQP 1.0; later, that bytes went wrong.
        return ConnectionLost(
            f"the connection to {self._peer} ended: {condition}",
            condition=condition.name,
            temporary=self.is_open or condition.name == "amqp:resource-limit-exceeded",
        )

    def silent(self, reason: str) -> ConnectionLost:
        """Nothing more comes, and nobody says why; ``reason`` is the way's own words for it."""
        if self.closing:
            return self.told("", None)
        if self.is_open:
            words = "ended the connection without a word"
        else:
            words = f"ended the connection before it was open (login by {self._sasl})"
        end = f": {reason}" if reason else ""
        return ConnectionLost(f"{self._peer} {words}{end}", temporary=True)

    def beyond_bounds(self, condition: str, text: str) -> ConnectionLost:
        """This side ended it, for what the peer must not do."""
        words = f"{self._peer} goes beyond all bounds: {text}"
        return ConnectionLost(words, condition=condition, temporary=self.is_open)
