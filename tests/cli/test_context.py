"""``--context``: files that are read so that others are understood."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import Result

from gradlint.finding import Edit, Place
from gradlint.rule import Rule

Write = Callable[[Mapping[str, str]], None]
Gradlint = Callable[..., Result]


@pytest.fixture
def rules(flags: Callable[..., Rule]) -> list[Rule]:
    return [flags("flag_me", notes="other", edit=Edit(Place("", 0), "replace", "mended()"))]


def test_only_what_is_named_is_reported(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "flag_me()\n", "pkg/b.py": "flag_me()\nother()\n", "broken.py": "x ="})
    result = gradlint("check", "--context", ".", "./a.py", "--output-format", "full")
    assert result.exit_code == 1
    assert "::: pkg/b.py:2:1" in result.stdout
    assert "\n1 warning in 1 file.\n" in result.stdout
    assert "pkg/b.py:1:1" not in result.stdout


def test_a_context_that_is_all_named_changes_nothing(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "flag_me()\n"})
    assert gradlint("check", "--context", ".", ".").stdout == gradlint("check").stdout


def test_only_what_is_named_is_mended(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.py": "flag_me()\n", "b.py": "flag_me()\n"})
    assert gradlint("check", "--fix", "--context", ".", "a.py").exit_code == 0
    assert (folder / "a.py").read_text() == "mended()\n"
    assert (folder / "b.py").read_text() == "flag_me()\n"
