"""Metrics: what the official client's own parser makes of them."""

from __future__ import annotations

import gzip
import http.client
import re
import sys
from functools import partial
from typing import Any

import prometheus_client.openmetrics.parser as openmetrics
import prometheus_client.parser as plain_text
import pytest
import trio
import trio.testing

import hypersocket as hs
from hypersocket.management import MetricsServer, Source, _http, _ledger, _metrics, serve_metrics

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
# What Prometheus 3 sends.
PROMETHEUS = {
    "Accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "Accept-Encoding": "gzip",
}


async def start(nursery: trio.Nursery, *sources: Source, **more: Any) -> str:
    """Serve, and say where: ``host:port``."""
    server: MetricsServer = await nursery.start(
        partial(serve_metrics, "127.0.0.1:*", sources, **more)
    )
    (url,) = server.urls
    found = re.fullmatch(r"http://(127\.0\.0\.1:\d+)/metrics", url)
    assert found
    return found[1]


async def get(
    where: str, headers: dict[str, str] | None = None, path: str = "/metrics", method: str = "GET"
) -> tuple[http.client.HTTPResponse, bytes]:
    """Ask as a client of the standard library does."""

    def ask() -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(where, timeout=30)
        connection.request(method, path, headers=OPENMETRICS if headers is None else headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body

    return await trio.to_thread.run_sync(ask)


def families(body: bytes) -> dict[str, Any]:
    found = {one.name: one for one in openmetrics.text_string_to_metric_families(body.decode())}
    assert found
    return found


def value(family: Any, **labels: str) -> float:
    (found,) = [
        sample.value for sample in family.samples if labels.items() <= sample.labels.items()
    ]
    return float(found)


async def test_openmetrics_of_a_device_its_sockets_and_peers() -> None:
    async with (
        hs.Pull(bind="tcp://127.0.0.1:*") as front,
        hs.Push(bind="inproc://back") as back,
        hs.Push(connect=front.endpoints) as source,
        hs.Pull(connect="inproc://back") as sink,
        trio.open_nursery() as nursery,
    ):
        device = await nursery.start(hs.devices.streamer, front, back)
        where = await start(nursery, Source("orders", {"in": front, "out": back}, device))
        for _ in range(3):
            await source.send(b"12345")
            await sink.recv()
        response, body = await get(where)
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        assert body.endswith(b"# EOF\n")
        found = families(body)
        assert value(found["hypersocket_socket_received_messages"], socket="in", type="PULL") == 3
        assert value(found["hypersocket_socket_sent_bytes"], socket="out", type="PUSH") == 15
        assert value(found["hypersocket_peer_received_bytes"], peer="127.0.0.1") == 15
        assert value(found["hypersocket_peer_open_connections"], peer="inproc://back") == 1
        assert value(found["hypersocket_device_frontend_taken_messages"], kind="streamer") == 3
        assert value(found["hypersocket_device_backend_given_bytes"], device="orders") == 15
        assert value(found["hypersocket_devices"], state="running") == 1
        assert value(found["hypersocket_devices"], state="paused") == 0
        device.pause()
        found = families((await get(where))[1])
        assert value(found["hypersocket_devices"], state="running") == 0
        assert value(found["hypersocket_devices"], state="paused") == 1
        nursery.cancel_scope.cancel()


async def test_every_metric_has_a_unit_and_a_description() -> None:
    async with hs.Pull() as pull, trio.open_nursery() as nursery:
        where = await start(nursery, Source("d", {"in": pull}))
        _, body = await get(where)
        for name, family in families(body).items():
            assert family.unit
            assert name.endswith(f"_{family.unit}")
            assert family.documentation.endswith(".")
            assert family.type in {"counter", "gauge"}
            for sample in family.samples:
                assert sample.name == name + ("_total" if family.type == "counter" else "")
        nursery.cancel_scope.cancel()


async def test_drops_are_told_by_reason_before_there_are_any() -> None:
    async with hs.Router(bind="inproc://r") as router, trio.open_nursery() as nursery:
        where = await start(nursery, Source("d", {"r": router}))
        name = "hypersocket_socket_dropped_messages"
        before = families((await get(where))[1])[name]
        assert {sample.labels["reason"] for sample in before.samples} == set(hs.DropReason)
        assert value(before, reason="unroutable") == 0
        await router.send_multipart([b"nobody", b"x"])
        after = families((await get(where))[1])[name]
        assert value(after, reason="unroutable") == 1
        nursery.cancel_scope.cancel()


async def test_names_that_need_quoting() -> None:
    name = 'a "quoted" \\ name\nof two lines, and ü'
    async with hs.Pull() as pull, trio.open_nursery() as nursery:
        where = await start(nursery, Source(name, {name: pull}))
        for headers in (OPENMETRICS, PROMETHEUS):
            response, body = await get(where, headers)
            if response.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            family = families(body)["hypersocket_socket_received_messages"]
            assert value(family, device=name, socket=name) == 0
        nursery.cancel_scope.cancel()


async def test_paths_that_are_no_text(tmp_path: Any) -> None:
    async with (
        hs.Push(connect=f"ipc://{tmp_path}/\udcff") as push,
        trio.open_nursery() as nursery,
    ):
        where = await start(nursery, Source("d", {"out": push}))
        _, body = await get(where)
        family = families(body)["hypersocket_peer_open_connections"]
        assert value(family, peer=f"ipc://{tmp_path}/?") == 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1."),
        (PROMETHEUS["Accept"], "application/openmetrics-text; version=1.0.0"),
        ("text/plain", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.what", ""),  # either, but an answer
        ("application/openmetrics-text; version=what", ""),
    ],
)
async def test_the_client_chooses_the_format(accept: str, content_type: str) -> None:
    async with hs.Pull() as pull, trio.open_nursery() as nursery:
        where = await start(nursery, Source("d", {"in": pull}))
        response, body = await get(where, {"Accept": accept})
        assert response.headers["Content-Type"].startswith(content_type)
        assert response.headers["Vary"] == "Accept, Accept-Encoding"
        if response.headers["Content-Type"].startswith("text"):
            assert list(plain_text.text_string_to_metric_families(body.decode()))
        else:
            assert families(body)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("encoding", "zipped"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("identity", False)],
)
async def test_the_client_chooses_compression(encoding: str, zipped: bool) -> None:
    async with hs.Pull() as pull, trio.open_nursery() as nursery:
        where = await start(nursery, Source("d", {"in": pull}))
        response, body = await get(where, OPENMETRICS | {"Accept-Encoding": encoding})
        assert (response.headers.get("Content-Encoding") == "gzip") == zipped
        assert families(gzip.decompress(body) if zipped else body)
        nursery.cancel_scope.cancel()


