"""Programs that are run under the tracer, and what it says of them."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from gradlint.trace import Trace, load

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., "Ran"]


class Ran:
    """A program that ran: what it printed, how it ended, and its trace."""

    def __init__(self, done: subprocess.CompletedProcess[str], folder: Path) -> None:
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.folder = folder

    @property
    def trace(self) -> Trace:
        return load(self.folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a program's text with ``gradlint trace``; ``options`` stand before the script."""

    def run_text(
        text: str, *arguments: str, options: tuple[str, ...] = (), script: str = "script.py", **environment: str
    ) -> Ran:
        (tmp_path / "script.py").write_text(textwrap.dedent(text))
        command = [sys.executable, "-m", "gradlint", "trace", "-o", "out", *options, script, *arguments]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "rules")]), **environment}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
        return Ran(done, tmp_path / "out")

    return run_text
