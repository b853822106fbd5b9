"""Ways of changing modules and tensors that take more than one statement, told by how they are written."""

from collections.abc import Iterator

from gradlint.model.code import (
    Assign,
    Attribute,
    Block,
    Call,
    Display,
    Evaluate,
    Expression,
    For,
    If,
    Name,
    Statement,
    Subscript,
    dotted,
)
from gradlint.model.torch_calls import DETACHING_METHODS, READING_METHODS
from gradlint.model.traverse import within
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import ClassNode
from gradlint.project.running.values import Value

_CUTTING = DETACHING_METHODS | READING_METHODS | {"data"}


def ends_in_evaluation_mode(statement: If) -> bool:
    """``if model.training: model.eval()``: whichever way it goes, the model is in evaluation mode afterwards."""
    match statement:
        case If(test=Attribute(value=owner, name="training"), then=then, otherwise=()):
            return dotted(owner) is not None and _calls(then, dotted(owner), "eval") is not None
        case _:
            return False


def evaluated_items(statement: For) -> tuple[str, int] | None:
    """``for net in self.nets.values(): net.eval()``: what holds the modules, and where they are switched."""
    match statement:
        case For(target=Name(id=name), iterable=iterable, body=body):
            holder, at = _holder(iterable), _calls(body, name, "eval")
            return None if holder is None or at is None else (holder, at)
        case _:
            return None


def detached_items(statement: For) -> str | None:
    """What holds the parts: ``for part in state: part.detach_()``; ``found``, if each ``found[k] = v.item()``."""
    match statement:
        case For(target=Name(id=name), iterable=iterable, body=body):
            return dotted(iterable) if _calls(body, name, "detach_") is not None else None
        case For(
            target=Display(items=(Name(id=key), Name(id=item))),
            iterable=Call(function=Attribute(value=owner, name="items"), arguments=()),
            body=body,
        ):
            path = dotted(owner)
            return path if path is not None and any(_replaces(each, path, key, item) for each in body) else None
        case _:
            return None


def _replaces(statement: Statement, path: str, key: str, item: str) -> bool:
    """``found[key] = np.dot(item.detach().numpy(), other)``: by something that is made of numbers alone."""
    match statement:
        case Assign(targets=(Subscript(value=owner, index=Name(id=index)),), value=value):
            named = {part.at for part in within(value) if isinstance(part, Name) and part.id == item}
            return dotted(owner) == path and index == key and bool(named) and named <= _cut_off(value)
        case _:
            return False


def _cut_off(value: Expression) -> frozenset[int]:
    """The names in an expression of which only numbers are taken, or what has no graph."""
    roots = (_root(part) for part in within(value) if isinstance(part, Attribute) and part.name in _CUTTING)
    return frozenset(root.at for root in roots if isinstance(root, Name))


def _root(part: Expression) -> Expression:
    """What a chain of attributes, calls and items begins with."""
    while isinstance(part, Attribute | Subscript | Call):
        part = part.function if isinstance(part, Call) else part.value
    return part


def _holder(iterable: Expression) -> str | None:
    """What a loop goes through, or takes the values of."""
    match iterable:
        case Call(function=Attribute(value=owner, name="values"), arguments=()):
            return dotted(owner)
        case _:
            return dotted(iterable)


def _calls(block: Block, name: str | None, method: str) -> int | None:
    """Where a block, whatever happens, calls a method of what has a name, with no arguments."""
    for statement in block:
        match statement:
            case Evaluate(value=Call(at=at, function=Attribute(value=owner, name=called), arguments=())):
                if called == method and dotted(owner) == name:
                    return at
            case _:
                pass
    return None


def evaluated_inside(linker: Linker, context: Expression, entered: Value) -> Iterator[str]:
    """The names that a context manager of the project is made with, if it puts modules into evaluation mode."""
    if not isinstance(context, Call) or not isinstance(entered.target, ClassNode):
        return
    method = linker.find_method(entered.target, "__enter__")
    if method is not None and any(call.method == "eval" for call in method.facts.calls):
        yield from (name for argument in context.arguments if (name := dotted(argument.value)) is not None)
