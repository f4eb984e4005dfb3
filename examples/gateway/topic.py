"""A topic exchange between PUB and SUB: each hears the topics that it has asked for."""

import os
from pathlib import Path

import trio

import hypersocket as hs

HERE = Path(__file__)
BROKER = os.environ.get("BROKER", "amqp://127.0.0.1")


def bindings(gateway: hs.devices.AmqpGateway) -> int:
    return sum(route.bindings for route in gateway.stats().routes)


async def main() -> None:
    # Two gateways, as for two places: one would find its own messages coming back to it.
    readers, senders = (
        hs.devices.AmqpGateway.from_file(
            HERE.with_suffix(f".{side}.toml"), variables={"broker": BROKER}
        )
        for side in ("readers", "senders")
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(readers.run)
        await nursery.start(senders.run)
        sockets = {**readers.sockets, **senders.sockets}
        where = {name: socket.endpoints[0] for name, socket in sockets.items()}
        async with (
            hs.Pub(connect=where["stations"]) as pub,
            hs.Sub(connect=where["readers"], subscribe="austria.") as austria,
            hs.Sub(connect=where["readers"], subscribe="france.") as france,
        ):
            # As with every PUB: what is sent before somebody has subscribed is heard by nobody.
            await pub.wait_subscribed("")
            while bindings(readers) < 2:  # noqa: ASYNC110 - nothing tells of them as they come
                await trio.sleep(0.01)
            await pub.send_multipart([b"spain.madrid", b"rain"])
            await pub.send_multipart([b"austria.vienna", b"clouds"])
            await pub.send_multipart([b"austria.graz", b"sun"])
            await pub.send_multipart([b"france.paris", b"wind"])
            for _ in range(2):
                topic, weather = await austria.recv_multipart()
                print(f"austria: {topic.decode()} has {weather.decode()}")
            topic, weather = await france.recv_multipart()
            print(f"france: {topic.decode()} has {weather.decode()}")
        await senders.stop()
        await readers.stop()


trio.run(main)
