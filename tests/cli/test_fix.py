"""``gradlint check --fix`` and ``--diff``: what is written, what is shown, and the exit status."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import Result

from gradlint.finding import Edit, Place
from gradlint.fix import WriteError, replace_file
from gradlint.rule import Rule
from gradlint.source import Source

Write = Callable[[Mapping[str, str]], None]
Gradlint = Callable[..., Result]


@pytest.fixture
def rules(flags: Callable[..., Rule]) -> list[Rule]:
    safe = Edit(Place("", 0), "replace", "mended()")
    return [flags("flag_me", edit=safe), flags("spare_me", "XY102")]


def test_fix_writes_and_reports_the_rest(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.py": "flag_me()  # so\nspare_me()\n", "pkg/b.py": "x = flag_me()\n", "c.py": "x = 1\n"})
    before = (folder / "c.py").stat().st_mtime_ns
    result = gradlint("check", "--fix", "--output-format", "concise")
    assert (folder / "a.py").read_text() == "mended()  # so\nspare_me()\n"
    assert (folder / "pkg" / "b.py").read_text() == "x = mended()\n"
    assert (folder / "c.py").stat().st_mtime_ns == before
    assert result.exit_code == 1
    assert result.stdout == "a.py:2:1: XY102 `spare_me` is called\n1 warning in 3 files (2 mended).\n"


def test_all_mended_is_0(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "flag_me()\n"})
    result = gradlint("check", "--fix")
    assert (result.exit_code, result.stdout) == (0, "No findings in 1 file (1 mended).\n")


def test_without_fix_nothing_is_written(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.py": "flag_me()\n"})
    assert gradlint("check").exit_code == 1
    assert (folder / "a.py").read_text() == "flag_me()\n"


def test_diff_shows_and_writes_nothing(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.py": "flag_me()\n", "b.py": "spare_me()\n"})
    result = gradlint("check", "--diff")
    assert result.exit_code == 1
    assert result.stdout == "--- a.py\n+++ a.py\n@@ -1 +1 @@\n-flag_me()\n+mended()\n"
    assert (folder / "a.py").read_text() == "flag_me()\n"


def test_diff_of_nothing_is_0(gradlint: Gradlint, write: Write) -> None:
    write({"b.py": "spare_me()\n"})
    result = gradlint("check", "--diff")
    assert (result.exit_code, result.stdout) == (0, "")


def test_diff_goes_before_fix(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.py": "flag_me()\n"})
    assert gradlint("check", "--fix", "--diff").exit_code == 1
    assert (folder / "a.py").read_text() == "flag_me()\n"


def test_diff_tells_what_could_not_be_read(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "flag_me(\n"})
    result = gradlint("check", "--diff")
    assert result.exit_code == 2
    assert "a.py:1:8: syntax error" in result.stderr


def test_unsafe_fixes_are_made_when_asked_for(
    gradlint: Gradlint, write: Write, folder: Path, rules: list[Rule], flags: Callable[..., Rule]
) -> None:
    edit = Edit(Place("", 0), "replace", "0")
    rules[:] = [flags("flag_me", edit=edit, applicability="unsafe")]
    write({"a.py": "flag_me()\n"})
    assert gradlint("check", "--fix").exit_code == 1
    assert (folder / "a.py").read_text() == "flag_me()\n"
    assert gradlint("check", "--fix", "--unsafe-fixes").exit_code == 0
    assert (folder / "a.py").read_text() == "0\n"


def test_what_could_be_mended_is_offered_until_it_was_tried(
    gradlint: Gradlint, write: Write, rules: list[Rule], flags: Callable[..., Rule]
) -> None:
    mend = Edit(Place("", 0), "replace", "mended()")
    in_vain = Edit(Place("", 0), "replace", "spare_me()  #")  # the finding would still be there
    rules[:] = [flags("flag_me", edit=mend), flags("spare_me", "XY102", edit=in_vain, applicability="unsafe")]
    write({"a.py": "flag_me()\nspare_me()\n"})

    def last(*options: str) -> str:
        return gradlint("check", *options).stdout.splitlines()[-1]

    assert last() == "1 can be mended with `--fix`, 1 more with `--fix --unsafe-fixes`."
    assert last("--fix") == "1 can be mended with `--fix --unsafe-fixes`."
    assert last("--fix", "--unsafe-fixes") == "1 warning in 1 file."


def test_unsafe_fixes_alone_make_no_sense(gradlint: Gradlint, write: Write) -> None:
    result = gradlint("check", "--unsafe-fixes")
    assert result.exit_code == 2
    assert "--unsafe-fixes" in result.stderr


def test_standard_input_is_mended_onto_standard_output(gradlint: Gradlint) -> None:
    text = "# coding: latin-1\nx = 'é'\r\nflag_me()\r\nspare_me()\r\n"
    result = gradlint("check", "--fix", "--output-format", "concise", "-", input=text.encode("latin-1"))
    assert result.stdout_bytes == text.replace("flag_me", "mended").encode("latin-1")
    assert "XY102" in result.stderr
    assert result.exit_code == 1


def test_a_file_that_cannot_be_written_is_2_and_the_others_are(
    gradlint: Gradlint, write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"a.py": "flag_me()\n", "b.py": "flag_me()\n"})

    def refuse(path: str, source: Source) -> None:
        if path.endswith("a.py"):
            raise WriteError(f"cannot write {path}: not allowed")
        replace_file(path, source)

    monkeypatch.setattr("gradlint.cli.saving.replace_file", refuse)
    result = gradlint("check", "--fix")
    assert result.exit_code == 2
    assert "not allowed" in result.stdout
    assert (folder / "a.py").read_text() == "flag_me()\n"
    assert (folder / "b.py").read_text() == "mended()\n"
