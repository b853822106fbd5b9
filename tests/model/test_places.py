"""Parts of expressions that edits replace have places of their own."""

from gradlint.finding import Span
from gradlint.model.code import Attribute, Call, Evaluate, Operation
from gradlint.model.extract import extract
from gradlint.model.locate import locate
from gradlint.model.traverse import all_expressions
from gradlint.source import Source


def text_at(source: Source, number: int | None) -> str:
    assert number is not None
    span: Span = locate(source, [number])[number]
    assert span.line == span.end_line
    return source.lines()[span.line - 1][span.column - 1 : span.end_column - 1]


def test_the_name_behind_a_dot_has_a_place() -> None:
    source = Source("a.py", "(model . head).weight.require_grad = False\n")
    found = [e for e in all_expressions(extract(source).body.body) if isinstance(e, Attribute)]
    assert [text_at(source, e.name_at) for e in found] == [e.name for e in found]
    assert {e.name for e in found} == {"head", "weight", "require_grad"}


def test_a_keyword_has_a_place() -> None:
    source = Source("a.py", "zeros(3, *more, dtype = float, require_grad=(True), **rest)\n")
    (call,) = (e for e in all_expressions(extract(source).body.body) if isinstance(e, Call))
    named = [a for a in call.arguments if a.keyword is not None]
    assert [text_at(source, a.keyword_at) for a in named] == ["dtype", "require_grad"]
    assert [a.stars for a in call.arguments] == [0, 1, 0, 0, 2]
    assert all(a.keyword_at is None for a in call.arguments if a.keyword is None)


def test_and_has_a_place_with_the_blanks_around_it() -> None:
    source = Source("a.py", "one and  two\n(three\n  and four\n)\nfive or(six)\n")
    places = [
        text_at(source, statement.value.operator_at)
        for statement in extract(source).body.body
        if isinstance(statement, Evaluate) and isinstance(statement.value, Operation)
    ]
    assert places == [" and  ", "and ", " or"]
