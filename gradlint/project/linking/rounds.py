"""The loops of a function: what stands in them, and what they go over."""

from collections.abc import Iterator

from gradlint.model.code import (
    Assign,
    Attribute,
    Block,
    Call,
    Constant,
    Display,
    Expression,
    For,
    If,
    While,
    With,
    dotted,
)
from gradlint.model.torch_calls import STEPPING_METHODS
from gradlint.model.traverse import all_of, expressions, names_in, statements, within
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.scope import places_of


def iterated(iterable: Expression) -> Expression:
    """What a loop goes over in the end, under ``tqdm(enumerate(...))`` and the like."""
    while isinstance(iterable, Call) and iterable.arguments:
        iterable = iterable.arguments[0].value
    return iterable


def innermost_loop(function: FunctionNode, at: int) -> frozenset[int] | None:
    """The places in the body of the innermost loop around a place; None if there is no loop around it."""
    found: frozenset[int] | None = None
    for places in bodies_around(function, at):
        found = places
    return found


def bodies_around(function: FunctionNode, at: int) -> Iterator[frozenset[int]]:
    """The places in the bodies of the loops around a place, outermost first."""
    for statement in statements(function.facts.body):
        if isinstance(statement, For | While) and at in (places := frozenset(places_of(statement.body))):
            yield places


def is_carried_over(function: FunctionNode, made: int | None, at: int) -> bool:
    """Whether what is made at a place of a loop reaches another one only in the round after: it is made no sooner."""
    loop = innermost_loop(function, at)
    if made is None or loop is None or made not in loop:
        return False
    begun = [statement.at for statement in statements(function.facts.body) if statement.at in loop]
    return max(start for start in begun if start <= made) >= max(start for start in begun if start <= at)


def loops_around(function: FunctionNode, at: int) -> Iterator[For]:
    """The ``for`` loops around a place."""
    for statement in statements(function.facts.body):
        if isinstance(statement, For) and at in places_of(statement.body):
            yield statement


def share_loop(function: FunctionNode, first: int, second: int) -> bool:
    """Whether one loop has both places in it, and the second may come before the first."""
    return any(second in places for places in bodies_around(function, first))


def never_both(function: FunctionNode, first: int, second: int) -> bool:
    """Whether a run that comes to one of two places cannot come to the other: an ``if`` has them in two branches."""
    if share_loop(function, first, second):
        return False
    for statement in statements(function.facts.body):
        if isinstance(statement, If):
            then, otherwise = (frozenset(places_of(block)) for block in (statement.then, statement.otherwise))
            if (first in then and second in otherwise) or (second in then and first in otherwise):
                return True
    return False


def is_begun_by_step(function: FunctionNode, name: str, at: int) -> bool:
    """Whether a name begins again whenever the loop around a place steps: it holds what one step is made of."""
    loop = innermost_loop(function, at) or frozenset()
    for statement in statements(function.facts.body):
        if isinstance(statement, If) and statement.at in loop and at not in places_of(statement.then):
            own = [each for each in statement.then if isinstance(each, Assign)]
            begun = any(_is_nothing(each.value) and name in map(dotted, each.targets) for each in own)
            if begun and any(map(_is_step, all_of(Call, statement.then))):
                return True
    return False


def _is_nothing(value: Expression) -> bool:
    """``0``, ``0.0``, ``None``, ``[]``."""
    return isinstance(value, Constant) or (isinstance(value, Display) and not value.items)


def _is_step(call: Call) -> bool:
    return isinstance(call.function, Attribute) and call.function.name in STEPPING_METHODS


def loop_names(function: FunctionNode, at: int) -> frozenset[str]:
    """The variables of the ``for`` loops around a place."""
    targets = (loop.target for loop in loops_around(function, at))
    return frozenset().union(*map(names_in, targets))


def in_each_round(function: FunctionNode, at: int) -> bool:
    """Whether a place in a loop is reached in every round of it: it stands behind no condition within the loop."""
    for statement in statements(function.facts.body):
        if isinstance(statement, For | While) and at in _places_of_each_round(statement.body):
            return True
    return False


def _places_of_each_round(block: Block) -> Iterator[int]:
    for statement in block:
        yield statement.at
        yield from (part.at for expression in expressions(statement) for part in within(expression))
        if isinstance(statement, With):
            yield from _places_of_each_round(statement.body)
