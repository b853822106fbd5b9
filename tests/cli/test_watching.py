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
        assert lines.until_idle() == []
        file.write_text("import torch\ntorch.no_grad()\n")
        assert [line[:15] for line in lines.until_idle()] == ["a.py:2:1: GL301"]
        (tmp_path / "gradlint.toml").write_text('ignore = ["GL30"]\n')
        (tmp_path / "b.py").write_text("import torch\nx = torch.ones(1)\nx.requires_grad(True)\n")
        found = lines.until_idle()
        while "GL301" in "".join(found) or "GL503" not in "".join(found):  # two saves may be two checks
            found = lines.until_idle()
        assert [line[:15] for line in found] == ["b.py:3:1: GL503"]
        (tmp_path / "gradlint.toml").write_text("ignore = [\n")
        assert "not valid TOML" in "".join(lines.until_idle())
        (tmp_path / "gradlint.toml").write_text('ignore = ["GL"]\n')
        assert lines.until_idle() == []
        lines.process.send_signal(signal.SIGINT)
        assert lines.process.wait(PATIENCE) == 130
