"""libzmq from C: small programs of ours, beside this file."""

from __future__ import annotations

from .. import build
from ..job import Job


class Libzmq:
    """The programs in C that link with libzmq."""

    name = "libzmq"
    title = "libzmq (C)"
    speaks_zmtp = True
    sockets = True

    def missing(self) -> str | None:
        return build.libzmq_missing()

    def version(self) -> str:
        return build.libzmq_version()

    def command(self, role: str, job: Job) -> list[str]:
        return [str(build.program(role)), *job.words()]

    def environment(self) -> dict[str, str]:
        return {}

    def remark(self, case: str) -> str:  # noqa: ARG002 - the contract's
        return ""
