"""A command of the user's, run under the tracer."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gradlint.trace import Trace, TraceError, load
from gradlint.trace.boot import environment

_TAIL = 1 << 14  # bytes of what a command printed that are kept
_PATIENCE = 5  # seconds that a command is given to end by itself


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it did. ``status`` is None if it took too long; ``printed`` is its end only."""

    status: int | None
    seconds: float
    trace: Trace
    printed: str

    @property
    def passed(self) -> bool:
        """Whether it says that all is well."""
        return self.status == 0

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        if self.status is None:
            return f"was stopped after {self.seconds:.0f} s"
        if self.status < 0:
            return f"was ended by signal {-self.status}"
        return f"ended with exit status {self.status}"


def ran(command: str, *, limit: float | None, runs: Callable[[int], None]) -> Ran:
    """Run a line of the shell, traced tensor by tensor, for at most ``limit`` seconds.

    ``runs`` hears the number of its process, and 0 when it is over. What it prints goes to a file: it may be much.
    """
    folder = Path(tempfile.mkdtemp(prefix="gradtrace-"))
    try:
        with open(folder / "printed", "w+b") as printed:
            started = time.monotonic()
            process = subprocess.Popen(
                command,
                shell=True,
                env=environment(folder, deep=True),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            runs(process.pid)
            status = _wait(process, limit)
            runs(0)
            seconds = time.monotonic() - started
            printed.seek(max(printed.seek(0, os.SEEK_END) - _TAIL, 0))
            text = printed.read().decode(errors="replace")
        return Ran(status, seconds, _trace(folder), text)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: "subprocess.Popen[bytes]", limit: float | None) -> int | None:
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:  # also when we are interrupted; and what it left running in the background goes too
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what still runs of a command: politely, then not."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _trace(folder: Path) -> Trace:
    try:
        return load(folder)
    except TraceError:  # nothing was recorded
        return Trace()
