"""Parameters that several commands have, and how they are checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from .. import EndpointError, Socket
from ..transports import resolve
from ._option_values import parse_options

if TYPE_CHECKING:
    _FloatType: TypeAlias = click.ParamType[float]
else:  # in older releases of click it is not generic
    _FloatType = click.ParamType

F = TypeVar("F", bound=Callable[..., Any])


class Seconds(_FloatType):
    """A duration; ``inf`` is no limit."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number of seconds."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if math.isnan(seconds) or seconds < 0:
            self.fail(f"{value!r}: expected 0 or more seconds, or inf", param, ctx)
        return seconds


class Interval(Seconds):
    """A duration that things are done at again and again."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number of seconds."""
        seconds = super().convert(value, param, ctx)
        if not 0 < seconds < math.inf:
            self.fail(f"{value!r}: expected more than 0 seconds, and an end", param, ctx)
        return seconds


def check_address(address: str, name: str) -> None:
    """Refuse what is no ``HOST:PORT`` to serve metrics at.

    Raises:
        click.BadParameter: it names the address and what would be right.
    """
    from ..management._metrics import parse_address

    try:
        parse_address(address)
    except EndpointError as error:
        raise click.BadParameter(str(error), param_hint=name) from None


def linger_option(default: str) -> Callable[[F], F]:
    """``--linger``."""
    return click.option(
        "--linger",
        type=Seconds(),
        metavar="S",
        help="How long to wait at the end for what was sent to be written; inf for no limit."
        f" By default {default}.",
    )


def socket_option(extra: str = "") -> Callable[[F], F]:
    """``--option``."""
    return click.option(
        "--option",
        "options",
        multiple=True,
        metavar="NAME=VALUE",
        help=f"Any option of the socket, such as ipv6=true.{extra} Repeatable.",
    )


def check_endpoints(endpoints: Iterable[str], name: str, *, binding: bool) -> None:
    """Refuse what no transport understands.

    Raises:
        click.BadParameter: it names the endpoint and what would be right.
    """
    for endpoint in endpoints:
        try:
            resolve(endpoint, binding=binding)
        except EndpointError as error:
            raise click.BadParameter(str(error), param_hint=name) from None


def split_options(given: Iterable[str], parameter: str = "--option") -> dict[str, str]:
    """``name=value`` as a dictionary.

    Raises:
        click.BadParameter: there is no ``=``, or a name twice.
    """
    options: dict[str, str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{text!r}: expected NAME=VALUE", param_hint=parameter)
        if name in options:
            raise click.BadParameter(f"{name!r} is given twice", param_hint=parameter)
        options[name] = value
    return options


def read_options(given: dict[str, str], socket_type: type[Socket]) -> dict[str, Any]:
    """The options of a socket, from their text.

    Raises:
        click.BadParameter: it names the option and what would be right.
    """
    try:
        return parse_options(given, socket_type)
    except (TypeError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="--option") from None
