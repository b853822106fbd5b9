"""Loops over the parameters of modules, and the names that they give to these."""

from collections.abc import Iterator, Mapping

from gradlint.model.code import (
    Attribute,
    Call,
    Comprehension,
    Display,
    Expression,
    For,
    Name,
    Operation,
    Subscript,
    dotted,
)
from gradlint.model.torch_calls import PARAMETER_LISTS
from gradlint.model.traverse import statements
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.rounds import iterated
from gradlint.project.linking.scope import assigned


def lists_parameters(expression: Expression) -> bool:
    """Whether an expression is ``model.parameters()`` or ``model.named_parameters()``."""
    called = expression.function if isinstance(expression, Call) else None
    return isinstance(called, Attribute) and called.name in PARAMETER_LISTS


def looped_parameters(function: FunctionNode) -> Iterator[str]:
    """The names that a function's loops give to parameters of modules."""
    if PARAMETER_LISTS.isdisjoint(function.facts.words):
        return
    lists = _lists(function)
    for statement in statements(function.facts.body):
        if isinstance(statement, For):
            yield from _given(statement.target, statement.iterable, lists)


def given_parameters(function: FunctionNode, loop: For) -> Iterator[str]:
    """The names that one loop gives to parameters: not those of their numbers, and of their names."""
    if not PARAMETER_LISTS.isdisjoint(function.facts.words):
        yield from _given(loop.target, loop.iterable, _lists(function))


def _lists(function: FunctionNode) -> Mapping[str, Expression]:
    """The names that hold nothing but ``list(model.parameters())``, each with what is listed."""
    given = [(name, _listed(value)) for name, value in assigned(function)]
    others = {name for name, listed in given if listed is None}
    return {name: listed for name, listed in given if listed is not None and name not in others}


def _listed(value: Expression) -> Expression | None:
    listed = iterated(value) if _called(value) in ("list", "tuple") else value
    return listed if lists_parameters(listed) else None


def _called(expression: Expression) -> str | None:
    return dotted(expression.function) if isinstance(expression, Call) else None


def _given(target: Expression, iterable: Expression, lists: Mapping[str, Expression]) -> Iterator[str]:
    match iterable:
        case Name(id=name) if name in lists:
            yield from _given(target, lists[name], lists)
        case Call() if lists_parameters(iterable):
            yield from _each(target, named=_method(iterable) == "named_parameters")
        case Call(function=Name(id="zip"), arguments=arguments):
            parts = target.items if isinstance(target, Display) else ()
            for part, argument in zip(parts, arguments, strict=False):
                yield from _given(part, argument.value, lists)
        case Call(function=Name(id="enumerate"), arguments=(first, *_)):
            if isinstance(target, Display) and len(target.items) == 2:
                yield from _given(target.items[1], first.value, lists)
        case Call(function=Name(id="range" | "len")):
            pass
        case Call(arguments=arguments):  # ``reversed(...)``, ``tqdm(...)``, ``filter(..., ...)``, ``chain(..., ...)``
            for argument in arguments:
                yield from _given(target, argument.value, lists)
        case Comprehension(element=element, loops=(loop,)):
            if dotted(element) in set(_given(loop.target, loop.iterable, lists)):
                yield from _each(target, named=False)
        case Operation(operator="+", operands=operands):
            for operand in operands:
                yield from _given(target, operand, lists)
        case Subscript(value=value):
            yield from _given(target, value, lists)
        case _:
            pass


def _method(call: Expression) -> str | None:
    return call.function.name if isinstance(call, Call) and isinstance(call.function, Attribute) else None


def _each(target: Expression, *, named: bool) -> Iterator[str]:
    """The name of a parameter itself: the second where it comes with its own name."""
    match target:
        case Display(items=(_, Name(id=name))) if named:
            yield name
        case Name(id=name) if not named:
            yield name
        case _:
            pass
