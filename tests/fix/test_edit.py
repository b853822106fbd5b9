"""Edits change what they say and nothing else."""

import pytest

from gradlint.diagnostic import LocatedEdit
from gradlint.finding import Span
from gradlint.fix import edited
from gradlint.fix.edit import OverlapError
from gradlint.source import Source


def edit(line: int, column: int, end_line: int, end_column: int, text: str, path: str = "a.py") -> LocatedEdit:
    return LocatedEdit(path, Span(line, column, end_line, end_column), text)


def after(text: str, *edits: LocatedEdit) -> str:
    return edited(Source("a.py", text), edits).text


def test_text_is_replaced_inserted_and_removed() -> None:
    text = "a = 1  # one\nb = 2\n"
    edits = [edit(1, 5, 1, 6, "11"), edit(2, 1, 2, 1, "c = 3\n"), edit(2, 4, 2, 6, "")]
    assert after(text, *edits) == "a = 11  # one\nc = 3\nb =\n"


def test_several_lines_become_one() -> None:
    assert after("f(\n    1,\n)\nx\n", edit(1, 2, 3, 2, "()")) == "f()\nx\n"


def test_other_files_are_left_alone() -> None:
    assert after("x\n", edit(1, 1, 1, 2, "y", "b.py")) == "x\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_new_lines_end_as_the_files_do(end: str) -> None:
    text = end.join(["def f():", "    pass", ""])
    assert after(text, edit(1, 1, 1, 1, "@g\n@h\n")) == end.join(["@g", "@h", "def f():", "    pass", ""])


def test_the_end_of_a_file_without_a_last_line_end_can_be_edited() -> None:
    assert after("x", edit(1, 2, 1, 2, "()")) == "x()"
    assert after("x\n", edit(2, 1, 2, 1, "y\n")) == "x\ny\n"


def test_form_feeds_and_other_separators_are_no_line_ends() -> None:
    assert after("'\u2028'\f\nx\n", edit(2, 1, 2, 2, "y")) == "'\u2028'\f\ny\n"


def test_edits_that_overlap_are_refused() -> None:
    with pytest.raises(OverlapError):
        after("abc\n", edit(1, 1, 1, 3, "x"), edit(1, 2, 1, 4, "y"))
