"""A process that outlives ours: if we are killed it ends the command that we ran, and restores the files.

It reads the numbers of the commands' processes from a pipe (0: none runs just now). The pipe's end without a goodbye
means that we are gone.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from gradlint.prove.journal import Busy, Journal, left

GOODBYE = b"done"
_TRIES = 50  # of a tenth of a second: the lock goes when the last of our files is closed


class Guardian:
    """The other end of the pipe, while it is open."""

    def __init__(self, parent: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
        )

    def __enter__(self) -> "Guardian":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._say(GOODBYE)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def runs(self, pid: int) -> None:
        """A command runs in this process, and group of processes; 0 when it is over."""
        self._say(str(pid).encode())

    def _say(self, word: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # somebody killed it; there is the journal still
            self._process.stdin.write(word + b"\n")
            self._process.stdin.flush()


def watch(parent: Path) -> None:
    """Wait until the one who started us is gone, then put things right."""
    words = sys.stdin.buffer.read().split()
    if words and words[-1] == GOODBYE:
        return
    if words and words[-1] != b"0":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(words[-1]), signal.SIGKILL)
    for _ in range(_TRIES):
        if not left(parent):
            return
        try:
            Journal(parent).close()
        except Busy:
            time.sleep(0.1)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
