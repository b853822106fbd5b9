"""A second run says what the first one said, for as long as it would find it out again."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradlint.cache import replay, store

ROOT = Path(__file__).parent.parent.parent
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


def stored(project: Path) -> list[bytes]:
    """The answers that are kept."""
    with sqlite3.connect(project / store.FOLDER / store.FILE) as database:
        answers = [data for (data,) in database.execute("SELECT data FROM runs")]
    database.close()
    return answers


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
        lambda project: (project / "pkg" / "a.py").write_text(CODE + "x = 1\n"),
        lambda project: (project / "pkg" / "b.py").write_text(""),
        lambda project: (project / "new").mkdir(),
        lambda project: (project / "pkg" / ".gitignore").write_text("c.py\n"),
        lambda project: (project / "gradlint.toml").write_text("# other\n"),
        lambda project: (project / "pkg" / "gradlint.toml").write_text("") or (project / "gradlint.toml").unlink(),
        lambda project: os.utime(project / "gradlint.toml"),
    ],
    ids=["content", "file", "folder", "gitignore", "settings", "other settings", "time of settings"],
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


BELOW = {
    "nothing": CODE,
    "a comment": f"{CODE}# of no account\n",
    "lines": CODE.removesuffix("\n") + "\n\n\n",
    "a string": f'{CODE}"""of no account"""\n',
}
AROUND = {
    "above": f"# on top\n{CODE}",
    "behind": CODE.replace("grad()", "grad()  # here"),
    "for us, unused": f"{CODE}# gradlint: ignore[GL301] for no reason\n",
    "for us, used": CODE.replace("grad()", "grad()  # gradlint: ignore[GL301] it is a test"),
    "code below": f"{CODE}torch.no_grad()\n",
    "no code": CODE.replace("no_grad()", "no_grad("),
    "no text": "\0",
}


@pytest.mark.parametrize("text", BELOW.values(), ids=BELOW)
def test_what_stands_below_all_that_is_told_and_is_no_code_may_change(project: Path, text: str) -> None:
    first = check(project)
    (project / "pkg" / "a.py").write_text(text)
    settle()
    anew = check(project, ".", "--no-cache")
    assert (anew.stdout, anew.returncode) == (first.stdout, first.returncode)
    assert is_cached(project)
    assert is_cached(project)  # as a project in which nothing has changed since


@pytest.mark.parametrize("text", AROUND.values(), ids=AROUND)
def test_whatever_may_be_told_otherwise_is_told_anew(project: Path, text: str) -> None:
    check(project)
    settle()
    (project / "pkg" / "a.py").write_text(text)
    settle()
    anew = check(project, ".", "--no-cache")
    again = check(project)
    assert (again.stdout, again.returncode) == (anew.stdout, anew.returncode)


def test_comments_for_others_may_stay_and_move(project: Path) -> None:
    (project / "pkg" / "a.py").write_text(f"{CODE}import os  # noqa: F401\n")
    settle()
    check(project)
    settle()
    (project / "pkg" / "a.py").write_text(f"{CODE}\n# more\nimport os  # noqa: F401\n")
    settle()
    assert is_cached(project)
    (project / "pkg" / "a.py").write_text(f"{CODE}\n# more\nimport os  # noqa: GL301\n")
    settle()
    assert not is_cached(project)


def test_a_comment_for_us_is_heard_wherever_it_goes(project: Path) -> None:
    silenced = CODE.replace("grad()", "grad()  # gradlint: ignore[GL301] it is a test")
    (project / "pkg" / "a.py").write_text(silenced)
    settle()
    assert check(project).returncode == 0
    (project / "pkg" / "a.py").write_text(f"{CODE}# gradlint: ignore[GL301] it is a test\n")
    settle()
    assert check(project).returncode == 1


def test_a_file_without_findings_may_change_anywhere_but_in_its_code(project: Path) -> None:
    quiet = project / "pkg" / "b.py"
    quiet.write_text('"""Nothing."""\n\n\ndef f(x):\n    return x\n')
    settle()
    check(project)
    settle()
    quiet.write_text('# on top\n"""Nothing at all."""\n\ndef f(\n    x,\n):\n    # inside\n    return x\n')
    settle()
    assert is_cached(project)
    quiet.write_text('"""Nothing."""\n\n\ndef f(x):\n    return -x\n')
    settle()
    assert not is_cached(project)


def test_so_may_some_files_at_once_but_not_all_of_a_project(project: Path) -> None:
    files = [project / "pkg" / f"b{number}.py" for number in range(20)]
    for file in files:
        file.write_text("x = 1\n")
    settle()
    check(project)
    for changed, expected in ((files[:5], True), (files, False)):
        settle()
        for file in changed:
            file.write_text(f"{file.read_text()}# more\n")
        settle()
        assert is_cached(project) == expected


def test_a_comment_in_the_tool_itself_makes_another_tool_of_it(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tool = tmp_path_factory.mktemp("tool")
    for part in ("gradlint", "rules"):
        shutil.copytree(ROOT / part, tool / part)
    path = os.pathsep.join([str(tool), str(tool / "rules")])
    checked = str(tool / "gradlint" / "source.py")
    settle()
    check(project, "pkg", checked, PYTHONPATH=path)
    assert is_cached(project, "pkg", checked, PYTHONPATH=path)
    with Path(checked).open("a") as file:
        file.write("# more\n")
    settle()
    assert not is_cached(project, "pkg", checked, PYTHONPATH=path)


def test_what_was_just_written_is_looked_into_each_time(project: Path) -> None:
    check(project)
    future = time.time() + 3600
    os.utime(project / "pkg" / "a.py", (future, future))
    forge(project)
    before = stored(project)
    assert is_cached(project)
    assert stored(project) == before
    os.utime(project / "pkg" / "a.py")
    settle()
    assert is_cached(project)
    assert stored(project) != before


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
