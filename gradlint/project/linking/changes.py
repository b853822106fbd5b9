"""The changes in place that a function spells."""

from collections import Counter
from collections.abc import Iterator, Mapping

from gradlint.model.code import Assign, Attribute, Augment, Call, Expression, Name, Subscript, dotted
from gradlint.model.torch_tensors import IN_PLACE
from gradlint.model.traverse import all_of, statements, within
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.scope import assigned

_UPDATES = frozenset({"sub_", "add_", "addcmul_", "addcdiv_", "lerp_", "copy_", "mul_"})


def may_change_in_place(function: FunctionNode) -> bool:
    """Whether a function spells any change in place: ``x += y``, ``x[i] = y``, ``x.add_(y)`` or ``out=x``."""
    return any(True for _ in changed_in_place(function))


def changed_in_place(function: FunctionNode) -> Iterator[Expression]:
    """What a function spells changes in place of, whether these are tensors or not."""
    for statement in statements(function.facts.body):
        match statement:
            case Augment(target=target):
                yield target
            case Assign(targets=targets):
                yield from (target.value for target in targets if isinstance(target, Subscript))
            case _:
                pass
    for call in all_of(Call, function.facts.body):
        match call.function:
            case Attribute(value=owner, name=name) if name in IN_PLACE and not _initializes(function, owner):
                yield owner
            case _:
                pass
        yield from (argument.value for argument in call.arguments if argument.keyword == "out")
        if any(argument.keyword == "inplace" for argument in call.arguments):
            yield call.arguments[0].value


def _initializes(function: FunctionNode, owner: Expression) -> bool:
    """``nn.init.normal_(x)`` is a function, which records nothing."""
    name = dotted(owner)
    if name != "init":
        return name in ("nn.init", "torch.nn.init")
    where = function if "init" in function.facts.local else function.module.body
    return any(found.binding == "init" for found in where.facts.imports)


def gradient_updates(function: FunctionNode, *, by_data: bool = False) -> frozenset[int]:
    """The places where something is changed in place by its own gradient: ``w -= lr * w.grad``, ``w.sub_(w.grad)``.

    ``by_data``: or its ``.data`` is.
    """
    found = {
        statement.target.at
        for statement in statements(function.facts.body)
        if isinstance(statement, Augment) and _names_gradient_of(statement.target, statement.value, by_data)
    }
    for call in all_of(Call, function.facts.body):
        match call:
            case Call(function=Attribute(value=owner, name=name)) if name in _UPDATES:
                if any(_names_gradient_of(owner, argument.value, by_data) for argument in call.arguments):
                    found.add(call.at)
            case _:
                pass
    return frozenset((*found, *_data_updates(function))) if by_data else frozenset(found)


def _data_updates(function: FunctionNode) -> Iterator[int]:
    """``w.data = w - lr * w.grad``, ``step = w.grad.sign(); w.data = w + step``."""
    once = Counter(name for name, _ in assigned(function))
    given = {name: value for name, value in assigned(function) if once[name] == 1}
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=(Attribute(at=at, value=owner, name="data"),), value=value):
                if any(_names_gradient_of(owner, each, False) for each in _spelt_out(value, given)):
                    yield at
            case _:
                pass


def _spelt_out(value: Expression, given: Mapping[str, Expression]) -> Iterator[Expression]:
    """An expression, and what the variables in it were given."""
    pending, seen = [value], set[str]()
    while pending:
        yield (each := pending.pop())
        names = [part.id for part in within(each) if isinstance(part, Name) and part.id not in seen]
        seen.update(names)
        pending.extend(given[name] for name in names if name in given)


def _names_gradient_of(owner: Expression, value: Expression, by_data: bool) -> bool:
    if by_data and isinstance(owner, Attribute) and owner.name == "data":
        owner = owner.value
    name = dotted(owner)
    return name is not None and any(dotted(part) == f"{name}.grad" for part in within(value))
