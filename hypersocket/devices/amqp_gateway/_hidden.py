"""What may be shown of the values in a file that has passwords in it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from .._files._problems import HIDDEN, Key


def hide_all_variables(key: Key, value: object) -> object:
    """As :func:`hide`; what variables stand for is not shown either."""
    return HIDDEN if key[:1] == ("variables",) else hide(key, value)


def hide(key: Key, value: object) -> object:
    """What may be shown of a value of a gateway file: passwords never, not even misspelt ones."""
    if any(map(_is_secret, key)):
        return value if key and key[-1] in {"env", "file"} else HIDDEN
    return _without_passwords(value)


def _is_secret(part: str | int) -> bool:
    name = str(part).lower()
    likely = get_close_matches(name, ("password", "passwd", "secret"), n=1, cutoff=0.7)
    return bool(likely) or "pass" in name or "secret" in name


def _without_passwords(value: Any) -> Any:
    if isinstance(value, str):
        return hide_in(value)
    if isinstance(value, (list, tuple)):
        return [_without_passwords(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def hide_in(text: str) -> str:
    """A text without the passwords of URLs in it."""
    scheme, separator, rest = text.partition("://")
    userinfo, at, host = rest.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    if not (separator and at and colon):
        return text
    return f"{scheme}://{user}:***@{host}"
