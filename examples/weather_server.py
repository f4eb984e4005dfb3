"""A topic server: readings of weather stations, one topic for each station, as two frames.

The topic is the first frame and the reading the second, so that a reading can hold any bytes.
"""

import json

import trio

import hypersocket as hs

READINGS = [
    ("alps/davos", {"celsius": -4, "sky": "snow"}),
    ("coast/brest", {"celsius": 9, "sky": "rain"}),
    ("alps/sion", {"celsius": 2, "sky": "clear"}),
    ("coast/porto", {"celsius": 16, "sky": "clear"}),
    ("alps/davos", {"celsius": -6, "sky": "clear"}),
]


async def serve(pub: hs.Pub) -> None:
    for station, reading in READINGS:
        await pub.send_multipart([station.encode(), json.dumps(reading).encode()])


async def listen(sub: hs.Sub, name: str, count: int, heard: list[str]) -> None:
    for _ in range(count):
        station, reading = await sub.recv_multipart()
        weather = json.loads(reading)
        heard.append(f"{name}: {station.decode()} {weather['celsius']} °C, {weather['sky']}")


async def main() -> None:
    heard: list[str] = []
    async with (
        hs.Pub(bind="tcp://127.0.0.1:*") as pub,
        hs.Sub(connect=pub.endpoints, subscribe="alps/") as skier,
        hs.Sub(connect=pub.endpoints, subscribe="coast/porto") as surfer,
    ):
        await pub.wait_subscribed("alps/davos")
        await pub.wait_subscribed("coast/porto")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, skier, "skier", 3, heard)
            nursery.start_soon(listen, surfer, "surfer", 1, heard)
            nursery.start_soon(serve, pub)
    print("\n".join(sorted(heard)))


trio.run(main)
