"""Devices as processes of their own, with libzmq's sockets on either side."""

from __future__ import annotations

import signal
import struct
import urllib.request
from typing import Any

import pytest
import zmq

from .commands import ANY_PORT, Running, Start
from .conftest import Make

pytestmark = pytest.mark.interop


def device(start: Start, kind: str, *arguments: str) -> tuple[Running, str, str]:
    """A device that listens at both sides, and where."""
    running = start(kind, "--frontend", ANY_PORT, "--backend", ANY_PORT, *arguments)
    backend = running.endpoint("backend")
    return running, running.endpoint("frontend"), backend


def serve(worker: Any, name: bytes) -> None:
    """Answer one request of a libzmq REP."""
    worker.send_multipart([name, *worker.recv_multipart()])


BALANCES = ["round-robin", "least-outstanding"]


@pytest.mark.parametrize("balance", BALANCES)
def test_queue_between_clients_and_workers(start: Start, theirs: Make, balance: str) -> None:
    queue, front, back = device(start, "queue", "--balance", balance)
    clients = [theirs("REQ", connect=front) for _ in range(3)]
    workers = [theirs("REP", connect=back) for _ in range(2)]
    poller = zmq.Poller()
    for worker in workers:
        poller.register(worker, zmq.POLLIN)
    for turn in range(20):
        for number, client in enumerate(clients):
            client.send_multipart([b"%d" % turn, b"", b"%d" % number])
        served = 0
        while served < len(clients):
            for worker, _ in poller.poll(10_000):
                serve(worker, b"reply")
                served += 1
        for number, client in enumerate(clients):
            assert client.recv_multipart() == [b"reply", b"%d" % turn, b"", b"%d" % number]
    assert (queue.end(), queue.err.rest()) == (0, b"")


@pytest.mark.parametrize("balance", BALANCES)
def test_requests_wait_for_a_worker(start: Start, theirs: Make, balance: str) -> None:
    _, front, back = device(start, "queue", "--balance", balance)
    client = theirs("REQ", connect=front)
    client.send(b"early")
    worker = theirs("REP", connect=back)
    serve(worker, b"served")
    assert client.recv_multipart() == [b"served", b"early"]


def test_a_busy_worker_is_not_fed(start: Start, theirs: Make) -> None:
    _, front, back = device(
        start, "queue", "--balance", "least-outstanding", "--max-outstanding", "1"
    )
    slow = theirs("REP", connect=back)
    client = theirs("REQ", connect=front)
    client.send(b"long")
    assert slow.recv() == b"long"
    quick = theirs("REP", connect=back)
    other = theirs("REQ", connect=front)
    for number in range(10):
        other.send(b"%d" % number)
        serve(quick, b"quick")
        assert other.recv_multipart() == [b"quick", b"%d" % number]
    slow.send(b"done")
    assert client.recv() == b"done"


def test_forwarder_between_publishers_and_subscribers(start: Start, theirs: Make) -> None:
    forwarder, front, back = device(start, "forwarder")
    weather = theirs("SUB", connect=back, subscribe="weather", rcvtimeo=10_000)
    everything = theirs("SUB", connect=back, subscribe="")
    publishers = [theirs("XPUB", connect=front) for _ in range(2)]
    for publisher in publishers:
        assert {publisher.recv(), publisher.recv()} == {b"\1weather", b"\1"}
    for number, publisher in enumerate(publishers):
        publisher.send_multipart([b"weather", b"%d" % number])
        publisher.send_multipart([b"sport", b"%d" % number])
    assert {tuple(weather.recv_multipart()) for _ in range(2)} == {
        (b"weather", b"0"),
        (b"weather", b"1"),
    }
    assert len({tuple(everything.recv_multipart()) for _ in range(4)}) == 4
    assert (forwarder.end(), forwarder.err.rest()) == (0, b"")


def test_subscriptions_travel_upstream_and_end_there(start: Start, theirs: Make) -> None:
    _, front, back = device(start, "forwarder")
    publisher = theirs("XPUB", connect=front)
    sub = theirs("SUB", connect=back, subscribe="a")
    assert publisher.recv() == b"\1a"
    sub.setsockopt(zmq.SUBSCRIBE, b"b")
    assert publisher.recv() == b"\1b"
    sub.setsockopt(zmq.UNSUBSCRIBE, b"a")
    assert publisher.recv() == b"\0a"


def test_streamer_between_sources_and_sinks(start: Start, theirs: Make) -> None:
    streamer, front, back = device(start, "streamer")
    sinks = [theirs("PULL", connect=back) for _ in range(2)]
    sources = [theirs("PUSH", connect=front, linger=-1) for _ in range(2)]
    poller = zmq.Poller()
    for sink in sinks:
        poller.register(sink, zmq.POLLIN)
    for number in range(100):
        for name, source in enumerate(sources):
            source.send_multipart([b"%d" % name, b"%d" % number])
    received: list[tuple[int, int]] = []
    while len(received) < 200:
        for sink, _ in poller.poll(10_000):
            name, number = sink.recv_multipart()
            received.append((int(name), int(number)))
    assert sorted(received) == [(name, number) for name in range(2) for number in range(100)]
    assert (streamer.end(signal.SIGINT), streamer.err.rest()) == (0, b"")


