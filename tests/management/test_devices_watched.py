"""A device of the command line, with libzmq's sockets on every side, and both ways to watch it."""

from __future__ import annotations

import http.client
import re

import prometheus_client.openmetrics.parser as openmetrics
import pytest
import zmq

from hypersocket.management import Snapshot, topic_prefix

from ..cli.commands import ANY_PORT, Start


@pytest.mark.interop
def test_what_passes_a_streamer_is_in_its_feed_and_in_its_metrics(start: Start) -> None:
    device = start(
        *("streamer", "--name", "orders", "--monitor", ANY_PORT, "--metrics", "127.0.0.1:*"),
        *("--frontend", ANY_PORT, "--backend", ANY_PORT),
    )
    monitor, backend, frontend = (
        device.endpoint(name) for name in ("monitor", "backend", "frontend")
    )
    while not (found := re.search(rb"http://([\d.:]+)/metrics", device.err.seen)):
        device.err.line()
    with zmq.Context() as context:
        push, pull, sub = (context.socket(kind) for kind in (zmq.PUSH, zmq.PULL, zmq.SUB))
        for socket in (push, pull, sub):
            socket.linger, socket.rcvtimeo, socket.sndtimeo = 0, 30_000, 30_000
        pull.connect(backend)
        push.connect(frontend)
        for number in range(1000):
            push.send(b"%d" % number)
            assert pull.recv() == b"%d" % number

        sub.subscribe(topic_prefix("orders"))
        sub.connect(monitor)
        snapshot = Snapshot()
        while not (snapshot.devices and snapshot.devices["orders"].settled):
            snapshot.take(sub.recv_multipart(), 0.0)
        orders = snapshot.devices["orders"]
        assert orders.own is not None
        assert orders.own.report.body["kind"] == "streamer"
        told = orders.own.report.counters
        assert told["frontend_messages_in"] == told["backend_messages_out"] == 1000
        assert told["frontend_bytes_in"] == told["backend_bytes_out"] == 2890
        assert told["messages_undelivered"] == 0
        (peer,) = orders.sockets["frontend"].peers.values()
        assert peer.report.body["socket_type"] == "PUSH"
        assert peer.report.counters["messages_in"] == 1000

        scraper = http.client.HTTPConnection(found[1].decode(), timeout=30)
        for _ in range(2):  # by one connection
            scraper.request(
                "GET", "/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"}
            )
            text = scraper.getresponse().read().decode()
            numbers = {
                (sample.name, sample.labels.get("socket")): sample.value
                for family in openmetrics.text_string_to_metric_families(text)
                for sample in family.samples
                if sample.labels["device"] == "orders" and "reason" not in sample.labels
            }
            assert numbers["hypersocket_device_backend_given_messages_total", None] == 1000
            assert numbers["hypersocket_socket_received_messages_total", "frontend"] == 1000
            assert numbers["hypersocket_socket_sent_bytes_total", "backend"] == 2890
        scraper.close()

        assert device.end() == 0
        while sub.recv_multipart()[0] != b"hs1/orders///stopped/":
            pass
        for socket in (push, pull, sub):
            socket.close()
