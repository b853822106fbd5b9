"""Syntax errors are told in Python's words, at Python's place."""

import libcst
import pytest

from gradlint.model.concrete.read import parse
from gradlint.model.syntax import explained
from gradlint.source import Source, SourceError


def test_python_is_asked() -> None:
    with pytest.raises(SourceError) as caught:
        parse(Source("a.py", "x = 1\nprint 'hello'\n"))
    error = caught.value
    assert (error.line, error.column) == (2, 1)
    assert error.message.startswith("syntax error: Missing parentheses in call to 'print'")


def test_where_python_sees_nothing_wrong_libcst_has_the_word() -> None:
    refusal = libcst.ParserSyntaxError("parser error: expected something", lines=["x"], raw_line=3, raw_column=4)
    error = explained(Source("a.py", "x = 1\n"), refusal)
    assert (error.line, error.column) == (3, 5)
    assert error.message == "syntax error: expected something"


def test_asking_python_warns_of_nothing() -> None:
    with pytest.raises(SourceError):
        parse(Source("a.py", "x = '\\d'\ny = (\n"))
