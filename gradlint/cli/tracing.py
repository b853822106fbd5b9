"""Running a script under the tracer: in a process of its own, so that nothing of ours is in its way."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gradlint.cli.output import Failed
from gradlint.trace import TraceError, load
from gradlint.trace.boot import environment
from gradlint.trace.text import report as text_report


def traced(command: Sequence[str], *, output: Path | None, deep: bool, report: str) -> int:
    """Run Python with a command line, traced; its exit status.

    Raises:
        Failed: when the trace's folder cannot be written.
    """
    folder = _folder(output)
    try:
        status = _run([sys.executable, *command], environment(folder, deep=deep))
        if report == "text":
            _say(folder)
    finally:
        if output is None:
            shutil.rmtree(folder, ignore_errors=True)
    if status < 0:
        _die_of(-status)
    return status


def _folder(output: Path | None) -> Path:
    if output is None:
        return Path(tempfile.mkdtemp(prefix="gradtrace-"))
    try:
        output.mkdir(parents=True, exist_ok=True)
        for old in output.iterdir():
            if old.suffix not in {".log", ".jsonl", ".lines"}:
                raise Failed(f"{output} holds {old.name}, which is no trace: give a folder of its own")
            old.unlink()
    except OSError as error:
        raise Failed(f"cannot write {output}: {error.strerror or error}") from error
    if not os.access(output, os.W_OK):
        raise Failed(f"cannot write {output}")
    return output


def _run(command: Sequence[str], env: dict[str, str]) -> int:
    """Wait for a command; signals of the terminal reach it directly, those sent to us are passed on."""
    process = subprocess.Popen(command, env=env)

    def pass_on(number: int, frame: object) -> None:
        process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(folder: Path) -> None:
    try:
        text = text_report(load(folder))
    except TraceError:
        text = "gradlint trace: nothing was recorded: the script did not import torch\n"
    sys.stderr.write(text)
    sys.stderr.flush()


def _die_of(number: int) -> None:
    """End by the signal that ended the script, so that whoever started us sees the same."""
    with contextlib.suppress(OSError):  # some cannot be handled anyway
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
