"""What dies, is stopped or is restarted around a device, and the device itself."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from .commands import MODULE, PATIENCE, ROOT, Running, Start
from .conftest import Make
from .test_device_commands import device, serve

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.name != "posix", reason="sends signals"),
]

MIB = 1024 * 1024


def again(start: Start, kind: str, front: str, back: str, *arguments: str) -> Running:
    """A device in the place of one that has gone."""
    running = start(kind, "--frontend", front, "--backend", back, *arguments)
    running.endpoint("frontend")
    return running


def kill(running: Running) -> None:
    running.process.kill()
    running.wait()


def asked(client: zmq.Socket[bytes], request: bytes) -> bytes:
    """The reply of a client that asks again when there is none: a lost request is its to notice."""
    client.rcvtimeo = 200
    for _ in range(100):
        client.send(request)
        try:
            while True:
                reply = client.recv()
                if reply.endswith(request):
                    return reply
        except zmq.Again:
            continue
    raise AssertionError("no reply")


PATIENT = {"req_relaxed": 1, "req_correlate": 1}


@pytest.mark.parametrize("balance", ["round-robin", "least-outstanding"])
def test_a_queue_that_was_killed_is_replaced(start: Start, theirs: Make, balance: str) -> None:
    queue, front, back = device(start, "queue", "--balance", balance)
    worker = start("rep", back)
    client = theirs("REQ", connect=front, **PATIENT)
    assert asked(client, b"1") == b"1"
    kill(queue)
    again(start, "queue", front, back, "--balance", balance)
    assert asked(client, b"2") == b"2"
    assert worker.end() == 0


@pytest.mark.parametrize("balance", ["round-robin", "least-outstanding"])
def test_a_worker_that_was_killed_is_replaced(start: Start, theirs: Make, balance: str) -> None:
    _, front, back = device(start, "queue", "--balance", balance)
    client = theirs("REQ", connect=front, **PATIENT)
    for number in (b"1", b"2"):
        worker = start("rep", back)
        assert asked(client, number) == number
        kill(worker)
    other = theirs("REP", connect=back)
    # The queue may give a request to the worker that has gone, as long as it does not know of it.
    for _ in range(100):
        client.send(b"3")
        if other.poll(200):
            break
    while not client.poll(10):
        if other.poll(200):
            serve(other, b"other")
    assert client.recv_multipart() == [b"other", b"3"]


def test_a_client_that_was_killed_is_missed_by_nobody(start: Start, theirs: Make) -> None:
    _, front, back = device(start, "queue")
    worker = theirs("REP", connect=back)
    doomed = start("req", front, "--data", "doomed")
    assert worker.recv() == b"doomed"
    kill(doomed)
    worker.send(b"too late")
    client = theirs("REQ", connect=front)
    client.send(b"next")
    serve(worker, b"served")
    assert client.recv_multipart() == [b"served", b"next"]


def until_heard(source: zmq.Socket[bytes], sink: zmq.Socket[bytes], message: bytes) -> None:
    """Send until it arrives: libzmq may lose what it had written to a connection that died."""
    sink.rcvtimeo = 100
    for _ in range(200):
        source.send(message)
        try:
            while sink.recv() != message:
                pass
        except zmq.Again:
            continue
        return
    raise AssertionError("nothing arrives any more")


def test_a_forwarder_that_was_killed_is_replaced(start: Start, theirs: Make) -> None:
    forwarder, front, back = device(start, "forwarder")
    publisher = theirs("PUB", connect=front)
    sub = theirs("SUB", connect=back, subscribe="a")
    until_heard(publisher, sub, b"a1")
    kill(forwarder)
    again(start, "forwarder", front, back)
    until_heard(publisher, sub, b"a2")


def test_a_streamer_that_was_killed_is_replaced(start: Start, theirs: Make) -> None:
    streamer, front, back = device(start, "streamer")
    source, sink = theirs("PUSH", connect=front), theirs("PULL", connect=back)
    until_heard(source, sink, b"1")
    kill(streamer)
    again(start, "streamer", front, back)
    until_heard(source, sink, b"2")


def test_a_device_outlives_whoever_reads_what_it_says(theirs: Make, tmp_path: Path) -> None:
    """Or any stranger that connects could end it."""
    front, back = f"ipc://{tmp_path}/front", f"ipc://{tmp_path}/back"
    with subprocess.Popen(
        [*MODULE, "streamer", "--frontend", front, "--backend", back],
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as streamer:
        try:
            assert streamer.stderr is not None
            for line in streamer.stderr:
                if b"frontend listening" in line:
                    break
            streamer.stderr.close()
            stranger = theirs("REQ")
            failed = stranger.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED)
            failed.rcvtimeo = int(PATIENCE * 1000)
            stranger.connect(front)  # which is worth a warning
            failed.recv_multipart()
            stranger.disable_monitor()
            failed.close(0)
            source, sink = theirs("PUSH", connect=front), theirs("PULL", connect=back)
            source.send(b"x")
            assert sink.recv() == b"x"
            streamer.terminate()
            assert streamer.wait(PATIENCE) == 0
        finally:
            streamer.kill()


def test_a_sink_that_was_killed_is_missed_by_no_other(start: Start, theirs: Make) -> None:
    _, front, back = device(start, "streamer")
    doomed = start("pull", back)
    source = theirs("PUSH", connect=front)
    source.send(b"1")
    assert doomed.out.line() == b"1\n"
    kill(doomed)
    until_heard(source, theirs("PULL", connect=back), b"2")


def test_a_stopped_subscriber_stalls_nobody_and_takes_no_memory(start: Start, theirs: Make) -> None:
    forwarder, front, back = device(start, "forwarder", "--option", "backend.sndhwm=100")
    stopped = start("sub", back, "--topic", "a")
    publisher = theirs("XPUB", connect=front, xpub_nodrop=1)
    assert publisher.recv() == b"\1a"
    publisher.send(b"a first")
    assert stopped.out.line() == b"a first\n"
    stopped.send_signal(signal.SIGSTOP)
    sub = theirs("SUB", connect=back, subscribe="a other")
    assert publisher.recv() == b"\1a other"
    filling = b"a" + bytes(64 * 1024)
    for _ in range(400):  # what its connection and its queue hold
        publisher.send(filling)
    publisher.send(b"a other")
    assert sub.recv() == b"a other"
    before = forwarder.resident()
    for number in range(2000):
        publisher.send(filling)
        if number % 100 == 0:
            publisher.send(b"a other %d" % number)
            assert sub.recv() == b"a other %d" % number
    assert forwarder.resident() < before + 32 * MIB  # of 125 MiB that were published
    stopped.send_signal(signal.SIGCONT)


COUNT = 100_000


class Numbers:
    """What a libzmq PULL receives, in a thread of its own."""

    def __init__(self, sink: zmq.Socket[bytes]) -> None:
        self.received: list[int] = []
        self._sink = sink
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()

    def _receive(self) -> None:
        try:
            while len(self.received) < COUNT:
                number = int(self._sink.recv())
                with self._changed:
                    self.received.append(number)
                    self._changed.notify_all()
        except zmq.ZMQError:
            return

    def wait(self, count: int) -> bool:
        """Wait until so many are there; False when nothing comes any more."""
        with self._changed:
            while len(self.received) < count:
                if not self._changed.wait(PATIENCE):
                    return False
        return True

    def join(self) -> None:
        self._thread.join()


@contextmanager
def numbers_from_libzmq(theirs: Make, front: str) -> Iterator[None]:
    source = theirs("PUSH", connect=front, linger=-1)

    def send() -> None:
        for number in range(COUNT):
            source.send(b"%d" % number)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join()


@contextmanager
def numbers_from_the_command(theirs: Make, front: str) -> Iterator[None]:
    lines = b"".join(b"%d\n" % number for number in range(COUNT))
    with subprocess.Popen(
        [*MODULE, "push", front, "--timeout", "30"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as push:
        thread = threading.Thread(target=push.communicate, args=(lines,))
        thread.start()
        yield
        thread.join()
        assert push.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("source", [numbers_from_libzmq, numbers_from_the_command])
def test_graceful_restarts_lose_nothing_and_repeat_nothing(
    start: Start, theirs: Make, source: Callable[..., Iterator[None]]
) -> None:
    streamer, front, back = device(start, "streamer", "--linger", "20")
    numbers = Numbers(theirs("PULL", connect=back))
    with source(theirs, front):  # type: ignore[attr-defined]
        for restart in range(1, 6):
            assert numbers.wait(restart * COUNT // 6)
            assert (streamer.end(), streamer.err.rest()) == (0, b"")
            streamer = again(start, "streamer", front, back, "--linger", "20")
        numbers.wait(COUNT)
    numbers.join()
    assert len(numbers.received) == COUNT
    assert sorted(numbers.received) == list(range(COUNT))
    assert (streamer.end(), streamer.err.rest()) == (0, b"")
