"""What peers that run in Python have in common."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from typing import Any, ClassVar

from ..job import Job


class PythonPeer:
    """A peer whose processes are ours, with its module imported."""

    name: str
    title: str
    speaks_zmtp = True
    sockets = True
    distribution: ClassVar[str]
    module: ClassVar[str]

    def missing(self) -> str | None:
        try:
            importlib.import_module(self.module)
        except ImportError as error:
            return f"not installed ({error})"
        return None

    def version(self) -> str:
        return importlib.metadata.version(self.distribution)

    def command(self, role: str, job: Job) -> list[str]:
        return [sys.executable, "-m", "bench", role, f"peer={self.name}", *job.words()]

    def environment(self) -> dict[str, str]:
        return {}

    def remark(self, case: str) -> str:  # noqa: ARG002 - the contract's
        return ""

    def _import(self) -> Any:
        return importlib.import_module(self.module)
