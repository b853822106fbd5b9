"""``--live``: the present state on a terminal and without one, while the program runs and prints."""

import contextlib
import os
import subprocess
import sys
import termios
import threading
from pathlib import Path

from tests.trace.conftest import ROOT

WAITING = """
import sys
import torch
from torch import nn

model = nn.Linear(512, 512)
held = [model(torch.ones(64, 512)).exp() for _ in range(10)]
print("ready", flush=True)
with torch.no_grad():
    sys.stdin.readline()
print("done")
"""


def test_on_a_terminal_the_state_is_shown_until_the_report(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(WAITING)
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "rules")]), "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "gradlint", "trace", "--live", "--deep", "script.py"],
        cwd=tmp_path,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    terminal = Terminal(ours)
    terminal.wait_for(b"MainThread no_grad", b"in use", b"script.py:7: ", b"held")
    out, _ = process.communicate(b"\n", timeout=300)
    assert (process.returncode, out) == (0, b"done\n")
    shown = terminal.all()
    assert b"gradlint trace: " in shown
    assert b"Peak memory" in shown
    assert b"no_grad 1 time" in shown


class Terminal(threading.Thread):
    """Reads what is shown on a terminal, so that nobody who writes to it has to wait."""

    def __init__(self, number: int) -> None:
        super().__init__(daemon=True)
        self._number = number
        self._shown = b""
        self._more = threading.Condition()
        self.start()

    def run(self) -> None:
        """Read until nobody writes any more."""
        with contextlib.suppress(OSError):  # Linux says so when the other side is closed
            while data := os.read(self._number, 4096):
                with self._more:
                    self._shown += data
                    self._more.notify_all()
        os.close(self._number)

    def wait_for(self, *texts: bytes) -> None:
        """Until all of these have been shown."""
        with self._more:
            assert self._more.wait_for(lambda: all(text in self._shown for text in texts), 120), self._shown

    def all(self) -> bytes:
        """Everything, once the terminal is closed."""
        self.join()
        return self._shown
