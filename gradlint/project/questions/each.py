"""Loops that do the same with each optimizer or each parameter: ``for o in optimizers: o.zero_grad()``.

What they do is done to all, as if it were one: the optimizers are called ``optimizers[...]`` then, or by their own
names where the code has these side by side.
"""

from collections.abc import Iterator

from gradlint.model.code import (
    Assign,
    Attribute,
    Block,
    Call,
    Comprehension,
    Constant,
    Display,
    Evaluate,
    Expression,
    For,
    If,
    Name,
    Operation,
    Statement,
    Subscript,
    dotted,
)
from gradlint.model.record import replace
from gradlint.model.torch_calls import PARAMETER_LISTS
from gradlint.model.traverse import all_of, named, statements
from gradlint.project.linking import scope
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.scripts import Act, Script
from gradlint.project.running.flow import Flow

EACH = "[...]"
_ADDING = ("append", "extend", "insert")
_CLEARING = frozenset({"zero_", "detach_"})


def done_to_each(function: FunctionNode, target: Expression, iterable: Expression, body: Script) -> Script | None:
    """What a loop over optimizers does, if it is nothing but steps with each of them and zeroing its gradients."""
    name, holder = _item(target), _holder(iterable)
    acts = [item for item in body if isinstance(item, Act) and item.kind in ("step", "zero") and item.inside is None]
    if name is None or holder is None or len(acts) < len(body) or any(act.path != name for act in acts):
        return None
    paths = _paths(function, holder)
    return tuple(replace(act, path=path) for path in paths for act in acts) if acts and paths else None


def gone_through(function: FunctionNode) -> Iterator[tuple[str, str]]:
    """The names that loops give to the items of something, each with the name of that."""
    loops = [(loop.target, loop.iterable) for loop in statements(function.facts.body) if isinstance(loop, For)]
    for comprehension in all_of(Comprehension, function.facts.body):
        loops += [(loop.target, loop.iterable) for loop in comprehension.loops]
    for target, iterable in loops:
        name, holder = _item(target), _holder(iterable)
        held = dotted(holder) if holder is not None else None
        if name is not None and held is not None:
            yield name, held


def zeroed_parameters(flow: Flow, loop: For) -> Act | None:
    """``for p in model.parameters(): p.grad = None``: the gradients of a module, or of an optimizer, are zeroed."""
    inner = loop.body[0] if len(loop.body) == 1 else None
    if isinstance(inner, For) and isinstance(loop.iterable, Attribute) and loop.iterable.name == "param_groups":
        match inner.iterable:  # ``for group in optimizer.param_groups: for p in group["params"]: ...``
            case Subscript(value=group, index=Constant(value="params")) if dotted(group) == dotted(loop.target):
                return _zeroed(inner, named(loop.iterable.value))
            case _:
                return None
    return _zeroed(loop, _listed(flow, loop.iterable))


def _listed(flow: Flow, iterable: Expression) -> str | None:
    """The module whose parameters an expression lists, all of them."""
    match iterable:
        case Call(function=Attribute(value=owner, name=name), arguments=()) if name in PARAMETER_LISTS:
            return named(owner)
        case Name(id=name):
            value = flow.env.get(name)
            return value.of if value is not None and value.kind == "parameters" else None
        case _:
            return None


def _zeroed(loop: For, path: str | None) -> Act | None:
    name = _item(loop.target)
    if name is None or path is None:
        return None
    ways = [*_ways(loop.body, name)]
    if not ways or None in ways:
        return None
    at = max(way for way in ways if way is not None)
    kept = not any(isinstance(statement, Assign) for statement in _flat(loop.body))
    return Act("zero", at, path, options=(("set_to_none", False),) if kept else ())


def _ways(body: Block, name: str) -> Iterator[int | None]:
    """Where the statements of a loop zero the gradient of a parameter, with None for any that do something else."""
    for statement in _flat(body):
        match statement:
            case Assign(targets=(Attribute(value=owner, name="grad") as target,), value=Constant(value=None)):
                yield target.at if dotted(owner) == name else None
            case Evaluate(value=Call(at=at, function=Attribute(value=owner, name=method))) if method in _CLEARING:
                yield at if dotted(owner) in (f"{name}.grad", f"{name}.grad.data") else None
            case If():
                yield None
            case _:
                yield None


def _flat(body: Block) -> Iterator[Statement]:
    """The statements of a block, and those of its questions whether there is a gradient."""
    for statement in body:
        match statement:
            case If(test=Operation(operator="is not", operands=(Attribute(name="grad"), _)), then=then, otherwise=()):
                yield from _flat(then)
            case _:
                yield statement


def _item(target: Expression) -> str | None:
    """The name of what a loop does something with: the last of ``for index, optimizer in enumerate(optimizers)``."""
    match target:
        case Name(id=name):
            return name
        case Display(items=(_, Name(id=name))):
            return name
        case _:
            return None


def _holder(iterable: Expression) -> Expression | None:
    """What a loop goes through, item by item."""
    match iterable:
        case Call(function=Attribute(value=owner, name="values" | "items"), arguments=()):
            return owner
        case Call(function=Name(id="enumerate" | "reversed" | "list"), arguments=(first, *_)):
            return _holder(first.value)
        case Name() | Attribute() | Display(kind="tuple" | "list"):
            return iterable
        case _:
            return None


def _paths(function: FunctionNode, holder: Expression) -> list[str]:
    """What the items are called: by their own names if these are spelt out, else by that of what holds them."""
    if isinstance(holder, Display):
        names = [named(item) for item in holder.items]
        return [] if None in names else [name for name in names if name is not None]
    name = dotted(holder)
    if name is None:
        return []
    given = [value for bound, value in scope.assigned(function) if bound == name]
    grows = any(call.callee in {f"{name}.{method}" for method in _ADDING} for call in function.facts.calls)
    if len(given) == 1 and isinstance(given[0], Display) and given[0].kind != "dict" and not grows:
        own = [named(item) for item in given[0].items]
        if own and None not in own:
            return [each for each in own if each is not None]
    return [f"{name}{EACH}"]