def test_several_endpoints_and_connecting_ones(start: Start, theirs: Make) -> None:
    source, sink = theirs("PUSH"), theirs("PULL")
    streamer = start(
        *("streamer", "--frontend", ANY_PORT, "--frontend", ANY_PORT),
        *("--frontend-connect", bound(source), "--backend-connect", bound(sink)),
    )
    sources = [source] + [theirs("PUSH", connect=streamer.endpoint("frontend")) for _ in range(2)]
    for number, one in enumerate(sources):
        one.send(b"%d" % number)
    assert {sink.recv() for _ in sources} == {b"0", b"1", b"2"}
    assert streamer.end() == 0


def bound(socket: Any) -> str:
    socket.bind(ANY_PORT)
    endpoint: str = socket.getsockopt_string(zmq.LAST_ENDPOINT)
    return endpoint


def test_capture_control_monitor_and_metrics(start: Start, theirs: Make) -> None:
    streamer, front, back = device(
        start,
        *("streamer", "--capture", ANY_PORT, "--control", ANY_PORT, "--monitor", ANY_PORT),
        *("--metrics", "127.0.0.1:*", "--name", "ore", "--interval", "0.05"),
    )
    copies = theirs("SUB", connect=streamer.endpoint("capture"), subscribe="")
    control = theirs("REQ", connect=streamer.endpoint("control"))
    monitor = theirs("SUB", connect=streamer.endpoint("monitor"), subscribe="")
    topic, *_ = monitor.recv_multipart()
    assert b"ore" in topic
    source, sink = theirs("PUSH", connect=front), theirs("PULL", connect=back)
    copied = None
    copies.rcvtimeo = 20
    while copied is None:  # until the capture's subscription has arrived
        source.send(b"a")
        assert sink.recv() == b"a"
        try:
            copied = copies.recv()
        except zmq.Again:
            continue
    assert copied == b"a"
    with urllib.request.urlopen(streamer.endpoint("metrics"), timeout=10) as answer:
        assert b'"ore"' in answer.read()
    control.send(b"PAUSE")
    control.recv()
    control.send(b"STATISTICS")
    statistics = [struct.unpack("=Q", frame)[0] for frame in control.recv_multipart()]
    assert len(statistics) == 8
    assert statistics[0] == statistics[6] >= 1
    source.send(b"b")
    sink.rcvtimeo = 100
    with pytest.raises(zmq.Again):
        sink.recv()
    control.send(b"RESUME")
    control.recv()
    sink.rcvtimeo = 10_000
    assert sink.recv() == b"b"
    control.send(b"TERMINATE")
    control.recv()
    assert streamer.wait() == 0
    assert streamer.err.rest() == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_cannot_be_delivered_is_said(
    start: Start, theirs: Make, number: signal.Signals
) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("run without a terminal that could go: SIGHUP is ignored, and left so")
    streamer, front, _ = device(start, "streamer", "--linger", "0.1", "--control", ANY_PORT)
    control = theirs("REQ", connect=streamer.endpoint("control"))
    source = theirs("PUSH", connect=front)
    source.send(b"a")
    taken = 0
    while not taken:
        control.send(b"STATISTICS")
        taken = struct.unpack("=Q", control.recv_multipart()[0])[0]
    assert streamer.end(number) == 0
    last = streamer.err.rest().splitlines()[-1]
    assert last.startswith(b"hypersocket: streamer: 1 message could not be delivered: 1 ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_it_at_once(
    start: Start, theirs: Make, number: signal.Signals
) -> None:
    streamer, front, _ = device(start, "streamer", "--linger", "inf", "--control", ANY_PORT)
    source = theirs("PUSH")
    monitor = source.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    monitor.rcvtimeo = 20_000
    source.connect(front)
    source.send(b"nobody takes this")
    control = theirs("REQ", connect=streamer.endpoint("control"))
    taken = 0
    while not taken:
        control.send(b"STATISTICS")
        taken = struct.unpack("=Q", control.recv_multipart()[0])[0]
    streamer.send_signal(number)
    monitor.recv_multipart()  # the first is heeded: it takes no more
    assert streamer.process.poll() is None
    assert streamer.end(number) == 1
    last = streamer.err.rest().splitlines()[-1]
    assert last.startswith(b"hypersocket: interrupted twice")
    source.disable_monitor()
    monitor.close(0)


def test_options_reach_the_sockets(start: Start, theirs: Make) -> None:
    _, front, _ = device(
        start, "streamer", "--option", "frontend.rcvhwm=10", "--option", "maxmsgsize=1000"
    )
    source = theirs("PUSH", sndhwm=1)
    monitor = source.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    monitor.rcvtimeo = 20_000
    source.connect(front)
    source.send(bytes(1001))  # which maxmsgsize forbids
    monitor.recv_multipart()
    source.disable_monitor()
    monitor.close(0)
