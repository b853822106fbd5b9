"""What is written into a tensor that goes on from what it holds: items, sums, averages, and methods in place."""

from collections.abc import Iterator, Mapping, Sequence

from gradlint.model.code import (
    Assign,
    Attribute,
    Augment,
    Call,
    Constant,
    Expression,
    Name,
    Operation,
    Subscript,
    dotted,
)
from gradlint.model.plain import gives_no_tensor
from gradlint.model.torch_calls import LOOKING, VALUES_AND_INDICES
from gradlint.model.torch_tensors import INDEXING
from gradlint.model.traverse import all_of, parts, statements, within
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flow import CallEvent, Flow, Passed
from gradlint.project.running.growth import adds_to
from gradlint.project.running.values import Value

_WRITING = frozenset(
    "add_ copy_ lerp_ sub_ mul_ index_copy_ index_add_ addcmul_ scatter_ scatter_add_ masked_scatter_".split()
)
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_INDEXED = frozenset("index_copy_ index_add_ scatter_ scatter_add_".split())  # a dimension, where to, and what

Bound = Mapping[str, Sequence[Expression]]  # what the names of a function are assigned


def written(bound: Bound, function: FunctionNode, flow: Flow) -> Iterator[tuple[int, str, Value]]:
    """What is written to attributes of ``self`` that goes on from what they hold: place, name, value."""
    parameters = {parameter.name for parameter in function.facts.parameters}
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=(Attribute() as target,), value=value):
                path = dotted(target)
                stored = flow.attributes.get((target.at, True))
                if path and stored and stored.stored and _goes_into(path, closure(bound, value)):
                    yield target.at, path, stored.stored
            case Assign(targets=(Subscript(value=holder, at=at),), value=value):
                path, change = dotted(_holder(holder)), flow.changes.get(at)
                given = change.given if change is not None else None
                if path is None or given is None:
                    continue
                # A part of a tuple may be anything; what is handed in is asked for where it comes from.
                handed = dotted(value) in parameters and dotted(value) not in bound
                whole = given.kind == "tensor" or given.own_memory or handed
                if whole or _goes_into(path, list(within(value))):
                    yield at, path, given
            case Augment(target=target):
                path = dotted(_holder(target))
                growth = flow.growths.get(statement.at)
                if path and growth is not None:
                    yield target.at, path, growth.added
            case _:
                pass
    for call in all_of(Call, function.facts.body):
        match call:
            case Call(function=Attribute(value=holder, name=name), at=at) if name in _WRITING and at in flow.calls:
                path = dotted(_holder(holder))
                for argument in _put_in(name, flow.calls[at]) if path else ():
                    yield at, path or "", argument.value
            case _:
                pass


def _put_in(method: str, call: CallEvent) -> Iterator[Passed]:
    """What a method in place puts into a tensor: of ``index_add_(0, labels, features)`` the features."""
    for number, argument in enumerate(call.arguments):
        places = 2 if method in _INDEXED else 1 if method == "masked_scatter_" else 0
        if argument.keyword not in ("dim", "index", "mask") and (argument.keyword or number >= places):
            yield argument


def _holder(expression: Expression) -> Expression:
    """What is changed in the end by ``self.mean.mul_(0.9).add_(x)`` or ``self.mean[0] += x``."""
    while True:
        match expression:
            case Subscript(value=value):
                expression = value
            case Call(function=Attribute(value=value, name=name)) if name.endswith("_"):
                expression = value
            case _:
                return expression


def value_at(function: FunctionNode, at: int) -> Expression | None:
    """What is assigned to the target at a place."""
    found = (s.value for s in statements(function.facts.body) if isinstance(s, Assign) and s.targets[0].at == at)
    return next(found, None)


def goes_on(function: FunctionNode, at: int, path: str) -> bool:
    """``self.mean[:] = 0.9 * self.mean + ...``: what is assigned to items is computed from what was there."""
    value = value_at(function, at)
    return value is not None and _goes_into(path, list(within(value)))


def _goes_into(path: str, inside: Sequence[Expression]) -> bool:
    """Whether what a name holds is part of an expression; of ``x.to(self.mean.device)`` it is not."""
    asked = {part.value.at for part in inside if isinstance(part, Attribute) and part.name in LOOKING}
    return any(dotted(part) == path and part.at not in asked for part in inside)


def is_average(function: FunctionNode, at: int, path: str) -> bool:
    """``self.mean = 0.9 * self.mean + ...``: arithmetic; a state that a module computes anew is another matter."""
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=(target,), value=Operation() as value) if target.at == at:
                return adds_to(target, value) is not None
            case Augment(target=target) if target.at == at:
                return True
            case _:
                pass
    return False


def closure(bound: Bound, value: Expression, *, followed: bool = False) -> list[Expression]:
    """The parts of an expression, and of what the names in it were assigned.

    ``followed`` leaves out what autograd does not follow: that of which only an index, a shape or an answer is taken.
    """
    found: list[Expression] = []
    pending, seen = [value], {""}
    while pending:
        part = pending.pop()
        if followed and _takes_no_graph(part):
            continue
        found.append(part)
        pending.extend(parts(part))
        if isinstance(part, Name) and part.id not in seen:
            seen.add(part.id)
            pending.extend(bound.get(part.id, ()))
    return found


def _takes_no_graph(part: Expression) -> bool:
    """``x.argmin(1)``, ``torch.argmin(x, 1)``, ``x.min(1)[1]``, ``x > 0``, ``x.shape``."""
    match part:
        case Operation(operator=operator):
            return operator in _COMPARISONS
        case Call(function=Attribute(name=name) | Name(id=name)):
            return name in INDEXING or gives_no_tensor(part)
        case Subscript(value=Call(function=Attribute(name=name)), index=Constant(value=1)):
            return name in VALUES_AND_INDICES
        case _:
            return gives_no_tensor(part)
