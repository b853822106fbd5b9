"""Items of what ``backward()`` runs on the sum of: ``sum(losses.values()).backward()``, and each loss by its name."""

from collections.abc import Iterator

from gradlint.model.code import (
    Attribute,
    Block,
    Call,
    Comprehension,
    Display,
    Expression,
    For,
    If,
    Jump,
    Name,
    Statement,
    dotted,
)
from gradlint.model.traverse import all_of, blocks, statements, within
from gradlint.project.linking import rounds, scope
from gradlint.project.linking.backwards import walked_expressions
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.keeping import walked_names


def holders(function: FunctionNode, name: str, at: int, path: str | None) -> list[Expression]:
    """What holds all that a name stands for at a place: ``losses`` of ``for key, value in losses.items()``.

    None where not all items get there, but for a question about what they are added to, ``path``.
    """
    if "[" in name:
        return _indexed(function, name, at)
    if name in {bound for bound, _ in scope.assigned(function)}:
        return []
    loops = [loop for loop in rounds.loops_around(function, at) if _reaches(loop.body, at, path)]
    found = [(loop.target, loop.iterable) for loop in loops]
    for comprehension in all_of(Comprehension, function.facts.body):
        if any(part.at == at for part in within(comprehension)):
            found += [(loop.target, loop.iterable) for loop in comprehension.loops if not loop.conditions]
    return [held for target, iterable in found if (held := _holder(target, iterable, name)) is not None]


def are_walked(function: FunctionNode, held: Expression) -> bool:
    """Whether ``backward()`` runs on the sum of the items of something, or on that of some of them."""
    names = walked_names(function, None)
    if isinstance(held, Display):
        return any(dotted(item) in names for item in held.items)
    name = dotted(held)
    if name is None or name in {parameter.name for parameter in function.facts.parameters}:
        return False
    given = [value for bound, value in scope.assigned(function) if bound == name]
    if len(given) > 1:
        return False
    if any(isinstance(value, Display) and are_walked(function, value) for value in given):
        return True
    return _is_summed(function, name) or any(each.startswith(f"{name}[") for each in names)


def is_of_walked_sum(function: FunctionNode, name: str) -> bool:
    """Whether a name is that of an item, ``losses["error"]``, of what is summed up as a whole and walked."""
    holder, bracket, _ = name.partition("[")
    given = [value for bound, value in scope.assigned(function) if bound == holder]
    return bool(bracket) and len(given) == 1 and _is_summed(function, holder)


def _is_summed(function: FunctionNode, name: str) -> bool:
    """Whether ``backward()`` runs on the sum of all that a name holds."""
    return any(dotted(each) == name for walked in walked_expressions(function, None) for each in _summed(walked))


def _indexed(function: FunctionNode, name: str, at: int) -> list[Expression]:
    """``losses[name]``, where a loop goes through all the names: ``for name in losses``."""
    holder, _, index = name.removesuffix("]").partition("[")
    loops = (loop for loop in rounds.loops_around(function, at) if dotted(loop.target) == index)
    named = (part for loop in loops for part in within(loop.iterable) if dotted(part) == holder)
    return [*named][:1]


def _holder(target: Expression, iterable: Expression, name: str) -> Expression | None:
    """What a loop takes a name from, item by item."""
    match target, iterable:
        case Display(items=(_, Name(id=bound))), Call(function=Attribute(value=owner, name="items"), arguments=()):
            return owner if bound == name else None
        case Name(id=bound), Call(function=Attribute(value=owner, name="values"), arguments=()):
            return owner if bound == name else None
        case Display(items=(_, inner)), Call(function=Name(id="enumerate"), arguments=(first, *_)):
            return _holder(inner, first.value, name)
        case Name(id=bound), (Name() | Attribute() | Display()):
            return iterable if bound == name else None
        case _:
            return None


def _summed(expression: Expression) -> Iterator[Expression]:
    """What all items of are summed up: ``sum(losses.values())``, ``sum(weight * loss for loss in losses)``."""
    for call in within(expression):
        if isinstance(call, Call) and dotted(call.function) == "sum" and call.arguments:
            given = call.arguments[0].value
            loops = given.loops if isinstance(given, Comprehension) else ()
            yield from map(_whole, (given, *(each for loop in loops for each in _beside(loop.iterable))))


def _beside(iterable: Expression) -> Iterator[Expression]:
    """What a loop goes through, side by side: ``zip(weights, losses.values())``."""
    match iterable:
        case Call(function=Name(id="zip"), arguments=arguments):
            yield from (argument.value for argument in arguments)
        case _:
            yield iterable


def _whole(parts: Expression) -> Expression:
    """What ``losses.values()`` are all the items of; other expressions as they are."""
    match parts:
        case Call(function=Attribute(value=owner, name="values" | "items"), arguments=()):
            return owner
        case _:
            return parts


def _reaches(body: Block, at: int, path: str | None) -> bool:
    """Whether a place is reached in each round of a loop, questions about what is added to left out."""
    for statement in body:
        if _stands_in(statement, at, path):
            return True
        if isinstance(statement, If) and any(isinstance(each, Jump) for each in statements((statement,))):
            return False  # ``if name == "rate": continue``
    return False


def _stands_in(statement: Statement, at: int, path: str | None) -> bool:
    if isinstance(statement, If) and (path is None or path not in map(dotted, within(statement.test))):
        return False
    return at in scope.places_of((statement,)) and (
        not isinstance(statement, If | For) or any(_reaches(inner, at, path) for inner in blocks(statement))
    )
