"""Options: one declaration for each, from which checks, attributes and documentation follow.

An option is a descriptor in the class of the sockets that have it. Its declaration holds the
type, the unit, the default, the reason to change it, and where and why its default differs from
libzmq's. The table in the documentation is made of these declarations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

Applies = Literal["at once", "new connections"]


class Option(Generic[T]):
    """One option of a socket, as a descriptor.

    Args:
        default: the value when the user gives none.
        check: turns what the user gave into the stored value, or raises ``TypeError`` or
            ``ValueError`` with a text that completes "name: ...".
        unit: what a number counts, for people.
        doc: why it exists, in a sentence or two.
        applies: whether a change reaches connections that exist.
        libzmq: libzmq's default, in our units, where it differs.
        why: the reason for differing.
    """

    name: str

    def __init__(
        self,
        default: T,
        check: Callable[[object], T],
        *,
        unit: str,
        doc: str,
        applies: Applies = "new connections",
        libzmq: str | None = None,
        why: str | None = None,
    ) -> None:
        self.default = default
        self.check = check
        self.unit = unit
        self.doc = doc
        self.applies = applies
        self.libzmq = libzmq
        self.why = why
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Option[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: Any, owner: type) -> Option[T] | T:
        if instance is None:
            return self
        value: T = instance._option_values.get(self.name, self.default)
        return value

    def __set__(self, instance: Any, value: object) -> None:
        try:
            checked = self.check(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.name}={value!r}: {error}") from None
        instance._option_values[self.name] = checked
        instance._option_changed(self.name)


class HasOptions:
    """What a class with options needs: a place for values, and a word when one changes."""

    _option_values: dict[str, Any]

    def _option_changed(self, name: str) -> None:
        """Called after an option was set; for the few that act at once."""

    def _set_public(self, name: str, value: Any) -> None:
        """Set an attribute whose name begins with no underscore."""
        # A mistyped option, or pyzmq's name for one that we do not have, must not be taken in
        # silence. Classes derived by users may have attributes of their own.
        if callable(getattr(type(self), name, None)):
            raise TypeError(f"{name} is called, not set: socket.{name}(...)")
        if not hasattr(type(self), name):
            known = options_of(type(self))
            own = type(self).__module__.startswith("hypersocket.")
            if own or name in set(_every_option_name(HasOptions)):
                raise TypeError(_unknown(type(self), name, known))
        self._set_plainly(name, value)

    def _set_plainly(self, name: str, value: Any) -> None:
        """Set an attribute as any object has it set."""
        object.__setattr__(self, name, value)

    def _set_options(self, options: dict[str, Any]) -> None:
        known = options_of(type(self))
        for name, value in options.items():
            if name not in known:
                raise TypeError(_unknown(type(self), name, known))
            setattr(self, name, value)


def options_of(cls: type) -> dict[str, Option[Any]]:
    """The options of a class by name, in the order of their declaration."""
    return {
        name: value
        for base in reversed(cls.__mro__)
        for name, value in vars(base).items()
        if isinstance(value, Option)
    }


def _unknown(cls: type, name: str, known: dict[str, Option[Any]]) -> str:
    from difflib import get_close_matches

    if name in set(_every_option_name(HasOptions)):
        return f"{cls.__name__} has no option {name!r}: other socket types do"
    if name.lower() in _INSTEAD:
        return f"{cls.__name__} has no option {name!r}: {_INSTEAD[name.lower()]}"
    close = get_close_matches(name.lower(), known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{cls.__name__} has no option {name!r}{hint}"


_INSTEAD = {
    "rcvtimeo": "limit the time with trio.move_on_after or trio.fail_after",
    "sndtimeo": "limit the time with trio.move_on_after or trio.fail_after",
    "identity": "it is called 'routing_id'",
    "hwm": "there are 'sndhwm' and 'rcvhwm'",
    "subscribe": "a SUB takes subscribe= in its constructor, and has subscribe()",
}
"""What pyzmq's users look for under another name."""


def _every_option_name(cls: type) -> Iterator[str]:
    yield from (name for name, value in vars(cls).items() if isinstance(value, Option))
    subclasses: list[type] = cls.__subclasses__()
    for subclass in subclasses:
        yield from _every_option_name(subclass)


# Checks: each names what would be right.


def flag(value: object) -> bool:
    """True or False; 0 and 1 too, since pyzmq's users write those."""
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise TypeError("expected True or False")


def seconds(value: object) -> float:
    """A duration of zero or more; infinity where there is to be no limit."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("expected a number of seconds")
    if math.isnan(value) or value < 0:
        raise ValueError("expected 0 or more seconds; math.inf stands for pyzmq's -1, no limit")
    return float(value)


def seconds_or_none(value: object) -> float | None:
    """A duration, or None for the one that follows from another option."""
    return None if value is None else seconds(value)


def finite_seconds(value: object) -> float:
    """A duration that ends."""
    checked = seconds(value)
    if math.isinf(checked):
        raise ValueError("expected a finite number of seconds")
    return checked


def heartbeat_ttl_seconds(value: object) -> float:
    """A duration that fits the 16 bits of tenths of a second that PING carries."""
    checked = seconds(value)
    if checked > 6553.5:
        raise ValueError("expected at most 6553.5 seconds, the largest that ZMTP can tell")
    return checked


def at_least(minimum: int, maximum: int = 2**63 - 1) -> Callable[[object], int]:
    """A check for whole numbers in a range."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError("expected a whole number")
        if not minimum <= value <= maximum:
            end = "" if maximum == 2**63 - 1 else f" and at most {maximum}"
            none = "; 0 stands for pyzmq's -1, no limit" if value == -1 and not minimum else ""
            raise ValueError(f"expected at least {minimum}{end}{none}")
        return value

    return check


def whole_or_none(minimum: int, maximum: int = 2**31 - 1) -> Callable[[object], int | None]:
    """A check for whole numbers in a range, or None to leave the system's own setting."""
    whole = at_least(minimum, maximum)
    return lambda value: None if value is None else whole(value)


def flag_or_none(value: object) -> bool | None:
    """True, False, or None to leave the system's own setting."""
    return None if value is None else flag(value)


def routing_id_bytes(value: object) -> bytes:
    """A routing id: at most 255 bytes, the first not zero (RFC 37, Identity)."""
    if not isinstance(value, bytes):
        raise TypeError("expected bytes")
    if len(value) > 255:
        raise ValueError("expected at most 255 bytes")
    if value[:1] == b"\0":
        raise ValueError("expected a first byte other than zero, which is reserved")
    return value


def message_or_none(value: object) -> bytes | None:
    """Bytes, or None for nothing at all."""
    if value is None or isinstance(value, bytes):
        return value
    raise TypeError("expected bytes or None")


def name_or_none(value: object) -> str | None:
    """Text, or None for nothing at all."""
    if value is None or (isinstance(value, str) and value):
        return value
    raise TypeError("expected a name or None")
