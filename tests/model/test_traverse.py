"""Walks over code that are remembered are those that would be made anew."""

import pytest

from gradlint.model import traverse
from gradlint.model.code import Block, Call, Comprehension, Evaluate, Lambda, Name
from gradlint.model.extract import extract
from gradlint.model.traverse import all_expressions, all_of, expressions, statements, within
from gradlint.source import Source

TEXT = """
def f(xs, y):
    for x in xs:
        if x > y:
            with open(x) as file:
                y = [file.read(n) for n in x]
        else:
            return y
"""


def test_all_expressions_are_those_within_each_statement() -> None:
    body = extract(Source("a.py", TEXT)).functions[1].body
    for _ in range(2):
        each = [part for s in statements(body) for outer in expressions(s) for part in within(outer)]
        assert [*all_expressions(body)] == each


def test_expressions_of_a_kind_keep_their_order() -> None:
    body = extract(Source("a.py", TEXT)).functions[1].body
    for _ in range(2):
        for kind in (Name, Call, Comprehension):
            assert [*all_of(kind, body)] == [each for each in all_expressions(body) if isinstance(each, kind)]
            assert all_of(kind, body)
    assert all_of(Lambda, body) == ()


def test_blocks_that_take_the_place_of_others_in_memory_are_not_taken_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traverse, "_MOST_REMEMBERED", 3)
    for number in range(50):  # each is thrown away before the next one is made
        block: Block = (Evaluate(number, Name(number, str(number)), True),)
        assert [name.id for name in all_expressions(block) if isinstance(name, Name)] == [str(number)]
        assert [statement.at for statement in statements(block)] == [number]


def test_no_more_is_remembered_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traverse, "_MOST_REMEMBERED", 3)
    blocks: list[Block] = [(Evaluate(number, Name(number, "x"), True),) for number in range(50)]
    for block in blocks:
        assert len([*statements(block)]) == 1
    assert len(traverse._statements._known) <= 3
