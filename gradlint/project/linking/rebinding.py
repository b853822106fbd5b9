"""What a function's statements give a plain name, one statement after the other."""

from collections.abc import Iterator

from gradlint.model.code import Assign, Augment, Delete, Expression, For, With
from gradlint.model.traverse import expressions, names_in, pairs, statements
from gradlint.project.linking.nodes import FunctionNode


def given_to(function: FunctionNode, name: str) -> Iterator[Expression | None]:
    """The values that assignments give a name; None for whatever else is done to it."""
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=targets, value=value):
                for target in targets:
                    values = dict(pairs(target, value))
                    if name in values:
                        yield values[name]
                    elif name in names_in(target):
                        yield None
            case Augment(target=target) | For(target=target):
                yield from (None for each in names_in(target) if each == name)
            case With(items=items):
                yield from (None for item in items if item.target is not None and name in names_in(item.target))
            case Delete(targets=targets):
                yield from (None for target in targets if name in names_in(target))
            case _:
                pass


def is_touched_among(function: FunctionNode, name: str, places: frozenset[int]) -> bool:
    """Whether a statement at one of these places binds a name, or stores something in what it holds."""
    for statement in statements(function.facts.body):
        if not any(each.at in places for each in expressions(statement)):
            continue
        match statement:
            case Assign(targets=targets) | Delete(targets=targets):
                found = any(name in names_in(target) for target in targets)
            case Augment(target=target) | For(target=target):
                found = name in names_in(target)
            case With(items=items):
                found = any(item.target is not None and name in names_in(item.target) for item in items)
            case _:
                found = False
        if found:
            return True
    return False
