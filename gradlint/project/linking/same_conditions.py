"""Branches of a block that are taken together: ``if not train: ...``, and further down ``if not train: ...``."""

from collections.abc import Iterator

from gradlint.model.code import (
    Block,
    Constant,
    Display,
    Expression,
    If,
    Operation,
    Return,
    Statement,
    Subscript,
    dotted,
)
from gradlint.model.traverse import blocks, expressions, statements
from gradlint.project.linking.rebinding import targets


def taken_later(block: Block, at: int) -> Iterator[Block]:
    """The branches that are run after the one with a call, and always with it: their tests are spelt as its own."""
    for index, statement in enumerate(block):
        if isinstance(statement, If) and _has(statement.then, at) and (test := _spelt(statement.test)) is not None:
            yield from _later(block[index + 1 :], test, {*_names(statement.test)})
        for inner in blocks(statement):
            yield from taken_later(inner, at)


def _has(block: Block, at: int) -> bool:
    return any(each.at == at for statement in block for each in expressions(statement))


def _later(rest: Block, test: object, names: set[str]) -> Iterator[Block]:
    """Those among the statements after it, up to the first that may return, or that changes what was tested."""
    for statement in rest:
        if isinstance(statement, If) and _spelt(statement.test) == test:
            yield statement.then
        if any(isinstance(each, Return) or _changes(each, names) for each in statements((statement,))):
            return


def _changes(statement: Statement, names: set[str]) -> bool:
    changed = {name for target in targets(statement) for name in _bound(target)}
    return any(f"{name}.".startswith(f"{each}.") for name in names for each in changed)


def _bound(target: Expression) -> Iterator[str]:
    match target:
        case Display(items=items):
            for item in items:
                yield from _bound(item)
        case Subscript(value=held):
            yield from _bound(held)
        case _:
            yield dotted(target) or ""


def _names(test: Expression) -> Iterator[str]:
    if isinstance(test, Operation):
        for operand in test.operands:
            yield from _names(operand)
    elif (name := dotted(test)) is not None:
        yield name


def _spelt(test: Expression) -> object:
    """A test without its places; None if it is one that may come out otherwise the next time."""
    match test:
        case Constant(value=value):
            return type(value).__name__, value
        case Operation(operator=operator, operands=operands):
            parts = [_spelt(operand) for operand in operands]
            return None if None in parts else (operator, *parts)
        case _:
            return dotted(test)
