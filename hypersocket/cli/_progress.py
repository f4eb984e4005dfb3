"""A progress bar for files that are sent, where somebody looks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class FileProgress:
    """How much of a file was sent. Shows nothing where standard error is no terminal.

    Args:
        name: the file's.
        fd: the file; None for one that has no size.
    """

    def __init__(self, name: str, fd: int | None) -> None:
        self._name = Path(name).name
        self._total = os.fstat(fd).st_size if fd is not None else 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._total and _somebody_looks():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self._name, total=self._total)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def sent(self, position: int) -> None:
        """Show that the file was sent up to here."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=position)


def _somebody_looks() -> bool:
    return cast("object", sys.stderr) is not None and sys.stderr.isatty()
