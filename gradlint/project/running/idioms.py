"""Ways of changing modules and tensors that take more than one statement, told by how they are written."""

from collections.abc import Iterator

from gradlint.model.code import Attribute, Block, Call, Evaluate, Expression, For, If, Name, dotted
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import ClassNode
from gradlint.project.running.values import Value


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
    """``for part in state: part.detach_()``: what holds the parts."""
    match statement:
        case For(target=Name(id=name), iterable=iterable, body=body):
            return dotted(iterable) if _calls(body, name, "detach_") is not None else None
        case _:
            return None


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
