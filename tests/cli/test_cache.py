"""A second run says what the first one said, for as long as it would find it out again."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradlint.cache import replay, store

CODE = "import torch\ntorch.no_grad()\n"


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Path:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "a.py").write_text(CODE)
    (tmp_path / "gradlint.toml").write_text("")
    settle()
    return tmp_path


def settle() -> None:
    """Wait until what was just written is old enough to be trusted."""
    time.sleep(0.3)


def check(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gradlint", "check", *(arguments or (".",))],
        cwd=project,
        env=os.environ | {"NO_COLOR": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def forge(project: Path) -> None:
    """Put other words into the cached answers, to see whether they are used."""
    with sqlite3.connect(project / store.FOLDER / store.FILE) as database:
        for key, data in database.execute("SELECT key, data FROM runs").fetchall():
            database.execute("UPDATE runs SET data = ? WHERE key = ?", (data.replace(b"thrown", b"FORGED"), key))
    database.close()


def kept(project: Path) -> list[str]:
    """The runs that are kept."""
    with sqlite3.connect(project / store.FOLDER / store.FILE) as database:
        keys = [key for (key,) in database.execute("SELECT key FROM runs")]
    database.close()
    return keys


def is_cached(project: Path, *arguments: str, **environment: str) -> bool:
    """Whether a run is answered from the cache; what it says otherwise must be the truth."""
    forge(project)
    result = check(project, *arguments, **environment)
    assert ("FORGED" in result.stdout) != ("thrown" in result.stdout), result
    return "FORGED" in result.stdout


def test_an_unchanged_project_is_not_checked_again(project: Path) -> None:
    first = check(project)
    assert first.returncode == 1
    again = check(project)
    assert (again.stdout, again.stderr, again.returncode) == (first.stdout, first.stderr, first.returncode)
    assert is_cached(project)
    assert (project / store.FOLDER / ".gitignore").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda project: (project / "pkg" / "a.py").write_text(CODE + "\n"),
        lambda project: (project / "pkg" / "b.py").write_text(""),
        lambda project: (project / "new").mkdir(),
        lambda project: (project / "pkg" / ".gitignore").write_text("c.py\n"),
        lambda project: (project / "gradlint.toml").write_text("# other\n"),
        lambda project: (project / "pkg" / "gradlint.toml").write_text("") or (project / "gradlint.toml").unlink(),
        lambda project: os.utime(project / "pkg" / "a.py"),
    ],
    ids=["content", "file", "folder", "gitignore", "settings", "other settings", "time"],
)
def test_any_change_is_noticed(project: Path, change: object) -> None:
    assert callable(change)
    check(project)
    settle()
    change(project)
    settle()
    assert not is_cached(project)
    settle()
    assert is_cached(project)


def test_other_words_are_another_question(project: Path) -> None:
    check(project)
    assert not is_cached(project, ".", "--output-format", "concise")
    assert not is_cached(project, "pkg")
    assert not is_cached(project, ".", FORCE_COLOR="1", NO_COLOR="")
    assert not is_cached(project, "--no-cache", ".")
    assert is_cached(project)


def test_what_changes_while_a_run_goes_on_is_not_kept(project: Path) -> None:
    check(project)
    (project / store.FOLDER / store.FILE).unlink()
    future = time.time() + 3600
    os.utime(project / "pkg" / "a.py", (future, future))
    check(project)
    assert not kept(project)


@pytest.mark.parametrize("arguments", [("--fix",), ("--diff",), ("-v",), ("-qv",), ("--no-cache",), ("-",)])
def test_runs_that_do_more_than_report_are_never_repeated(arguments: tuple[str, ...]) -> None:
    assert replay.is_repeatable(["check", ".", "-q"])
    assert not replay.is_repeatable(["check", ".", *arguments])
    assert not replay.is_repeatable(["rule", "."])


def test_a_run_that_failed_is_done_again(project: Path) -> None:
    (project / "pkg" / "b.py").write_text("x = (\n")
    settle()
    assert check(project).returncode == 2
    assert not kept(project)


def test_a_corrupt_cache_is_named_replaced_and_used_again(project: Path) -> None:
    first = check(project)
    (project / store.FOLDER / store.FILE).write_bytes(b"rubbish" * 1000)
    second = check(project)
    assert second.stdout == first.stdout
    assert "it was replaced" in second.stderr
    assert check(project).stderr == ""
    assert is_cached(project)


def test_a_cache_that_cannot_be_written_is_named_and_the_run_goes_on(project: Path) -> None:
    (project / store.FOLDER).write_text("in the way")
    result = check(project)
    assert result.returncode == 1
    assert "no_grad" in result.stdout
    assert "the cache is not used" in result.stderr


def test_another_version_of_the_tool_asks_again(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A module of the same name in front of the path is another tool, for all we know."""
    check(project)
    other = tmp_path_factory.mktemp("other")
    assert not is_cached(project, PYTHONPATH=os.pathsep.join([str(other), os.environ.get("PYTHONPATH", "")]))


def test_two_runs_at_once_say_the_same(project: Path) -> None:
    command = [sys.executable, "-m", "gradlint", "check", "."]
    runs = [subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    said = [run.communicate(timeout=120) for run in runs]
    assert said[0] == said[1] == said[2]
    assert said[0][1] == b""
