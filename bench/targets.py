"""What ours has to reach, each as a ratio to something that ran beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table of targets.

    Attributes:
        case: ours is measured in it.
        against: the peer, or another case of ours (``case:NAME``), or ``bytes`` for a fixed bound.
        bound: of the ratio ours / theirs.
        at_least: whether the ratio has to be at least the bound, or at most.
        core: the form of our core that the target is for.
        against_case: where the peer is measured, if not in the same case.
    """

    case: str
    against: str
    bound: float
    at_least: bool = True
    core: str = "compiled"
    against_case: str = ""

    @property
    def asked(self) -> str:
        """The bound, for people."""
        return f"{'at least' if self.at_least else 'at most'} {self.bound:g}"

    def met(self, ratio: float) -> bool:
        """Whether a ratio is good enough."""
        return ratio >= self.bound if self.at_least else ratio <= self.bound


TARGETS = (
    Target("thr/tcp/64", "pyzmq", 2.5),
    Target("thr/tcp/64", "libzmq", 1.0),
    Target("thr/tcp/64", "pyomq", 1.2),
    Target("thr/tcp/64/batch", "pyzmq", 12.0),
    Target("thr/tcp/1024", "pyzmq", 1.5),
    Target("thr/tcp/65536", "pyzmq", 1.5),
    Target("thr/tcp/1048576", "pyzmq", 2.0),
    Target("thr/tcp/1048576", "bare", 0.85),
    Target("lat/tcp", "pyzmq", 0.7, at_least=False),
    Target("lat/tcp", "bare", 1.5, at_least=False),
    Target("lat/ipc", "pyzmq", 0.7, at_least=False),
    Target("inproc_lat", "pyzmq", 0.7, at_least=False),
    Target("fan_in/500", "pyzmq", 2.0),
    Target("fan_out/200", "pyzmq", 1.0),
    Target("fan_out/200/raw", "pyzmq", 1.0),
    Target("idle/10000", "bytes", 8192, at_least=False),
    Target("device/streamer/64", "pyzmq", 1.5),
    Target("device/streamer/1024", "pyzmq", 1.5),
    Target("device/queue", "pyzmq", 0.7, at_least=False),
    Target("gateway/out", "shovel", 2.0),
    Target("gateway/out/persistent", "shovel", 2.0),
    Target("gateway/in", "pika", 1.5),
    Target("gateway/in-1.0", "proton", 1.2),
    Target("gateway/call", "bare-amqp", 1.3, at_least=False),
    Target("subscriptions/1000000", "self", 2.0, at_least=False, against_case="subscriptions/1000"),
    Target("thr/tcp/64", "zmq.asyncio", 1.0, core="pure"),
)
