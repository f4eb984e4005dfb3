"""Two brokers in a file: when the one is killed, the gateway goes on with the other."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import hypersocket as hs

from ..brokers.rabbitmq import RabbitMQ, missing
from .processes import PATIENT
from .worlds import amqp, until

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


async def test_the_gateway_goes_on_with_the_second_broker(
    rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    file = trio.Path(tmp_path / "gateway.toml")
    bodies = [b"%d" % number for number in range(500)]
    async with RabbitMQ(tmp_path / "first") as first:
        await file.write_text(
            f"""
            [broker]
            {PATIENT}
            url = ["{first.url}", "{rabbitmq.url}"]
            [[broker.queues]]
            name = "there"
            [[broker.queues]]
            name = "back"
            [routes.out]
            kind = "out"
            socket = "tcp://127.0.0.1:*"
            queue = "there"
            [routes.in]
            kind = "in"
            socket = "tcp://127.0.0.1:*"
            queue = "back"
            """,
            encoding="utf-8",
        )
        device = hs.devices.AmqpGateway.from_file(file)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                await nursery.start(_run, device)
                async with (
                    hs.Push(connect=device.sockets["out"].endpoints[0]) as push,
                    hs.Pull(connect=device.sockets["in"].endpoints[0]) as pull,
                ):
                    await push.send_many(bodies[:250])
                    await until(lambda: device.stats().routes[0].confirmed == 250)
                    assert device.stats().address.endswith(f":{first.port}")
                    await first.kill()
                    await push.send_many(bodies[250:])
                    await until(lambda: device.stats().routes[0].confirmed == 500)
                    assert device.stats().address.endswith(f":{rabbitmq.port}")
                    async with amqp(rabbitmq) as peer:
                        assert await peer.bodies("there", 250) == bodies[250:]
                        await peer.put("back", b"and back")
                    assert await pull.recv() == b"and back"
                    result = await device.stop()
    assert result.complete
    assert result.stats.reconnects == 1


async def _run(
    device: hs.devices.AmqpGateway, task_status: trio.TaskStatus[hs.devices.AmqpGateway]
) -> None:
    await device.run(task_status=task_status)
