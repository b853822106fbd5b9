"""Expressions are lowered to what they mean."""

from gradlint.model.code import Constant, Evaluate
from gradlint.model.extract import extract
from gradlint.source import Source


def test_true_false_and_none_are_constants_and_no_names() -> None:
    body = extract(Source("a.py", "True\nFalse\nNone\n")).body
    values = [statement.value for statement in body.body if isinstance(statement, Evaluate)]
    assert [value.value for value in values if isinstance(value, Constant)] == [True, False, None]
    assert not body.words
