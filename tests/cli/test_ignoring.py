"""``--add-ignores``: comments that silence what is found, wherever it stands."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import Result

Write = Callable[[Mapping[str, str]], None]
Gradlint = Callable[..., Result]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("flag_me()\n", "flag_me()  # gradlint: ignore[XY101] old\n"),
        ("flag_me()", "flag_me()  # gradlint: ignore[XY101] old"),
        ("flag_me()  # so\n", "flag_me()  # so  # gradlint: ignore[XY101] old\n"),
        ("spare_me(flag_me())\n", "spare_me(flag_me())  # gradlint: ignore[XY101, XY102] old\n"),
        ("x = [\n    flag_me(),\n    1,\n]\n", "x = [\n    flag_me(),  # gradlint: ignore[XY101] old\n    1,\n]\n"),
        ('flag_me("""\n""")\n', 'flag_me("""\n""")  # gradlint: ignore[XY101] old\n'),
        ("x = flag_me() + \\\n  1\n", "x = flag_me() + \\\n  1  # gradlint: ignore[XY101] old\n"),
        (
            "x = flag_me() + \\\n  spare_me()\n",
            "x = flag_me() + \\\n  spare_me()  # gradlint: ignore[XY101, XY102] old\n",
        ),
        ("if flag_me():\n    pass\n", "if flag_me():  # gradlint: ignore[XY101] old\n    pass\n"),
    ],
)
def test_a_comment_silences_it(gradlint: Gradlint, write: Write, folder: Path, text: str, after: str) -> None:
    write({"a.py": text})
    assert gradlint("check", "--add-ignores", "old").exit_code == 0
    assert (folder / "a.py").read_text() == after
    result = gradlint("check")
    assert (result.exit_code, result.stdout[:11]) == (0, "No findings"), result.stdout


def test_it_can_be_looked_at_first(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.py": "flag_me()\n"})
    result = gradlint("check", "--add-ignores", "old", "--diff")
    assert "+flag_me()  # gradlint: ignore[XY101] old\n" in result.stdout
    assert (folder / "a.py").read_text() == "flag_me()\n"


def test_a_reason_is_asked_for(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "flag_me()\n"})
    assert gradlint("check", "--add-ignores", " ").exit_code == 2


def test_a_file_that_cannot_be_read_still_fails_the_run(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.py": "flag_me()\n", "b.py": "x ="})
    assert gradlint("check", "--add-ignores", "old").exit_code == 2
    assert "ignore" in (folder / "a.py").read_text()
