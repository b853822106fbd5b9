"""``--watch`` as a process: it sees what is saved, new files and settings, and ends by an interrupt."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60  # seconds
COMMAND = [sys.executable, "-m", "gradlint", "check", "--watch", "--quiet", "--output-format", "concise"]


class Lines:
    """What a process says, line by line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def until_idle(self) -> list[str]:
        """The lines up to the one that says that a check is over."""
        found = []
        while not (line := self._lines.get(timeout=PATIENCE)).startswith("watching "):
            found.append(line)
        return found

    def until(self, *texts: str) -> None:
        """Read on to a check whose lines hold these; a slow machine may see one save as two, or two as one."""
        while not holds(found := self.until_idle(), texts):
            assert self.process.poll() is None, found


def holds(lines: list[str], texts: tuple[str, ...]) -> bool:
    return len(lines) == len(texts) and all(text in line for text, line in zip(texts, lines, strict=True))


@contextmanager
def watching(folder: Path) -> Iterator[Lines]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        COMMAND, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        lines = Lines(process)
        try:
            yield lines
        finally:
            process.kill()
            lines.thread.join()


def test_each_save_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("import torch\n")
    with watching(tmp_path) as lines:
        lines.until()
        file.write_text("import torch\ntorch.no_grad()\n")
        lines.until("a.py:2:1: GL301")
        (tmp_path / "gradlint.toml").write_text('ignore = ["GL30"]\n')
        (tmp_path / "b.py").write_text("import torch\nx = torch.ones(1)\nx.requires_grad(True)\n")
        lines.until("b.py:3:1: GL503")
        (tmp_path / "gradlint.toml").write_text("ignore = [\n")
        lines.until("not valid TOML")
        (tmp_path / "gradlint.toml").write_text('ignore = ["GL"]\n')
        lines.until()
        lines.process.send_signal(signal.SIGINT)
        assert lines.process.wait(PATIENCE) == 130
