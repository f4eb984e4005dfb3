"""The connection to the broker: made, kept, and made again."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import trio

from ...amqp import AmqpError, ConnectionLost
from ._client import BrokerAddress, Client, Connect, ProtocolName
from ._spec import BrokerSpec
from ._tasks import Backoff, together

logger = logging.getLogger("hypersocket")

Serve: TypeAlias = Callable[[Client], Awaitable[None]]
"""Is called with each new client, and ends when nothing more is to be done at all."""

NOT_TRIED = "it has not been tried yet"


class Broker:
    """Keeps a connection to a broker.

    Args:
        spec: where it is.
        label: for logs.
        connect: opens a connection.
        backoff: between rounds through the addresses.
        on_change: called when something of the attributes has changed.
        on_lost: called when a connection has ended by itself, before all that it carried is ended.

    Attributes:
        client: the connection; None while there is none.
        at: the address that it is at, or that was tried last; None before the first.
        address: the same as ``host:port``; empty before the first.
        about: what the broker told of itself.
        blocked: its words while it takes no publications; empty otherwise.
        connects: connections made.
        reconnects: connections made after one had been lost, by the same call of :meth:`keep`.
        error: why there is no connection; empty if there is.
    """

    def __init__(
        self,
        spec: BrokerSpec,
        label: str,
        connect: Connect,
        backoff: Backoff,
        on_change: Callable[[], None],
        on_lost: Callable[[ConnectionLost], None] = lambda _: None,
    ) -> None:
        self.client: Client | None = None
        self.at: BrokerAddress | None = None
        self.about: Mapping[str, Any] = {}
        self.blocked = ""
        self.connects = 0
        self.reconnects = 0
        self.error = NOT_TRIED
        self._spec = spec
        self._label = label
        self._connect = connect
        self._backoff = backoff
        self._on_change = on_change
        self._on_lost = on_lost
        self._told = ""
        self._away: float | None = None  # since when, if that was told
        self._stood = False  # since `keep` was called
        self._cut = False
        self._fell_silent = False

    @property
    def address(self) -> str:
        return "" if self.at is None else _name(self.at)

    async def keep(
        self,
        serve: Serve,
        retries: Callable[[], None],
        starting: Callable[[], bool],
        addresses: Sequence[BrokerAddress] = (),
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Connect, declare, and serve, again and again.

        Args:
            serve: carries messages over a connection; when it returns, this does.
            retries: called when a round through the addresses came to nothing, or a connection
                did not last, and the next one may.
            starting: whether a lasting error is to be raised, and not to be tried again.
            addresses: tried in turn, in place of the spec's.
            check: called when a connection has ended, and may raise instead of another one.

        Raises:
            AmqpError: a round came to nothing while starting, and trying again cannot help.
        """
        addresses = tuple(addresses or self._spec.addresses)
        first = 0
        self._stood, self._cut, self.error = False, False, NOT_TRIED
        while True:
            lasting: list[AmqpError] = []
            for number in range(first, first + len(addresses)):
                address = addresses[number % len(addresses)]
                stood = await self._attempt(address, serve, lasting, starting)
                if stood is None:
                    return
                check()
                if stood:
                    retries()
                    # It was there: begin with the first address again, at once. But whoever went
                    # without a word may be silent for as long as a connection may take, too.
                    first = number + 1 if self._fell_silent else 0
                    break
            else:
                first = 0
                if len(lasting) == len(addresses):
                    raise lasting[0]
                retries()
                await trio.sleep(self._backoff.next())

    async def _attempt(
        self,
        address: BrokerAddress,
        serve: Serve,
        lasting: list[AmqpError],
        starting: Callable[[], bool],
    ) -> bool | None:
        """Try one address: None, all is done; True, it stood for some time; False, it did not."""
        self.at = address
        since: float | None = None
        try:
            async with self._connect(address, on_blocked=self._on_blocked) as client:
                if self._spec.declare:
                    await client.declare(self._spec.declare)
                since = trio.current_time()
                self._stands(client)
                await together(lambda: serve(client), lambda: self._lose(client))
        except AmqpError as error:
            self._fell_silent = not error.condition
            lasts = not error.temporary or _is_unknown_host(error)
            raised = starting() and lasts
            self._fell(error, raised=raised)
            if raised:
                lasting.append(error)  # however long it took the broker to say so
                return False
            # One that ends as soon as it stands is not to be made in haste again and again.
            if since is not None and trio.current_time() - since >= self._backoff.current:
                self._backoff.reset()
                return True
            return False
        except BaseException:
            self._gone("the gateway has closed it")
            raise
        self._gone("the gateway has closed it")
        return None

    async def _lose(self, client: Client) -> None:
        error = await client.wait_lost()
        self._on_lost(error)
        raise error

    def cut(self, reason: str) -> None:
        """End the connection, if there is one, without a word to the broker."""
        if self.client is not None:
            self._cut = True
            self.client.abandon(reason)

    def _stands(self, client: Client) -> None:
        self.client = client
        self.about = client.broker
        self.error = self._told = ""
        self.connects += 1
        if self._stood:
            self.reconnects += 1
        self._stood = True
        if self._away is None:
            logger.info("%s: connected to the broker at %s", self._label, self.address)
        else:
            # As loud as what it takes back.
            away, self._away = trio.current_time() - self._away, None
            text = "%s: connected to the broker at %s, after %.1f s without it"
            logger.warning(text, self._label, self.address, away)
        self._on_change()

    def _fell(self, error: AmqpError, *, raised: bool) -> None:
        lost = self.client is not None
        self._gone(str(error))
        if self.error != self._told:
            self._told = self.error
            what = "lost the connection to" if lost else "there is no connection to"
            # Who starts the gateway is told by the exception, unless another address helps.
            level = logging.INFO if raised or self._cut else logging.WARNING
            if level == logging.WARNING and self._away is None:
                self._away = trio.current_time()
            text = "%s: %s the broker at %s: %s"
            logger.log(level, text, self._label, what, self.address, self.error)

    def _gone(self, error: str) -> None:
        self.client = None
        self.blocked = ""
        self.error = error
        self._on_change()

    def _on_blocked(self, reason: str | None) -> None:
        before = self.blocked
        self.blocked = "" if reason is None else reason or "it does not say why"
        if self.blocked == before:
            return
        if self.blocked:
            logger.warning("%s: the broker takes no messages: %s", self._label, self.blocked)
        else:
            logger.warning("%s: the broker takes messages again", self._label)
        self._on_change()


def _is_unknown_host(error: BaseException | None) -> bool:
    # A name may be known later, but one that is not known at the start is most likely misspelt.
    while error is not None:
        if isinstance(error, socket.gaierror):
            return error.errno != socket.EAI_AGAIN
        error = error.__cause__
    return False


def _name(address: BrokerAddress) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


def connect_for(protocol: ProtocolName) -> Connect:
    """What opens connections of a protocol.

    Raises:
        ImportError: the extra that it needs is not installed.
    """
    if protocol == "1.0":
        from .clients import v10

        return v10.connect
    from .clients import v091

    return v091.connect
