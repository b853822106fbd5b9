"""How a traced program may end, and disks that may be full: with the real tracer in a real program."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradlint.trace import load
from gradlint.trace.boot import environment
from tests.trace.conftest import ROOT, Ran, Run

# One process that has torch, and a child for each death. What a child writes to the pipe has happened and must be in
# its trace; it is killed after a number of turns that dice decide, wherever it then is.
MORTAL = """
import os, random, signal, sys
import torch
from pathlib import Path
from torch import nn
from gradlint.trace import session

torch.set_num_threads(1)  # threads do not survive a fork
dice = random.Random(5)
model, x = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)), torch.ones(1, 4)
for turn in range(100):
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        session.start(Path(sys.argv[1]) / str(turn), deep=turn % 2 == 1)
        while True:
            with torch.no_grad():
                model(x)
            model(x)
            model(x).sum().backward()
            os.write(theirs, b".")
    os.close(theirs)
    seen = sum(len(os.read(ours, 1)) for _ in range(dice.randrange(1, 40)))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ours)
    print(seen)
"""


def test_a_hundred_real_runs_killed_at_random_moments(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "rules")])}
    command = [sys.executable, "-c", MORTAL, str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=True)
    said = [int(line) for line in done.stdout.split()]
    assert len(said) == 100
    for turn, turns in enumerate(said):
        (process,) = load(tmp_path / str(turn)).processes
        assert not process.complete
        left = [region for region in process.regions if region.end is not None]
        assert len(process.regions) - len(left) in {0, 1}
        assert len(left) >= turns
        calls = {(line.mode.name, line.wasted_calls > 0): line.calls for line in process.lines if line.calls}
        assert len(calls) == 3
        assert max(calls.values()) - min(calls.values()) <= 1
        assert min(calls.values()) >= turns


@contextlib.contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    """A small disk of its own, mounted there."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


MANY = """
import torch

for _ in range(50_000):
    with torch.no_grad():
        pass
print(torch.is_grad_enabled())
raise SystemExit(3)
"""


def traced_into(folder: Path, output: Path) -> Ran:
    """``MANY`` traced into a folder that `gradlint trace` itself has not looked at."""
    (folder / "many.py").write_text(MANY)
    env = environment(output, deep=True)
    command = [sys.executable, "many.py"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
    return Ran(done, output)


def test_a_disk_that_fills_while_the_program_runs(tmp_path: Path) -> None:
    with disk(tmp_path / "small", "size=2500k") as small:
        ran = traced_into(tmp_path, small / "out")
        assert (ran.status, ran.out, ran.err) == (3, "True\n", "")
        (process,) = ran.trace.processes
        assert 16_000 < len(process.regions) < 50_000
        assert process.notes == ["the disk was full: later events are missing"]


@pytest.mark.parametrize("options", ["size=16k", "ro", "size=1100k"])
def test_a_disk_without_room_from_the_start_or_that_may_not_be_written(options: str, tmp_path: Path) -> None:
    with disk(tmp_path / "small", options) as small:
        ran = traced_into(tmp_path, small / "out")
        assert (ran.status, ran.out, ran.err) == (3, "True\n", "")


def test_a_folder_that_may_only_be_read(run: Run, tmp_path: Path) -> None:
    with disk(tmp_path / "out", "ro"):
        ran = run("print('never')")
        assert (ran.status, ran.out) == (2, "")
        assert "cannot write out: Read-only file system" in ran.err


def same_without_us(run: Run, text: str) -> Ran:
    """A program's run under the tracer, after one without: it printed the same and ended the same."""
    ran = run(text)
    plain = subprocess.run(
        [sys.executable, "script.py"], cwd=ran.folder.parent, capture_output=True, text=True, timeout=300, check=False
    )
    assert (plain.returncode, plain.stdout) == (ran.status, ran.out)
    return ran


@pytest.mark.parametrize("again", ['del sys.modules["torch"]; import torch', "importlib.reload(torch)"])
def test_torch_imported_a_second_time(run: Run, again: str) -> None:
    ran = same_without_us(
        run,
        f"""
        import importlib, sys
        import torch as first
        with first.no_grad():
            pass
        try:
            import torch
            {again}
        except RuntimeError as error:  # it cannot be loaded twice
            print(str(error)[:40])
        with first.inference_mode():
            print(first.is_grad_enabled())
        print(len(sys.meta_path))
        sys.exit(4)
        """,
    )
    assert ran.status == 4
    assert [str(region.mode) for region in ran.trace.regions] == ["no_grad", "inference"]


def test_a_torch_that_is_not_there(run: Run) -> None:
    ran = same_without_us(
        run,
        """
        import sys
        sys.path[:] = [path for path in sys.path if "site-packages" not in path]
        try:
            import torch
        except ImportError as error:
            print(error, error.name)
        """,
    )
    assert ran.out == "No module named 'torch' torch\n"
    assert "nothing was recorded" in ran.err


def test_a_folder_that_is_torch_in_name_only(run: Run, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("hello = 'mine'\n")
    ran = same_without_us(run, "import torch\nprint(torch.hello)")
    assert (ran.status, ran.out) == (0, "mine\n")
    assert ran.err.startswith("gradlint trace: not traced: script.py: AttributeError: ")


def test_a_log_that_was_just_being_made_does_not_spoil_the_others(run: Run) -> None:
    ran = run("import torch\nwith torch.no_grad(): pass")
    (ran.folder / "1-1.log").write_bytes(bytes(1 << 20))
    (ran.folder / "1-2.log").touch()
    (process,) = ran.trace.processes
    assert len(process.regions) == 1
    assert [note.rpartition("/")[2] for note in process.notes] == [
        "1-1.log: not a gradlint trace: left out",
        "1-2.log: not a gradlint trace: left out",
    ]


def test_every_signal_that_ends_a_program_is_passed_on(run: Run) -> None:
    ends = [signal.SIGTERM, signal.SIGHUP]
    for number in random.Random(1).sample(ends, len(ends)):
        ran = run(
            f"""
            import os, signal
            import torch
            with torch.no_grad():
                pass
            os.kill(os.getppid(), {int(number)})  # as a scheduler would: the one that it started
            signal.pause()
            """
        )
        assert ran.status == -number
        assert len(ran.trace.regions) == 1
        assert "no_grad 1 time" in ran.err
