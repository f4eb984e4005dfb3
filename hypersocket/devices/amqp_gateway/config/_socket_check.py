"""From the table of a socket to how it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .... import sockets
from ....sockets import Socket
from ..._files._checks import endpoint_problem, option_value
from ..._files._problems import NOTHING, Key, a
from .._spec import RouteSocket
from ._broker_check import Context
from ._model import RouteSocketTable

Resolve: TypeAlias = Callable[[Key, str], str]
"""Makes an endpoint of what is to be connected to, and reports what is wrong with it."""

_CLASSES: dict[str, type[Socket]] = {
    one.socket_type: one
    for one in (
        *(sockets.Pull, sockets.Push, sockets.Pub, sockets.Sub),
        *(sockets.XPub, sockets.XSub, sockets.Router, sockets.Dealer),
    )
}


class SocketChecker:
    """Makes the sockets of a gateway.

    Args:
        context: takes mistakes.
        resolve: for the endpoints that they connect to.
    """

    def __init__(self, context: Context, resolve: Resolve | None = None) -> None:
        self._context = context
        self._report = context.report
        self._resolve = resolve or self._endpoint
        self._bound: dict[str, str] = {}

    def make(
        self, key: Key, table: RouteSocketTable, types: tuple[str, ...], whose: str
    ) -> RouteSocket:
        """The socket; to be thrown away where something was reported.

        Args:
            key: where its table stands.
            table: what stands there.
            types: what it may be, the default first.
            whose: of whom to speak, with the verb.
        """
        type_ = table.type or types[0]
        if type_ not in types:
            self._report((*key, "type"), type_, f"{whose} {_one_of(types)}")
            type_ = types[0]
        were_wrong = self._context.were_wrong((*key, "bind"), (*key, "connect"))
        if not (table.bind or table.connect or were_wrong):
            text = "it binds nothing and connects to nothing: give it bind or connect"
            self._report(key, NOTHING, text)
        for index, endpoint in enumerate(table.bind):
            self._check_bound((*key, "bind", index), endpoint, key)
        connect = tuple(
            self._resolve((*key, "connect", index), endpoint)
            for index, endpoint in enumerate(table.connect)
        )
        options: dict[str, Any] = {}
        for name, value in table.options.items():
            try:
                options[name] = option_value(_CLASSES[type_], name, value)
            except (TypeError, ValueError) as error:
                self._report((*key, "options", name), value, str(error))
        self._check_subscribe(key, table, type_)
        return RouteSocket(
            type=type_,
            bind=table.bind,
            connect=connect,
            subscribe=table.subscribe,
            options=options,
        )

    def _check_subscribe(self, key: Key, table: RouteSocketTable, type_: str) -> None:
        where: Key = (*key, "subscribe")
        if table.subscribe and type_ != "SUB":
            text = f"only a SUB has subscriptions of its own, and this is {a(type_)}"
            self._report(where, NOTHING, text)
        if type_ == "SUB" and not table.subscribe and not self._context.were_wrong(where):
            text = 'this is missing: a SUB receives nothing without; "" is every message'
            self._report(where, NOTHING, text)

    def _check_bound(self, where: Key, endpoint: str, key: Key) -> None:
        text = endpoint_problem(endpoint, "bind")
        if not text and not endpoint.endswith((":*", "://*")):
            owner = ".".join(str(part) for part in key[len(self._context.key) :])
            before = self._bound.setdefault(endpoint, owner)
            if before != owner:
                text = f"{before} is bound to this endpoint already"
        if text:
            self._report(where, endpoint, text)

    def _endpoint(self, key: Key, endpoint: str) -> str:
        text = endpoint_problem(endpoint, "connect")
        if text:
            self._report(key, endpoint, text)
        return endpoint


def _one_of(types: tuple[str, ...]) -> str:
    return a(types[0]) if len(types) == 1 else f"one of {', '.join(types)}"