async def test_other_paths() -> None:
    async with trio.open_nursery() as nursery:
        where = await start(nursery)
        for path, status in (("/", 200), ("/favicon.ico", 404), ("/metrics/", 404)):
            response, body = await get(where, path=path)
            assert response.status == status
            assert b"the metrics are at /metrics" in body
        nursery.cancel_scope.cancel()


async def test_every_interface() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_metrics, "*:*", [])
        port = next(url for url in server.urls if "0.0.0.0" in url).split(":")[2].split("/")[0]
        response, _ = await get(f"127.0.0.1:{port}")
        assert response.status == 200
        nursery.cancel_scope.cancel()


async def test_sources_may_come_and_go() -> None:
    async with hs.Pull() as pull, trio.open_nursery() as nursery:
        present = ["a"]
        server = await nursery.start(
            serve_metrics, "127.0.0.1:*", lambda: [Source(name, {"in": pull}) for name in present]
        )
        where = server.urls[0].split("/")[2]

        async def devices() -> set[str]:
            family = families((await get(where))[1])["hypersocket_socket_received_messages"]
            return {sample.labels["device"] for sample in family.samples}

        assert await devices() == {"a"}
        present += ["b", "b"]  # one that ends, and one that takes its place
        assert await devices() == {"a", "b", "b#2"}
        present.clear()
        assert await devices() == set()
        nursery.cancel_scope.cancel()


async def test_those_who_ask_at_once_share_an_answer_that_is_no_older(
    autojump_clock: trio.testing.MockClock,
) -> None:
    asked = 0

    def sources() -> list[Source]:
        nonlocal asked
        asked += 1
        return [Source("d", {"in": pull})]

    async with hs.Pull(bind="inproc://work") as pull, hs.Push(connect="inproc://work") as push:
        exporter = _metrics.Exporter(sources, 100)
        answers: list[bytes] = []

        async def ask() -> None:
            request = _http.Request("GET", "/metrics", {"accept": OPENMETRICS["Accept"]})
            answers.append((await exporter.respond(request)).body)

        for count in range(1, 4):
            await push.send(b"x")
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(ask)
            assert asked == count
            assert len(answers) == 20 * count
            for answer in answers[-20:]:
                assert value(families(answer)["hypersocket_socket_received_messages"]) == count


# Peers: few labels, and counters that never go back


async def test_hosts_share_a_label_and_what_is_gone_still_counts() -> None:
    async with hs.Pull(bind="tcp://127.0.0.1:*") as pull, trio.open_nursery() as nursery:
        where = await start(nursery, Source("d", {"in": pull}))
        for number in range(1, 4):
            async with (
                hs.Push(connect=pull.endpoints) as push,
                hs.Push(connect=pull.endpoints) as other,
            ):
                await push.send(b"x")
                await other.send(b"x")
                await pull.recv()
                await pull.recv()
                found = families((await get(where))[1])
                assert value(found["hypersocket_peer_received_messages"]) == 2 * number
                assert value(found["hypersocket_peer_open_connections"], peer="127.0.0.1") == 2
            with trio.fail_after(30):
                while pull.stats().peers:  # noqa: ASYNC110 - there is no event for it
                    await trio.sleep(0.001)
            found = families((await get(where))[1])
            assert value(found["hypersocket_peer_received_messages"]) == 2 * number
            assert value(found["hypersocket_peer_open_connections"]) == 0
        nursery.cancel_scope.cancel()


