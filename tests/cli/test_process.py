"""The command as a process of its own: start, pipes, signals, broken packs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from gradlint import __version__
from gradlint.cli import entry

COMMAND = [sys.executable, "-m", "gradlint"]
FAULTY = "import torch\n\ntorch.no_grad()\n"


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=60,
    )


def pack(folder: Path, text: str) -> str:
    """Install a rule pack with this module into a folder; PYTHONPATH for it."""
    info = folder / "brittle-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brittle\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gradlint.rules]\nbrittle = brittle\n")
    (folder / "brittle.py").write_text(text)
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


def test_help_and_version_import_nothing_heavy() -> None:
    script = """
import sys
from gradlint.cli import cli
for arguments in (["--help"], ["--version"], ["check", "--help"], ["rule", "--help"]):
    cli.main(arguments, standalone_mode=False)
heavy = {"libcst", "rich", "torch", "pathspec", "gradlint_rules", "gradlint.project", "importlib.metadata"}
print(sorted(heavy & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.endswith("\n[]\n")
    assert f"gradlint {__version__}\n" in result.stdout


def test_help_lists_every_command_and_its_module_exists() -> None:
    text = run("--help").stdout
    for name, summary in entry.COMMANDS.items():
        assert name in text
        assert summary in text
        command = entry.cli.get_command(click.Context(entry.cli), name)
        assert command is not None
        assert command.short_help == summary


def test_a_finding_in_a_process(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(FAULTY)
    result = run("check", "--output-format", "concise", cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    assert result.stdout.startswith("a.py:3:1: GL301 ")
    assert run("check", "--ignore", "GL301", cwd=tmp_path).returncode == 0


def test_an_unknown_command_is_2() -> None:
    result = run("chekc")
    assert (result.returncode, result.stdout) == (2, "")
    assert "chekc" in result.stderr


def test_what_the_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("'日本'; " + FAULTY.replace("\n\n", "; "), encoding="utf-8")
    result = run("check", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert result.returncode == 1, result.stderr
    assert r"'\u65e5\u672c'; import torch" in result.stdout


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("import gone_for_good\n", "ModuleNotFoundError: No module named 'gone_for_good'"),
        ("def broken(:\n", "SyntaxError: "),
    ],
)
def test_a_pack_that_cannot_be_imported_is_2_and_named(tmp_path: Path, text: str, cause: str) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    path = pack(tmp_path / "site", text)
    for arguments in (["check", "a.py"], ["rule"]):
        result = run(*arguments, cwd=tmp_path, PYTHONPATH=path)
        assert (result.returncode, result.stdout) == (2, "")
        assert f"the rule pack `brittle` of brittle cannot be imported: {cause}" in result.stderr
        assert "Traceback" not in result.stderr


RULE = '''"""A page."""
import os, time
from gradlint.rule import Finding, rule

@rule("XY1", severity="error", since="1")
def brittle(project):
    {body}
    yield
'''


def test_a_rule_that_raises_is_2_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(FAULTY)
    path = pack(tmp_path / "site", RULE.format(body="{}['key']"))
    result = run("check", "a.py", "--output-format", "concise", cwd=tmp_path, PYTHONPATH=path)
    assert result.returncode == 2, result.stderr
    assert "a.py:3:1: GL301 " in result.stdout
    brittle = tmp_path / "site" / "brittle.py"
    assert f"{brittle}:7:1: failed rule XY1 (brittle) failed: KeyError: 'key'" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
def test_an_interrupt_ends_the_run_at_once_with_130(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    path = pack(tmp_path / "site", RULE.format(body="open('started', 'w').close(); time.sleep(60)"))
    started = time.monotonic()
    process = subprocess.Popen(
        [*COMMAND, "check", "a.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "started").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr.strip()) == (130, "", "interrupted")
    assert time.monotonic() - started < 30


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
@pytest.mark.parametrize("arguments", [["check", "a.py"], ["rule", "--all"], ["check", "--show-files"]])
def test_a_reader_that_leaves_ends_the_run_quietly(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "a.py").write_text(FAULTY)
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # at once, so that the very first thing written finds nobody
    stderr = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), stderr) == (141, "")


def test_a_bug_of_ours_is_2_and_asks_to_be_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**options: object) -> object:
        raise AssertionError("impossible")

    monkeypatch.setattr(entry.cli, "main", fail)
    with pytest.raises(SystemExit) as caught:
        entry.main()
    assert caught.value.code == 2
    stderr = capsys.readouterr().err
    assert "AssertionError: impossible" in stderr
    assert "please report it" in stderr
