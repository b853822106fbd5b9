"""A folder with programs in it, and ``gradlint`` run there in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
Gradlint = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The current folder of what is run, empty."""
    here = tmp_path / "here"
    here.mkdir()
    return here


@pytest.fixture
def gradlint(folder: Path) -> Gradlint:
    """Runs ``gradlint`` in the folder; its ``python`` is the one that runs the tests."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "rules")]),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "NO_COLOR": "1",
        }
        command = [sys.executable, "-m", "gradlint", *arguments]
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)

    return run
