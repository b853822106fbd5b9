"""What a function's statements give a plain name, one statement after the other."""

from collections.abc import Iterator

from gradlint.model.code import Assign, Augment, Delete, Expression, For, Statement, With
from gradlint.model.traverse import expressions, names_in, pairs, statements
from gradlint.project.linking.nodes import FunctionNode


def given_to(function: FunctionNode, name: str) -> Iterator[Expression | None]:
    """The values that assignments give a name; None for whatever else is done to it."""
    for statement in statements(function.facts.body):
        for target in targets(statement):
            values = dict(pairs(target, statement.value)) if isinstance(statement, Assign) else {}
            if name in values:
                yield values[name]
            elif name in names_in(target):
                yield None


def is_touched_among(function: FunctionNode, name: str, places: frozenset[int]) -> bool:
    """Whether a statement at one of these places binds a name, or stores something in what it holds."""
    found = (s for s in statements(function.facts.body) if any(each.at in places for each in expressions(s)))
    return any(name in names_in(target) for statement in found for target in targets(statement))


def targets(statement: Statement) -> Iterator[Expression]:
    """What a statement binds, changes or deletes."""
    match statement:
        case Assign(targets=several) | Delete(targets=several):
            yield from several
        case Augment(target=target) | For(target=target):
            yield target
        case With(items=items):
            yield from (item.target for item in items if item.target is not None)
        case _:
            pass
