"""A program publishes how its sockets do, and another part of it listens."""

import trio

import hypersocket as hs
from hypersocket import management


async def main() -> None:
    orders = hs.Pull(bind="tcp://127.0.0.1:*")
    async with (
        orders,
        management.monitor_feed(
            "tcp://127.0.0.1:*", name="shop", sockets={"orders": orders}
        ) as feed,
        hs.Sub(connect=feed.endpoints, subscribe=management.topic_prefix("shop", "orders")) as sub,
    ):
        first = management.parse_report(await sub.recv_multipart())
        print(
            first.topic.event, "of", first.topic.socket, "peers:", first.gauges["peers_connected"]
        )

        async with hs.Push(connect=orders.endpoints) as client:
            await client.send(b"a book")
            print("ordered:", (await orders.recv()).decode())

        while True:
            report = management.parse_report(await sub.recv_multipart())
            match report.topic.event:
                case "stats":
                    continue
                case "disconnected":
                    print("disconnected:", report.body["reason"])
                    break
                case event:
                    print(event)


trio.run(main)
