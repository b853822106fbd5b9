"""Of which classes a name is asked to be an instance on the way to a place of a function."""

from collections.abc import Iterator

from gradlint.model.code import Call, Display, Expression, If, Name, Operation, dotted
from gradlint.model.traverse import statements, within
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.scope import places_of


def kinds_asked_for(function: FunctionNode, name: str, at: int) -> tuple[Expression, ...] | None:
    """The classes that a name is asked to be an instance of on the way to a place; None if it is asked for more."""
    found: tuple[Expression, ...] | None = None
    for statement in statements(function.facts.body):
        if not isinstance(statement, If) or at not in places_of((statement,)):
            continue
        taken = at in places_of(statement.then)
        for test in _conditions(statement.test):
            kinds = _asked(test, name)
            if kinds is not None and taken:
                found = kinds
            elif taken and not _asks_for_bias(test, name) and _mentions(test, name):
                return None
    return found


def _conditions(test: Expression) -> Iterator[Expression]:
    if isinstance(test, Operation) and test.operator == "and":
        for operand in test.operands:
            yield from _conditions(operand)
    else:
        yield test


def _asked(test: Expression, name: str) -> tuple[Expression, ...] | None:
    """``isinstance(m, nn.Linear)``, ``type(m) == nn.Linear``, ``type(m) in (nn.Linear, nn.Conv2d)``."""
    match test:
        case Call(function=Name(id="isinstance"), arguments=(asked, kinds)) if dotted(asked.value) == name:
            return _several(kinds.value)
        case Operation(
            operator="==" | "is" | "in", operands=(Call(function=Name(id="type"), arguments=(asked,)), kinds)
        ) if dotted(asked.value) == name:
            return _several(kinds)
        case _:
            return None


def _several(kinds: Expression) -> tuple[Expression, ...]:
    return kinds.items if isinstance(kinds, Display) else (kinds,)


def _asks_for_bias(test: Expression, name: str) -> bool:
    """``m.bias is not None``"""
    return isinstance(test, Operation) and test.operator == "is not" and dotted(test.operands[0]) == f"{name}.bias"


def _mentions(test: Expression, name: str) -> bool:
    return any(isinstance(part, Name) and part.id == name for part in within(test))
