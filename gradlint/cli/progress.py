"""A progress bar on standard error: for people, and only where the wait is felt."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE = 1.0  # seconds


class Bar:
    """A bar that appears once a run has taken a second, if the stream is a terminal."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._wanted = not quiet and stream.isatty()
        self._started = time.monotonic()
        self._bar: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> "Bar":
        return self

    def show(self, done: int, total: int) -> None:
        """Say how much is done."""
        if not self._wanted or time.monotonic() - self._started < PATIENCE:
            return
        if self._bar is None:
            self._bar = self._begin(total)
        progress, task = self._bar
        progress.update(task, completed=done)

    def _begin(self, total: int) -> "tuple[Progress, TaskID]":
        from rich.console import Console
        from rich.progress import Progress

        progress = Progress(console=Console(file=self._stream), transient=True)
        progress.start()
        return progress, progress.add_task("checking", total=total)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar[0].stop()
