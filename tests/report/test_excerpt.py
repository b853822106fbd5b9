"""Marks stand under what they mark, whatever the line is made of."""

import pytest

from gradlint.finding import Span
from gradlint.report.excerpt import WIDEST, Mark, excerpt
from gradlint.report.style import PLAIN
from gradlint.source import Source


def shown(text: str, *marks: Mark) -> str:
    margin = max(len(str(mark.span.end_line)) for mark in marks)
    return "".join(excerpt(Source("a.py", text), marks, margin, PLAIN))


def fault(*numbers: int) -> Mark:
    return Mark(Span(*numbers), "", "error")


def note(label: str, *numbers: int) -> Mark:
    return Mark(Span(*numbers), label, None)


def test_a_mark_stands_under_its_span() -> None:
    assert shown("x = f(1)\n", fault(1, 5, 1, 9)) == (
        "  |\n"
        "1 | x = f(1)\n"
        "  |     ^^^^\n"
        "  |\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "width"),
    [("\t", 4), ("日本", 4), ("🔥", 2), ("e\u0301", 1), ("\x1b", 1), ("\u200b", 0), ("é", 1), ("\x0c", 1)],
)
def test_a_mark_is_shifted_by_columns_not_characters(before: str, width: int) -> None:
    _, line, mark, _ = shown(f"'{before}' + f()", fault(1, len(before) + 6, 1, len(before) + 9)).splitlines()
    assert mark == "  | " + " " * (width + 5) + "^^^"
    assert line.endswith("f()")


def test_a_mark_on_wide_characters_is_wide() -> None:
    assert shown("x = '日本'", fault(1, 5, 1, 9)).splitlines()[2] == "  |     ^^^^^^"


def test_an_empty_span_is_marked_too() -> None:
    assert shown("x =", fault(1, 4, 1, 4)).splitlines()[2] == "  |    ^"


def test_a_span_behind_the_last_line_is_marked_at_the_end() -> None:
    assert shown("x = (", fault(7, 1, 7, 2)).splitlines()[1:3] == ["1 | x = (", "  |      ^"]


def test_notes_stand_in_the_order_of_the_code_with_their_labels() -> None:
    text = "a = 1\nb = 2\nc = 3\nd = 4\ne = 5\nf = 6\ng = 7\n"
    marks = [fault(5, 5, 5, 6), note("first", 1, 1, 1, 6), note("near", 7, 1, 7, 2), note("same", 5, 1, 5, 2)]
    assert shown(text, *marks) == (
        "  |\n"
        "1 | a = 1\n"
        "  | ----- first\n"
        "...\n"
        "5 | e = 5\n"
        "  |     ^\n"
        "  | - same\n"
        "6 | f = 6\n"
        "7 | g = 7\n"
        "  | - near\n"
        "  |\n"
    )  # fmt: skip


def test_each_line_of_a_short_span_is_marked_and_the_label_stands_last() -> None:
    text = "x = f(\n    1,\n\n  2)  # end\n"
    assert shown(text, note("here", 1, 5, 4, 5)) == (
        "  |\n"
        "1 | x = f(\n"
        "  |     --\n"
        "2 |     1,\n"
        "  |     --\n"
        "3 |\n"
        "4 |   2)  # end\n"
        "  |   -- here\n"
        "  |\n"
    )  # fmt: skip


def test_of_a_long_span_the_first_and_last_lines_are_shown() -> None:
    text = "x = [\n" + "    1,\n" * 50 + "]\n"
    assert shown(text, fault(1, 5, 52, 2)) == (
        "   |\n"
        " 1 | x = [\n"
        "   |     ^\n"
        "...\n"
        "52 | ]\n"
        "   | ^\n"
        "   |\n"
    )  # fmt: skip


def test_a_very_long_line_is_cut_around_its_mark() -> None:
    text = "x = '" + "長" * 100_000 + "', flag_me()" + " # no" * 1000
    column = text.index("flag_me") + 1
    _, line, mark, _ = shown(text, fault(1, column, 1, column + 9)).splitlines()
    assert len(mark) <= WIDEST + 4
    assert line.startswith("1 | …")
    assert line.endswith("…")
    before = line[: line.index("flag_me")]
    assert len(before) + before.count("長") == mark.index("^")
    assert len(line) + line.count("長") <= WIDEST + 4


def test_a_mark_longer_than_the_line_shown_is_cut() -> None:
    _, line, mark, _ = shown("f(" + "1, " * 1000 + ")", fault(1, 1, 1, 3004)).splitlines()
    assert len(line) == len(mark) == WIDEST + 4