def peer(address: str, messages_in: int = 0, endpoint: str = "tcp://0.0.0.0:5555") -> hs.PeerStats:
    return hs.PeerStats(
        endpoint=endpoint, address=address, socket_type="PUSH", routing_id=b"", connected=True,
        messages_in=messages_in, messages_out=0, bytes_in=0, bytes_out=0, queued_in=1,
        queued_out=0, dropped=0, drops={}, subscriptions=0, connects=1, disconnects=0,
    )  # fmt: skip


BOUND = ("tcp://0.0.0.0:5555", "ipc:///run/orders")


@pytest.mark.parametrize(
    ("address", "endpoint", "label"),
    [
        ("10.0.0.7:4711", BOUND[0], "10.0.0.7"),
        ("[fe80::1%eth0]:4711", BOUND[0], "fe80::1%eth0"),
        ("10.0.0.7:4711", "tcp://broker:5555", "tcp://broker:5555"),
        ("", "tcp://broker:5555", "tcp://broker:5555"),
        ("pid 123 uid 1000", BOUND[1], "uid 1000"),
        ("", BOUND[1], BOUND[1]),
    ],
)
def test_what_a_peer_is_labelled(address: str, endpoint: str, label: str) -> None:
    assert _ledger.label_of(peer(address, endpoint=endpoint), BOUND) == label


def test_ten_thousand_hosts_have_as_many_labels_as_are_allowed() -> None:
    ledger = _ledger.PeerLedger(100)
    hosts = [f"10.0.{number // 256}.{number % 256}" for number in range(10_000)]
    told = ledger.take([peer(f"{host}:1", 1) for host in hosts], BOUND)
    assert len(told) == 101
    assert list(told)[:100] == hosts[:100]
    assert told[_ledger.OTHERS][0]["messages_in"] == 9_900
    assert told[_ledger.OTHERS][1]["messages_queued_in"] == 9_900
    # The next ten thousand get none of those that are taken, though nobody has them any more.
    told = ledger.take([peer(f"11.{host}:1", 1) for host in hosts], BOUND)
    assert len(told) == 101
    assert sum(counters["messages_in"] for counters, _ in told.values()) == 20_000
    assert told[hosts[0]][1].get("messages_queued_in", 0) == 0
    told = ledger.take([peer(f"{hosts[0]}:1", 5)], BOUND)
    assert told[hosts[0]][0]["messages_in"] == 1 + 5


def test_no_labels_at_all() -> None:
    told = _ledger.PeerLedger(0).take([peer("10.0.0.1:1", 1), peer("10.0.0.2:1", 2)], BOUND)
    assert {label: counters["messages_in"] for label, (counters, _) in told.items()} == {
        _ledger.OTHERS: 3
    }


def test_a_connection_that_takes_anothers_name_adds_to_it() -> None:
    ledger = _ledger.PeerLedger(5)
    for count, total in ((7, 7), (9, 9), (2, 11), (3, 12)):
        told = ledger.take([peer("10.0.0.1:1", count)], BOUND)
        assert told["10.0.0.1"][0]["messages_in"] == total


# Mistakes


@pytest.mark.parametrize(
    "address",
    ["", "9100", "localhost", "localhost:", "localhost:99999", ":9100", "::1:9100", "a:b"],
)
async def test_an_address_that_cannot_be(address: str) -> None:
    with pytest.raises(hs.EndpointError, match="expected HOST:PORT"):
        await serve_metrics(address, [])


async def test_an_address_that_is_not_here() -> None:
    with pytest.raises(hs.EndpointError, match=r"192\.0\.2\.1:9100: this machine does not have"):
        await serve_metrics("192.0.2.1:9100", [])
    with pytest.raises(hs.EndpointError, match=r"nowhere\.invalid:9100: "):
        await serve_metrics("nowhere.invalid:9100", [])


async def test_an_address_that_is_taken() -> None:
    async with trio.open_nursery() as nursery:
        where = await start(nursery)
        with pytest.raises(hs.AddressInUse, match=f"metrics at {where}: the address is in use"):
            await serve_metrics(where, [])
        nursery.cancel_scope.cancel()


async def test_sources_that_cannot_be() -> None:
    async with hs.Pull() as pull:
        twice = [Source("d", {"in": pull}), Source("d", {"in": pull})]
        with pytest.raises(ValueError, match="two sources have the name 'd'"):
            await serve_metrics("127.0.0.1:*", twice)
        with pytest.raises(ValueError, match="max_peers=-1"):
            await serve_metrics("127.0.0.1:*", [], max_peers=-1)


@pytest.mark.parametrize("missing", ["prometheus_client", "h11"])
async def test_without_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=rf"need {missing}: .*'hypersocket\[metrics\]'"):
        await serve_metrics("127.0.0.1:*", [])
