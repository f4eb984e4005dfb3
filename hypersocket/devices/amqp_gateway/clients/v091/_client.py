"""One open AMQP 0-9-1 connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import trio

from .....amqp import (
    Binding,
    ChannelLost,
    ConnectionLost,
    Declaration,
    Exchange,
    Queue,
    Subscription,
)
from .....amqp.v091 import Channel
from ..._client import OnSettled, ProtocolName, Sender
from ._link import Handle, Link, again
from ._receiver import QueueReceiver
from ._sender import ChannelSender

REPLY_TO: Final = "amq.rabbitmq.reply-to"
"""RabbitMQ's pseudo-queue for replies: no-ack, and of the channel that publishes the requests."""


class BrokerClient:
    """The gateway's ``Client``. Declarations go over a channel of their own."""

    protocol: ProtocolName = "0-9-1"

    def __init__(self, link: Link, broker: Mapping[str, Any], name: str) -> None:
        self._link = link
        self._broker = broker
        self._name = name
        self._asking = trio.Lock()
        self._control: Handle | None = None

    @property
    def broker(self) -> Mapping[str, Any]:
        """What the broker told of itself."""
        return self._broker

    @property
    def blocked(self) -> str | None:
        """The broker's words, while it takes no publications."""
        return self._link.blocked

    @property
    def lost(self) -> ConnectionLost | None:
        """Why the connection ended; None while it stands."""
        return self._link.lost

    async def wait_lost(self) -> ConnectionLost:
        """Wait until the connection has ended."""
        await self._link.ended.wait()
        assert self._link.lost is not None
        return self._link.lost

    def abandon(self, reason: str) -> None:
        """End the connection here and now; see the protocol ``Client``."""
        self._link.give_up(reason)

    # --- declaring ---------------------------------------------------------------------

    async def declare(self, declarations: Sequence[Declaration]) -> list[str]:
        """Declare in order; see the protocol ``Client``. Cancelled, some may be declared.

        Raises:
            ValueError, TypeError: a name or argument is nothing that AMQP 0-9-1 can carry.
        """
        names: list[str] = []
        for one in declarations:
            if isinstance(one, Exchange):
                await self._declare_exchange(one)
            elif isinstance(one, Queue):
                names.append(await self._declare_queue(one))
            else:
                await self.bind(one)
        return names

    async def _declare_exchange(self, exchange: Exchange) -> None:
        await self._ask(
            f"exchange {exchange.name!r} cannot be declared",
            lambda channel: channel.declare_exchange(exchange),
        )

    async def _declare_queue(self, queue: Queue) -> str:
        return await self._ask(
            f"queue {queue.name!r} cannot be declared",
            lambda channel: channel.declare_queue(queue),
        )

    async def bind(self, binding: Binding) -> None:
        """Bind a queue to an exchange (Queue.Bind)."""
        what = f"queue {binding.queue!r} cannot be bound to exchange {binding.exchange!r}"
        await self._ask(what, lambda channel: channel.bind(binding))

    async def unbind(self, binding: Binding) -> None:
        """Undo that (Queue.Unbind); no error if there was no such binding."""
        what = f"queue {binding.queue!r} cannot be unbound from exchange {binding.exchange!r}"
        await self._ask(what, lambda channel: channel.unbind(binding))

    async def _ask(self, what: str, request: Callable[[Channel], None]) -> str:
        async with self._asking:
            control = self._control
            if control is None or control.ended.is_set():
                control = self._control = self._link.open_channel()
                await control.reply(control.expect())
            try:
                return await control.call(lambda: request(control.channel))
            except ChannelLost as error:
                raise _explained(what, error) from None

    # --- senders and receivers ---------------------------------------------------------

    async def open_sender(
        self,
        on_settled: OnSettled,
        *,
        address: str | None = None,
        confirm: bool = True,
        mandatory: bool = True,
    ) -> ChannelSender:
        """A channel to publish on; see the protocol ``Client``.

        Without ``confirm``, ``mandatory`` has no effect: nothing would tell what was returned.
        """
        del address  # each publication has its own target
        handle = await self._open()
        async with _Opening(handle):
            if confirm:
                await handle.call(handle.channel.select_confirms)
            return ChannelSender(handle, on_settled, mandatory=mandatory and confirm)

    async def open_receiver(
        self, subscription: Subscription, *, sender: Sender | None = None
    ) -> QueueReceiver:
        """A consumer; see the protocol ``Client``.

        ``settled`` is no-ack for ``amq.rabbitmq.reply-to``, where it has to be. For other queues
        deliveries are acknowledged as :meth:`receive` takes them: no-ack has no flow control, and
        what nobody takes would pile up here.
        """
        if subscription.credit < 1:
            raise ValueError(f"credit = {subscription.credit}: it must be at least 1")
        shared = sender is not None
        if sender is None:
            handle = await self._open()
        elif isinstance(sender, ChannelSender) and sender.handle.link is self._link:
            await trio.lowlevel.checkpoint()
            handle = sender.handle
        else:
            raise ValueError("the sender is another connection's")
        no_ack = subscription.settled and subscription.queue == REPLY_TO
        tag = f"{self._name[:200]}-{handle.channel.number}"
        receiver = QueueReceiver(
            handle,
            subscription.queue,
            tag,
            accepts=subscription.settled and not no_ack,
            shared=shared,
        )

        def consume() -> None:
            handle.channel.consume(subscription, tag, no_ack=no_ack)

        try:
            if shared:
                await handle.call(consume)
            else:
                async with _Opening(handle):
                    if not no_ack:
                        await handle.call(lambda: handle.channel.limit(subscription.credit))
                    await handle.call(consume)
        except ChannelLost as error:
            raise _explained(f"queue {subscription.queue!r} cannot be read", error) from None
        return receiver

    async def _open(self) -> Handle:
        await trio.lowlevel.checkpoint()
        handle = self._link.open_channel()
        async with _Opening(handle):
            await handle.reply(handle.expect())
        return handle


class _Opening:
    """Closes a channel whose opening was cancelled, or refused halfway."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not self._handle.ended.is_set():
            self._handle.channel.close()
            self._handle.link.wake()


def _explained(what: str, error: ChannelLost) -> ChannelLost:
    return ChannelLost(f"{what}: {error}", condition=error.condition, temporary=error.temporary)


__all__ = ["REPLY_TO", "BrokerClient", "again"]
