"""Looking at a run while it goes on: its logs are read as they grow."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gradlint.trace.analyse import so_far
from gradlint.trace.events import Process, TraceError
from gradlint.trace.log import HEADER, RECORD
from gradlint.trace.read import read
from gradlint.trace.replay import Replay
from gradlint.trace.text import duration, place, size

EVERY = 0.5  # seconds between two looks
PLAIN = 10.0  # seconds between two lines where there is no terminal
LINES = 5


class Follower:
    """One process's log, read further at each look."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._offset = HEADER.size
        self._replay = Replay()

    def look(self) -> Process:
        """What is known by now.

        Raises:
            TraceError: when the log cannot be read (yet).
        """
        raw = read(self._log, self._offset)
        self._offset += RECORD.size * len(raw.records)
        self._replay.go_on(raw)
        process = so_far(raw, self._replay)
        self._replay.samples = self._replay.samples[-1:]  # only the last matters here
        return process


class Watcher:
    """Shows the present state of a run on standard error until its process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._followers: dict[Path, Follower] = {}
        self._start = time.monotonic()

    def wait(self, process: "subprocess.Popen[bytes]") -> int:
        """Show it until the process ends; its exit status."""
        return self._on_terminal(process) if sys.stderr.isatty() else self._plainly(process)

    def _on_terminal(self, process: "subprocess.Popen[bytes]") -> int:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        with Live(console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False) as view:
            while True:
                try:
                    return process.wait(EVERY)
                except subprocess.TimeoutExpired:
                    view.update(Text("\n".join(self.state()), no_wrap=True, overflow="ellipsis"))

    def _plainly(self, process: "subprocess.Popen[bytes]") -> int:
        while True:
            try:
                return process.wait(PLAIN)
            except subprocess.TimeoutExpired:
                print("; ".join(line.strip() for line in self.state()), file=sys.stderr, flush=True)

    def state(self) -> Iterator[str]:
        """The present state, a line each for the run, its threads, its devices and the lines that cost most."""
        processes = list(self._look())
        count = f"{len(processes)} process{'es' if len(processes) != 1 else ''}"
        yield f"gradlint trace: {duration((time.monotonic() - self._start) * 1e9)}, {count}"
        for process in processes:
            now = process.samples[-1:]
            yield f"{process.name}: " + ", ".join(f"{thread.name} {thread.ended}" for thread in process.threads)
            for device in process.devices:
                live = "".join(f"{size(sample.live)} in use, " for sample in now if sample.device == device.name)
                yield f"  {device.name}: {live}{size(device.peak)} at most"
            costly = sorted(process.lines, key=lambda line: (-line.wasted, -line.most))
            for line in [line for line in costly if line.saved][:LINES]:
                yield f"  {place(line)}: {size(line.alive)} held, {size(line.wasted)} never used"

    def _look(self) -> Iterator[Process]:
        for log in sorted(self._folder.glob("*.log")):
            follower = self._followers.setdefault(log, Follower(log))
            try:
                yield follower.look()
            except TraceError:  # it is just being made
                continue
