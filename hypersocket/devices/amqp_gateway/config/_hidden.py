"""What may be shown of the values in a file that has passwords in it."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import cast

from ..._files._problems import HIDDEN, Key

_SECRET = re.compile("pass|secret|token|credential", re.IGNORECASE)
"""In the names of keys whose values are not shown."""


def hide_all_variables(key: Key, value: object) -> object:
    """As :func:`hide`; what variables stand for is not shown either."""
    return HIDDEN if key[:1] == ("variables",) else hide(key, value)


def hide(key: Key, value: object) -> object:
    """What may be shown of a value: passwords never, not even misspelt ones.

    Messages end in logs, and a mistaken key is nothing that could be known to hold a secret.
    """
    if any(map(_is_secret, key)):
        return value if key and key[-1] in {"env", "file"} else HIDDEN
    return _without_passwords(value)


def _is_secret(part: str | int) -> bool:
    name = str(part)
    likely = get_close_matches(name.lower(), ("password", "passwd", "secret"), n=1, cutoff=0.7)
    return bool(likely) or _SECRET.search(name) is not None


def _without_passwords(value: object) -> object:
    if isinstance(value, str):
        return hide_in(value)
    if isinstance(value, (list, tuple)):
        return [_in_list(one) for one in cast("list[object]", value)]
    return value


def _in_list(value: object) -> object:
    # Where a table stands in a list, as of [[broker]], its values would be shown with it.
    return HIDDEN if isinstance(value, dict) else _without_passwords(value)


def hide_in(text: str) -> str:
    """A text without the passwords of URLs in it."""
    scheme, separator, rest = text.partition("://")
    userinfo, at, host = rest.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    if not (separator and at and colon):
        return text
    return f"{scheme}://{user}:***@{host}"
