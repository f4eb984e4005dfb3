"""Exchanges, queues and bindings of a real broker."""

from __future__ import annotations

from typing import Any

import pytest

from hypersocket.amqp import (
    Binding,
    ChannelLost,
    Exchange,
    Publication,
    Queue,
    Result,
    Target,
)
from hypersocket.devices.amqp_gateway.clients.v091 import connect

from ...brokers.rabbitmq import RabbitMQ
from .rabbit import Outcomes, address

pytestmark = pytest.mark.interop


class TestTopology:
    async def test_bind_and_unbind(self, rabbitmq: RabbitMQ) -> None:
        outcomes = Outcomes()
        async with connect(address(rabbitmq)) as client:
            names = await client.declare(
                [
                    Exchange(name="naïve (topics)", durable=False),
                    Queue(name="q ü", durable=False),
                    Queue(durable=False, exclusive=True),
                    Binding(queue="q ü", exchange="naïve (topics)", routing_key="a.*"),
                ]
            )
            assert names[0] == "q ü"
            assert len(names) == 2
            sender = await client.open_sender(outcomes)
            other = Binding(queue="q ü", exchange="naïve (topics)", routing_key="b.#")
            results: list[Result] = []
            for step in (None, client.bind, client.unbind, client.unbind):
                if step is not None:
                    await step(other)
                one = Publication(Target("naïve (topics)", "b.c.d"), b"")
                await sender.send([one])
                await sender.wait_settled()
                results.append(outcomes.of[one].result)
            assert results == [
                Result.RETURNED,
                Result.CONFIRMED,
                Result.RETURNED,
                Result.RETURNED,
            ]

    @pytest.mark.parametrize(
        ("declaration", "text", "condition"),
        [
            (
                Queue(name="missing", passive=True),
                "queue 'missing' cannot be declared: 404 NOT_FOUND - no queue 'missing'",
                "404 NOT_FOUND",
            ),
            (
                Exchange(name="missing", passive=True),
                "exchange 'missing' cannot be declared: 404 NOT_FOUND - no exchange 'missing'",
                "404 NOT_FOUND",
            ),
            (
                Queue(name="there", durable=False),
                "queue 'there' cannot be declared: 406 PRECONDITION_FAILED - inequivalent arg",
                "406 PRECONDITION_FAILED",
            ),
            (
                Exchange(name="amq.mine"),
                "exchange 'amq.mine' cannot be declared: 403 ACCESS_REFUSED",
                "403 ACCESS_REFUSED",
            ),
            (
                Binding(queue="there", exchange="missing"),
                "queue 'there' cannot be bound to exchange 'missing': 404 NOT_FOUND",
                "404 NOT_FOUND",
            ),
        ],
    )
    async def test_refused(
        self, rabbitmq: RabbitMQ, declaration: Any, text: str, condition: str
    ) -> None:
        async with connect(address(rabbitmq)) as client:
            await client.declare([Queue(name="there")])
            with pytest.raises(ChannelLost) as caught:
                await client.declare([declaration])
            assert str(caught.value).startswith(text)
            assert caught.value.condition == condition
            assert not caught.value.temporary
            # Channels of others, and the next declaration, are none the worse for it.
            assert await client.declare([Queue(name="there")]) == ["there"]

    async def test_what_cannot_be_written(self, rabbitmq: RabbitMQ) -> None:
        async with connect(address(rabbitmq)) as client:
            with pytest.raises(ValueError, match="queue's name has 300 bytes"):
                await client.declare([Queue(name="q" * 300)])
            assert await client.declare([Queue(name="q")]) == ["q"]
