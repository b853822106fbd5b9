"""``gradlint fix --prove`` with real commands on real torch: what is kept, what is put back, and how it ends."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradlint.prove.command import ran
from tests.prove.conftest import Gradlint

HEAD = """\
import torch
from torch import nn

model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
batches = [torch.ones(512, 64) for _ in range(6)]

"""
EVALUATE = """
def evaluate():
    model.eval()
    hits = 0
    for batch in batches:
        hits += model(batch).argmax(1).sum().item()
    return hits

"""
UNUSED = """
def unused():
    model.eval()
    return model(batches[0]).argmax(1).tolist()

"""
NEEDED = """
def needed():
    model.eval()
    found = model(batches[0]).argmax(1).tolist()
    assert torch.is_grad_enabled(), "needs it on"
    return found

"""
RUN = "\nprint(evaluate())\n"
GUARDED = EVALUATE.replace("def", "@torch.no_grad()\ndef")
TESTS = "import program\n\ndef test_hits(): assert program.evaluate() >= 0\n\ndef test_needed(): program.needed()\n"


def text(*parts: str) -> str:
    return "".join(parts)


def test_each_fix_is_kept_put_back_or_not_tried(folder: Path, gradlint: Gradlint) -> None:
    program = folder / "program.py"
    program.write_text(text(HEAD, EVALUATE, UNUSED, NEEDED, RUN, "needed()\n"))
    done = gradlint("fix", "--verbose", "--prove", "python program.py")
    assert (done.returncode, done.stdout.splitlines()) == (
        1,
        [
            "kept       program.py:12 GL101  3.5 MiB -> 512.0 KiB never used",
            "not tried  program.py:18 GL101  not reached: the run recorded no forward here",
            "put back   program.py:23 GL101  with it the command ended with exit status 1",
            "Kept 1 of 3 fixes: 3.5 MiB -> 512.0 KiB never used.",
        ],
    )
    assert "  | AssertionError: needs it on" in done.stderr
    assert program.read_text() == text(HEAD, GUARDED, UNUSED, NEEDED, RUN, "needed()\n")
    assert sorted(path.name for path in folder.iterdir()) == ["program.py"]


@pytest.mark.parametrize("command", ["pytest", "python -m pytest -n 1"])
def test_pytest_and_settings_in_the_command(folder: Path, gradlint: Gradlint, command: str) -> None:
    (folder / "program.py").write_text(text(HEAD, EVALUATE, NEEDED))
    (folder / "test_program.py").write_text(TESTS)
    command = f"export PYTHONDONTWRITEBYTECODE=1 && {command} -q -p no:cacheprovider -p no:asyncio"
    done = gradlint("fix", "--prove", command, "program.py")
    assert done.stdout.splitlines() == [
        "kept       program.py:12 GL101  3.5 MiB -> 512.0 KiB never used",
        "put back   program.py:18 GL101  with it the command ended with exit status 1",
        "Kept 1 of 2 fixes: 3.5 MiB -> 512.0 KiB never used.",
    ]
    assert (folder / "program.py").read_text() == text(HEAD, GUARDED, NEEDED)


def test_a_leak_that_is_gone_counts(folder: Path, gradlint: Gradlint) -> None:
    leaks = "\ndef predict():\n    torch.set_grad_enabled(False)\n    return model(batches[0]).argmax(1)\n\n"
    (folder / "program.py").write_text(text(HEAD, leaks, "globals()['pre' + 'dict']()\n"))
    done = gradlint("fix", "--select", "GL311", "--prove", "python program.py")
    assert done.stdout.splitlines()[-1] == "Kept 1 of 1 fix: 1 -> 0 leaked modes."
    assert done.returncode == 0


def test_a_generator_that_is_decorated_too_leaks_no_more(folder: Path, gradlint: Gradlint) -> None:
    yields = "def embedded():\n    with torch.no_grad():\n        for b in batches:\n            yield model(b)\n\n"
    consumes = (
        "head = nn.Linear(10, 1)\nfor x in embedded():\n    with torch.enable_grad():\n"
        "        head(x).sum().backward()\n    torch.optim.SGD(head.parameters(), lr=0.1).step()\n"
    )
    (folder / "program.py").write_text(text(HEAD, yields, consumes))
    done = gradlint("fix", "--select", "GL309", "--prove", "python program.py")
    assert done.stdout.splitlines()[-1] == "Kept 1 of 1 fix: 1 -> 0 leaked modes."
    assert "@torch.no_grad()\ndef embedded" in (folder / "program.py").read_text()


def test_a_command_that_fails_without_fixes_proves_nothing(folder: Path, gradlint: Gradlint) -> None:
    program = folder / "program.py"
    program.write_text(text(HEAD, EVALUATE))
    (folder / "loud.py").write_text("print(('x' * 99 + '\\n') * 10**5)\nraise SystemExit(3)\n")
    done = gradlint("fix", "--prove", "python loud.py", "program.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: nothing was proved: the command ended with exit status 3 as it is, before any fix" in done.stderr
    assert done.stderr.count("  | ") == 20
    for command, why in (
        ("python -c pass", "the command passed, but nothing of it was recorded: no Python of it imported torch"),
        ("no-such-command-at-all", "the command ended with exit status 127 as it is, before any fix"),
        ("python program.py && test ! -e ran && touch ran",
         "the command ended with exit status 1 the second time, before any fix"),
    ):  # fmt: skip
        done = gradlint("fix", "--prove", command, "program.py")
        assert (done.returncode, f"Error: nothing was proved: {why}\n" in done.stderr) == (2, True), done.stderr
    assert program.read_text() == text(HEAD, EVALUATE)


def test_a_command_that_takes_too_long_is_ended() -> None:
    heard: list[int] = []
    done = ran("sleep 1000 & sleep 1000", limit=2, runs=heard.append)
    assert (done.status, done.passed, done.ending) == (None, False, "was stopped after 2 s")
    assert (heard[0] > 0, heard[1:]) == (True, [0])


@pytest.mark.parametrize(("name", "status"), [("INT", 130), ("TERM", 143), ("HUP", 129), ("KILL", -9)])
def test_a_signal_leaves_files_as_they_were(folder: Path, gradlint: Gradlint, name: str, status: int) -> None:
    """The command itself sends it, to the `gradlint` that has started its shell, while a fix is in place."""
    program = folder / "program.py"
    program.write_text(text(HEAD, EVALUATE, RUN))
    again = f"cp program.py seen; kill -s {name} $PPID; sleep 1000"
    done = gradlint("fix", "--prove", f"python program.py; if grep -q no_grad program.py; then {again}; fi")
    assert done.returncode == status
    deadline = time.monotonic() + 120  # killed, it leaves the rest to its guardian
    while (folder / ".gradlint-prove").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (folder / "seen").read_text() == text(HEAD, GUARDED, RUN)
    assert program.read_text() == text(HEAD, EVALUATE, RUN)
    assert sorted(path.name for path in folder.iterdir()) == ["program.py", "seen"]
    if status > 0:
        assert "interrupted: files are as they were" in done.stderr


def test_the_next_run_restores_what_nobody_could(folder: Path, gradlint: Gradlint) -> None:
    program = folder / "program.py"
    program.write_text(text(HEAD, UNUSED))
    lost = "import os; from pathlib import Path; from gradlint.prove.journal import Journal; " \
           "Journal(Path.cwd()).change('program.py', b'half = 1'); os._exit(9)"  # fmt: skip
    subprocess.run([sys.executable, "-c", lost], cwd=folder, check=False)
    assert program.read_text() == "half = 1"
    done = gradlint("fix", "--quiet")
    said = "a run that was killed had left a fix behind: program.py holds again what it held before\n"
    assert (done.stderr, program.read_text()) == (said, text(HEAD, UNUSED))
    assert not (folder / ".gradlint-prove").exists()


def test_without_a_command_it_is_check_fix(folder: Path, gradlint: Gradlint) -> None:
    program = folder / "program.py"
    program.write_text(text(HEAD, EVALUATE))
    assert gradlint("fix").stdout == gradlint("check", "--fix").stdout
    assert program.read_text() == text(HEAD, EVALUATE)  # the fix is not safe
    assert gradlint("fix", "--unsafe-fixes").returncode == 0
    assert program.read_text() == text(HEAD, GUARDED)
    done = gradlint("fix", "--prove", "python program.py")
    assert (done.returncode, done.stderr) == (0, "no fix is offered: there is nothing to prove\n")


@pytest.mark.parametrize("arguments", [("--prove", " "), ("--timeout", "3"), ("--prove", "true", "-")])
def test_what_makes_no_sense_is_refused(folder: Path, gradlint: Gradlint, arguments: tuple[str, ...]) -> None:
    assert gradlint("fix", *arguments).returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_two_proofs_in_one_folder_are_refused(folder: Path, gradlint: Gradlint) -> None:
    (folder / "program.py").write_text(text(HEAD, EVALUATE, RUN))
    here = os.fspath(Path(sys.executable).parent)
    inner = f"{here}/python -m gradlint fix --prove true 2> inner; python program.py"
    done = gradlint("fix", "--quiet", "--prove", inner)
    assert (folder / "inner").read_text() == "Error: another `gradlint fix --prove` is at work in this folder\n"
    assert done.stdout.splitlines()[-1].startswith("Kept 1 of 1 fix: ")
