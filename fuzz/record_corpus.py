"""Record real conversations between libzmq sockets, as seeds for the fuzzer.

Each scenario connects two libzmq sockets, through pyzmq, by way of a relay that writes down what
goes by. Each direction becomes one file of ``corpus/zmtp``: two octets that tell the fuzz target
how to listen (see ``fuzz_zmtp.py``), then the bytes as they were.

Usage: ``python fuzz/record_corpus.py``
"""

from __future__ import annotations

import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import zmq  # noqa: TID251  the sockets that are recorded

from hypersocket.zmtp import COMPATIBLE

CORPUS = Path(__file__).parent / "corpus" / "zmtp"
TYPES = tuple(COMPATIBLE)

Act = Callable[["zmq.Socket[bytes]", "zmq.Socket[bytes]"], None]


class Relay(threading.Thread):
    """Joins one connection to another, and keeps what went each way."""

    def __init__(self, target: int) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.target = target
        self.from_connecting = b""
        self.from_bound = b""

    def run(self) -> None:
        """Carry bytes until one side closes."""
        near, _ = self.listener.accept()
        far = socket.create_connection(("127.0.0.1", self.target))
        while True:
            for source in select.select([near, far], [], [])[0]:
                try:
                    data = source.recv(65536)
                except ConnectionError:
                    data = b""
                if not data:
                    near.close()
                    far.close()
                    self.listener.close()
                    return
                if source is near:
                    self.from_connecting += data
                    far.sendall(data)
                else:
                    self.from_bound += data
                    near.sendall(data)


def record(name: str, bound_type: str, connecting_type: str, act: Act, **options: object) -> None:
    """Play one scenario and write its two files."""
    context = zmq.Context()
    bound = context.socket(getattr(zmq, bound_type))
    connecting = context.socket(getattr(zmq, connecting_type))
    for each in (bound, connecting):
        each.linger = 0
        each.rcvtimeo = 2000
        each.sndtimeo = 2000
    for option, value in options.items():
        who, _, which = option.partition("_")
        setattr(bound if who == "bound" else connecting, which, value)
    relay = Relay(bound.bind_to_random_port("tcp://127.0.0.1"))
    relay.start()
    connecting.connect(f"tcp://127.0.0.1:{relay.port}")
    act(bound, connecting)
    time.sleep(0.3)
    context.destroy()
    relay.join(timeout=2)
    save(f"{name}.bound", connecting_type, relay.from_bound)
    save(f"{name}.connecting", bound_type, relay.from_connecting)


def save(name: str, listener_type: str, data: bytes) -> None:
    """Write one direction; ``listener_type`` is the socket that those bytes were meant for."""
    header = bytes((TYPES.index(listener_type), 0))
    (CORPUS / f"{name}.bin").write_bytes(header + data)
    sys.stdout.write(f"{name}: {len(data)} bytes\n")


def pipeline(pull: zmq.Socket[bytes], push: zmq.Socket[bytes]) -> None:
    """Messages of every frame form, one way."""
    messages = [[b""], [b"short"], [b"x" * 255], [b"y" * 256], [b"a", b"", b"z" * 300]]
    for message in messages:
        push.send_multipart(message)
    for _ in messages:
        pull.recv_multipart()


def request(rep: zmq.Socket[bytes], req: zmq.Socket[bytes]) -> None:
    """Three questions and answers."""
    for number in range(3):
        req.send(b"question %d" % number)
        rep.send(rep.recv().upper())
        req.recv()


def routed(router: zmq.Socket[bytes], dealer: zmq.Socket[bytes]) -> None:
    """An envelope there and back."""
    dealer.send_multipart([b"", b"hello"])
    envelope = router.recv_multipart()
    router.send_multipart([*envelope, b"and more"])
    dealer.recv_multipart()


def subscriptions(xpub: zmq.Socket[bytes], sub: zmq.Socket[bytes]) -> None:
    """Two topics, a message, and one topic given up."""
    sub.setsockopt(zmq.SUBSCRIBE, b"weather")
    sub.setsockopt(zmq.SUBSCRIBE, b"")
    xpub.recv()
    xpub.recv()
    xpub.send_multipart([b"weather.oslo", b"rain"])
    sub.recv_multipart()
    sub.setsockopt(zmq.UNSUBSCRIBE, b"")
    xpub.recv()


def upstream(xpub: zmq.Socket[bytes], xsub: zmq.Socket[bytes]) -> None:
    """What is no subscription, sent the subscriptions' way."""
    xsub.send(b"\1topic")
    xpub.recv()
    xsub.send(b"\2not a subscription")
    xpub.recv()
    xpub.send(b"topic and text")
    xsub.recv()


def quiet(first: zmq.Socket[bytes], second: zmq.Socket[bytes]) -> None:
    """A message each way, and then the time for heartbeats."""
    first.send(b"one way")
    second.recv()
    second.send(b"the other")
    first.recv()


def nothing(*_sockets: zmq.Socket[bytes]) -> None:
    """Time for the handshake alone."""
    time.sleep(0.2)


def main() -> None:
    """Record all scenarios anew."""
    CORPUS.mkdir(exist_ok=True)
    record("pipeline", "PULL", "PUSH", pipeline)
    record("request-reply", "REP", "REQ", request, connecting_identity=b"asker")
    record("routing", "ROUTER", "DEALER", routed, connecting_identity=b"dealer-1")
    record("subscriptions", "XPUB", "SUB", subscriptions, bound_xpub_verbose=1)
    record("upstream", "XPUB", "XSUB", upstream)
    beat = {"bound_heartbeat_ivl": 50, "bound_heartbeat_ttl": 1500}
    record("heartbeats", "PAIR", "PAIR", quiet, **beat)
    record("mismatch", "PUSH", "PUSH", nothing, connecting_reconnect_ivl=-1)
    plain: dict[str, object] = {
        "connecting_plain_username": b"u",
        "connecting_plain_password": b"p",
    }
    # Nobody answers for passwords here, so libzmq goes no further than its HELLO.
    plain["connecting_reconnect_ivl"] = -1
    record("plain", "PAIR", "PAIR", nothing, bound_plain_server=1, **plain)
    public, secret = zmq.curve_keypair()
    record(
        "curve",
        "PAIR",
        "PAIR",
        quiet,
        bound_curve_server=1,
        bound_curve_publickey=public,
        bound_curve_secretkey=secret,
        connecting_curve_serverkey=public,
        connecting_curve_publickey=public,
        connecting_curve_secretkey=secret,
    )


if __name__ == "__main__":
    main()
