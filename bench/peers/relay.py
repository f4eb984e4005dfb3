"""The least that can stand between a REQ and RabbitMQ: a small program of ours in C.

It stands where the gateway does, for one client: a ROUTER and a publisher with confirms in one
``epoll`` loop, which copies bytes from one socket to the other. What the gateway needs beyond that
is its own; what this needs beyond the bare client, nobody who relays can do without.
"""

from __future__ import annotations

from .. import amqp, build
from ..job import Job
from ..speak import UnsupportedError


class Relay:
    """``raw_relay``, which is built like the raw clients."""

    name = "bare-relay"
    title = "bare relay (C)"
    speaks_zmtp = False
    sockets = False

    def missing(self) -> str | None:
        return amqp.missing() or build.missing("raw_relay")

    def version(self) -> str:
        return "raw_relay.c, with confirms"

    def command(self, role: str, job: Job) -> list[str]:
        if role != "gateway_call":
            raise UnsupportedError(f"has no {role}")
        return [str(build.program("raw_relay")), *job.words()]

    def environment(self) -> dict[str, str]:
        return {}

    def remark(self, case: str) -> str:  # noqa: ARG002 - the contract's
        return ""
