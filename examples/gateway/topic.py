"""A topic exchange between PUB and SUB: each hears the topics that it has asked for."""

import os
from pathlib import Path

import trio

import hypersocket as hs

CONFIG = Path(__file__).with_suffix(".toml")
BROKER = os.environ.get("BROKER", "amqp://127.0.0.1")


def bindings(gateway: hs.devices.AmqpGateway) -> int:
    return sum(route.bindings for route in gateway.stats().routes)


async def main() -> None:
    gateway = hs.devices.AmqpGateway.from_file(CONFIG, variables={"broker": BROKER})
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.run)
        stations, readers = (
            gateway.sockets[route].endpoints[0] for route in ("stations", "readers")
        )
        async with (
            hs.Pub(connect=stations) as pub,
            hs.Sub(connect=readers, subscribe="austria.") as austria,
            hs.Sub(connect=readers, subscribe="austria.graz") as graz,
        ):
            # As with every PUB: what is sent before somebody has subscribed is heard by nobody.
            await pub.wait_subscribed()
            while bindings(gateway) < 2:  # noqa: ASYNC110 - nothing tells of them as they come
                await trio.sleep(0.01)
            await pub.send_multipart([b"france.paris", b"rain"])
            await pub.send_multipart([b"austria.vienna", b"clouds"])
            await pub.send_multipart([b"austria.graz", b"sun"])
            for _ in range(2):
                topic, weather = await austria.recv_multipart()
                print(f"austria: {topic.decode()} has {weather.decode()}")
            topic, weather = await graz.recv_multipart()
            print(f"graz: {topic.decode()} has {weather.decode()}")
        await gateway.stop()


trio.run(main)
