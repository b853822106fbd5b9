"""``gradlint baseline`` and ``check --baseline``."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from click.testing import Result

Write = Callable[[Mapping[str, str]], None]
Gradlint = Callable[..., Result]
NAME = ".gradlint-baseline.json"


def test_only_new_findings_are_reported(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.py": "flag_me()\nspare_me()\n"})
    result = gradlint("baseline")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{NAME}: 2 findings accepted\n"
    assert gradlint("check", "--baseline", NAME).stdout == "No findings in 1 file (2 suppressed).\n"
    write({"a.py": "import m\n\nflag_me()\nspare_me()\nflag_me()\nflag_me(1)\n"})
    result = gradlint("check", "--baseline", NAME, "--output-format", "concise")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:2] == [
        "a.py:5:1: XY101 `flag_me` is called",
        "a.py:6:1: XY101 `flag_me` is called",
    ]
    assert len(json.loads((folder / NAME).read_text())["findings"]) == 2


def test_a_baseline_shrinks_as_findings_go_and_never_grows(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.py": "flag_me()\nspare_me()\n", "b.py": "flag_me()\n"})
    gradlint("baseline", "--output", "known.json")
    write({"a.py": "flag_me()\nspare_me(2)\n", "b.py": ""})
    result = gradlint("check", "--baseline", "known.json", "a.py")
    assert result.exit_code == 1
    assert "known.json: 1 finding gone, and taken out\n" in result.stderr
    assert [row[:2] for row in json.loads((folder / "known.json").read_text())["findings"]] == [
        ["a.py", "XY101"],
        ["b.py", "XY101"],
    ]
    gradlint("check", "--baseline", "known.json", "--ignore", "XY101")
    assert "b.py" in (folder / "known.json").read_text()
    gradlint("check", "--baseline", "known.json")
    assert "b.py" not in (folder / "known.json").read_text()


def test_the_settings_can_name_it(gradlint: Gradlint, write: Write) -> None:
    write({"pkg/a.py": "flag_me()\n", "gradlint.toml": f'baseline = "{NAME}"\n'})
    (Path.cwd() / NAME).write_text('{"version": 1, "findings": []}')
    assert gradlint("check", "pkg").exit_code == 1
    gradlint("baseline")
    assert gradlint("check", "pkg").exit_code == 0
    assert gradlint("check", "--isolated").exit_code == 1


def test_a_baseline_that_is_not_there_is_2(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "x = 1\n"})
    result = gradlint("check", "--baseline", "none.json")
    assert result.exit_code == 2
    assert "none.json: cannot read" in result.stderr


def test_files_that_cannot_be_read_are_no_reason_to_forget(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.py": "flag_me()\n"})
    gradlint("baseline")
    before = (folder / NAME).read_text()
    write({"a.py": "flag_me(\n"})
    assert gradlint("check", "--baseline", NAME).exit_code == 2
    assert (folder / NAME).read_text() == before
    assert gradlint("baseline").exit_code == 2
