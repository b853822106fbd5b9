"""Running a script under the tracer: in a process of its own, so that nothing of ours is in its way."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from gradlint.cli.output import Failed, write
from gradlint.trace import Trace, TraceError, load
from gradlint.trace.boot import REFUSED, environment
from gradlint.trace.live import Watcher

NOTHING = "gradlint trace: nothing was recorded: the script did not import torch, or the disk was full\n"
_MODULES = {"text": "text", "html": "html", "perfetto": "chrome"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to trace, and what to make of it."""

    output: Path | None
    deep: bool
    live: bool
    report: str


def rendered(trace: Trace, form: str) -> str:
    """A trace in one of the forms of `gradlint report`.

    Raises:
        TraceError: when what the form needs is not installed.
    """
    report: Callable[[Trace], str] = import_module(f"gradlint.trace.{_MODULES[form]}").report
    return report(trace)


def traced(command: Sequence[str], wanted: Wanted) -> int:
    """Run Python with a command line, traced; its exit status.

    Raises:
        Failed: when the trace's folder cannot be written.
    """
    folder = _folder(wanted.output)
    watcher = Watcher(folder) if wanted.live else None
    try:
        status = _run([sys.executable, *command], environment(folder, deep=wanted.deep), watcher)
        _report(folder, wanted)
    finally:
        if wanted.output is None:
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
            if old.suffix not in {".log", ".jsonl", ".lines", ".html", REFUSED}:
                raise Failed(f"{output} holds {old.name}, which is no trace: give a folder of its own")
            old.unlink()
        (output / ".lines").touch()
        (output / ".lines").unlink()
    except OSError as error:
        raise Failed(f"cannot write {output}: {error.strerror or error}") from error
    return output


def _run(command: Sequence[str], env: dict[str, str], watcher: Watcher | None) -> int:
    """Wait for a command; signals of the terminal reach it directly, those sent to us are passed on."""
    process = subprocess.Popen(command, env=env)

    def pass_on(number: int, frame: object) -> None:
        process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait() if watcher is None else watcher.wait(process)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(folder: Path, wanted: Wanted) -> None:
    """Say what was recorded; trouble with that is no reason to change how the script ended."""
    refused = sorted(folder.glob(f"*{REFUSED}")) if folder.is_dir() else []
    for why in refused:
        _say(f"gradlint trace: not traced: {why.read_text(encoding='utf-8')}")
    try:
        trace = load(folder)
    except TraceError:
        if not refused:
            _say(NOTHING)
        return
    try:
        if wanted.report == "html":
            page = (wanted.output or Path()) / "gradtrace.html"
            write([rendered(trace, "html")], str(page))
            _say(f"gradlint trace: {page}\n")
        elif wanted.report == "text":
            _say(rendered(trace, "text"))
    except (TraceError, Failed) as error:
        _say(f"gradlint trace: {error}\n")


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _die_of(number: int) -> None:
    """End by the signal that ended the script, so that whoever started us sees the same."""
    with contextlib.suppress(OSError):  # some cannot be handled anyway
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
