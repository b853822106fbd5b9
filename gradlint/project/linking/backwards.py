"""What functions call ``backward()`` on, as it is written."""

from gradlint.model.code import Attribute, Call, Evaluate, Expression, If, Name, Return, Try, dotted
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.model.traverse import all_of, called_name, within
from gradlint.project.linking import scope
from gradlint.project.linking.nodes import FunctionNode


def backward_names(function: FunctionNode, loop: frozenset[int] | None) -> set[str]:
    """The names that ``backward()`` is called on, or that are handed to it, in a function or in one of its loops."""
    found: set[str] = set()
    if function.facts.words.isdisjoint(BACKWARD_METHODS):
        return found
    called = {dotted(call.function) or "" for call in all_of(Call, function.facts.body)}
    for call in all_of(Call, function.facts.body):
        if loop is not None and call.at not in loop:
            continue
        if (name := dotted(call.function)) is not None:
            owner, _, method = name.rpartition(".")
            if method in BACKWARD_METHODS:
                found.add(owner)
                if f"{owner}.forward" not in called:  # a layer written by hand, which is given gradients
                    found.update(dotted(argument.value) or "" for argument in call.arguments)
    for call in all_of(Call, function.facts.body):  # ``scaler.scale(loss).backward()``
        if (dotted(call.function) or "").endswith(".scale"):
            found.update(dotted(argument.value) or "" for argument in call.arguments)
    return found - {""}


def walked_expressions(function: FunctionNode, loop: frozenset[int] | None) -> list[Expression]:
    """What ``backward()`` is called on: the expressions themselves, and those that the names are given."""
    if function.facts.words.isdisjoint(BACKWARD_METHODS):
        return []
    names = backward_names(function, loop)
    found = [value for name, value in scope.assigned(function) if name in names]
    found += [
        call.function.value
        for call in all_of(Call, function.facts.body)
        if isinstance(call.function, Attribute) and call.function.name in BACKWARD_METHODS
    ]
    return [each for each in found if loop is None or each.at in loop]


def is_walked(function: FunctionNode, at: int) -> bool:
    """Whether a function runs ``backward()`` on what a call gives, or on what is made of that."""
    if function.facts.words.isdisjoint(BACKWARD_METHODS):
        return False
    walks = (call for call in all_of(Call, function.facts.body) if called_name(call) in BACKWARD_METHODS)
    handed = (argument.value for walk in walks for argument in walk.arguments)
    walked = (*walked_expressions(function, None), *handed)
    return any(part.at == at for each in walked for part in within(each))


def walked_parameter(function: FunctionNode) -> str | None:
    """The parameter on which a function calls ``backward()`` whatever happens, and whose graph it does not keep."""
    if BACKWARD_METHODS.isdisjoint(function.facts.words):
        return None
    given = {parameter.name for parameter in function.facts.parameters}
    for statement in function.facts.body:
        match statement:
            case Evaluate(value=Call(function=Attribute(name="backward", value=Name(id=name)), arguments=())):
                return name if name in given and name not in dict(scope.assigned(function)) else None
            case Return() | If() | Try():
                return None  # there are ways around it
            case _:
                pass
    return None
