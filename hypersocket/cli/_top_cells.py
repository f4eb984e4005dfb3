"""What stands in a cell of the tables of ``hypersocket top``."""

from __future__ import annotations


def clean(text: str) -> str:
    """Text of somebody else's, without what a terminal would obey."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def amount(value: float | None, *, whole: bool = False) -> str:
    """A number in at most six characters; a dot where it is not known."""
    if value is None:
        return "."
    for unit in ("", "k", "M", "G", "T"):
        if value < 999.5 or unit == "T":
            break
        value /= 1000
    if unit == "" and (whole or value == int(value) or value >= 99.95):
        return f"{value:.0f}"
    return f"{value:.0f}{unit}" if value >= 99.95 else f"{value:.1f}{unit}"
