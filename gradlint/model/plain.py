"""Expressions that give no tensor, or none of which anything is known: told by their spelling, before a run."""

from collections.abc import Iterator

from gradlint.model.code import (
    Assign,
    Attribute,
    Augment,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Display,
    Expression,
    For,
    Formatted,
    Lambda,
    Name,
    NamedAssignment,
    Operation,
    Subscript,
    With,
    dotted,
)
from gradlint.model.facts import Function
from gradlint.model.torch_calls import CONTAINER_METHODS
from gradlint.model.traverse import all_of, bound_by, parts, statements

_DECIDING = frozenset({"not", "in", "not in", "is", "is not"})
_FUNCTIONS = frozenset("len int float bool str repr format range isinstance hasattr ord hash id type".split())
_GATHERING = frozenset("list tuple set sorted".split())
_LIBRARIES = frozenset("math os time json re sys np numpy random string datetime".split())
_METHODS = frozenset("item tolist numpy size dim numel nelement element_size strip split join lower upper".split())
_FACTS = frozenset("shape ndim dtype device itemsize nbytes layout requires_grad is_leaf".split())
_SETTINGS = frozenset("config cfg args hparams opt opts options settings".split())
_FLAGGING = frozenset("requires_grad requires_grad_ detach_ data".split())  # what makes a parameter better known


def gives_no_tensor(expression: Expression) -> bool:
    """Whether an expression is a number, a text or a setting, or is made of such things alone."""
    match expression:
        case Constant() | Formatted() | Lambda():
            return True
        case Display(items=items):
            return all(map(gives_no_tensor, items))
        case Comprehension(element=element):
            return gives_no_tensor(element)
        case Conditional(then=then, otherwise=otherwise):
            return gives_no_tensor(then) and gives_no_tensor(otherwise)
        case Operation(operator=operator, operands=operands):
            return operator in _DECIDING or all(map(gives_no_tensor, operands))
        case Subscript(value=value):
            return gives_no_tensor(value)
        case Attribute(name=name):
            return name in _FACTS or not _SETTINGS.isdisjoint((dotted(expression) or "").split(".")[:-1])
        case Call(function=function):
            return _gives_no_tensor(function)
        case _:
            return False


def _gives_no_tensor(function: Expression) -> bool:
    """Whether what is called gives none: ``len``, ``math.sqrt``, ``x.size``."""
    name = dotted(function) or ""
    if name in _FUNCTIONS or name.partition(".")[0] in _LIBRARIES:
        return True
    return isinstance(function, Attribute) and function.name in _METHODS


def gives_no_known_tensor(function: Function, expression: Expression) -> bool:
    """Whether an expression of a function gives no tensor, or is made of its parameters and of plain values alone.

    What callers hand in may be a tensor; whether that has a graph, only they know.
    """
    if gives_no_tensor(expression):
        return True
    return _FLAGGING.isdisjoint(function.words) and _is_of_parameters(function, expression, frozenset())


def _is_of_parameters(function: Function, expression: Expression, known: frozenset[str]) -> bool:
    """Whether nothing else goes into an expression; ``known`` are the variables that it goes into itself."""
    match expression:
        case Name(id=name):
            return name in known or _holds_parameters(function, name, known | {name})
        case Display() | Operation():
            return all(_is_of_parameters(function, part, known) for part in parts(expression))
        case Conditional(then=then, otherwise=otherwise):
            return all(_is_of_parameters(function, part, known) for part in (then, otherwise))
        case Subscript(value=value):
            return _is_of_parameters(function, value, known)
        case Call(function=Name(id=name), arguments=arguments) if name in _GATHERING:
            return all(_is_of_parameters(function, argument.value, known) for argument in arguments)
        case _:
            return gives_no_tensor(expression)


def _holds_parameters(function: Function, name: str, known: frozenset[str]) -> bool:
    if name in function.shared:
        return False  # another function may have given it something else
    if any(call.callee.rpartition(".")[0] == name and call.method in CONTAINER_METHODS for call in function.calls):
        return False
    values = [*_bound(function, name)]
    if not values and all(parameter.name != name for parameter in function.parameters):
        return False
    return all(value is not None and _is_of_parameters(function, value, known) for value in values)


def _bound(function: Function, name: str) -> Iterator[Expression | None]:
    """What a variable is given in a function; None for what is taken out of something else, by a loop perhaps."""
    loops = (loop for each in all_of(Comprehension, function.body) for loop in each.loops)
    yield from (None for loop in loops if name in bound_by(loop.target))
    yield from (walrus.value for walrus in all_of(NamedAssignment, function.body) if dotted(walrus.target) == name)
    for statement in statements(function.body):
        match statement:
            case Assign(targets=targets, value=value):
                for target in targets:
                    if name in (dotted(target), isinstance(target, Subscript) and dotted(target.value)):
                        yield value
                    elif name in bound_by(target):
                        yield None
            case Augment(target=Name(id=bound), value=value) if bound == name:
                yield value
            case For(target=target) if name in bound_by(target):
                yield None
            case With(items=items) if any(item.target is not None and name in bound_by(item.target) for item in items):
                yield None
            case _:
                pass
