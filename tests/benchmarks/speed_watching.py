"""How long ``gradlint check --watch`` takes from a save to its answer, by the clock."""

import queue
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

COMMAND = (sys.executable, "-m", "gradlint", "check", "--watch", "--quiet", ".")
_SETTLED = 0.5  # seconds until the next look at the files has certainly been


def after_saves(files: Path, project: Path, edited: Sequence[str]) -> list[float]:
    """The seconds that each of these files takes, when a function is added to it in a copy of a project."""
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(files, project)
    found: list[float] = []
    with _watching(project) as answers:
        answers.get()
        for number, path in enumerate(edited):
            time.sleep(_SETTLED)
            started = time.perf_counter()
            with (project / path).open("a", encoding="utf-8") as file:
                file.write(f"\n\ndef added_{number}(x):\n    return x + {number}\n")
            found.append(answers.get() - started)
    return found


def middle(seconds: Sequence[float]) -> float:
    """The median."""
    return statistics.median(seconds)


@contextmanager
def _watching(project: Path) -> "Iterator[queue.Queue[float]]":
    """The moments at which a check is over."""
    answers: queue.Queue[float] = queue.Queue()
    with subprocess.Popen(
        COMMAND, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:

        def listen() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("watching "):
                    answers.put(time.perf_counter())

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield answers
        finally:
            process.kill()
            thread.join()
