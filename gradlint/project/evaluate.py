"""The abstract run over expressions."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gradlint.model.code import (
    Attribute,
    Await,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Display,
    Expression,
    Formatted,
    Lambda,
    Name,
    NamedAssignment,
    Operation,
    Subscript,
    Yield,
    dotted,
)
from gradlint.model.torch_calls import FORCE_LIKE, MODEL_NAME, READING_ATTRIBUTES
from gradlint.project import invoke
from gradlint.project.flow import AttributeEvent
from gradlint.project.nodes import ClassNode, External, FunctionNode, ModuleNode
from gradlint.project.values import NUMBER, UNKNOWN, Value, meet, plain, without_graph

if TYPE_CHECKING:
    from gradlint.project.interpret import Run

_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "not in", "is", "is not", "not"})
_SAME_AS_OWNER = frozenset({"module", "_orig_mod"})  # what DataParallel and torch.compile wrap


def value_of(expression: Expression, run: "Run") -> Value:
    """What an expression gives, and note of everything that happens on the way."""
    return _EVALUATIONS[type(expression)](expression, run)


def _name(node: Name, run: "Run") -> Value:
    known = run.env.get(node.id)
    if known is not None:
        return known
    return outer_value(node.id, run)


def outer_value(name: str, run: "Run") -> Value:
    """A name the function does not hold itself: an outer variable, or something that is defined or imported."""
    if name in run.function.facts.local and not run.function.is_module_body and not _imported(name, run):
        return UNKNOWN
    target = run.flows.linker.resolve(run.function, name)
    if target is not None and not isinstance(target, External):
        return Value("callable", target=target)
    if not run.function.is_module_body:
        outer = run.flows.outer(run.function, name)
        if outer is not None and outer is not UNKNOWN:
            return replace(outer, parameter=None) if outer.parameter is not None else outer
    return Value("callable", target=target) if target is not None else UNKNOWN


def _imported(name: str, run: "Run") -> bool:
    return any(found.binding == name for found in run.function.facts.imports)


def _constant(node: Constant, run: "Run") -> Value:
    if node.value is None:
        return Value("none", constant=None)
    return Value("number", constant=node.value)


def _attribute(node: Attribute, run: "Run") -> Value:
    return attribute_of(node, value_of(node.value, run), run)


def attribute_of(node: Attribute, owner: Value, run: "Run") -> Value:
    """What an attribute gives when its owner's value is known: a chain of calls is walked once, not 2**n times."""
    path = dotted(node)
    if path is not None and path in run.env:
        return _inherit(run.env[path], owner)
    _note(node, owner, path, run)
    if owner.kind == "callable":
        return _of_target(node, owner, run)
    if owner.kind == "self":
        return _of_self(node.name, path, owner, run)
    if owner.kind == "module":
        return _of_module(node.name, owner, run)
    if owner.kind == "parameters":
        return owner
    if owner.kind == "unknown" and isinstance(owner.target, ClassNode):
        return _of_instance(node.name, owner.target, owner, run)
    return _of_tensor(node, owner, run)


def _note(node: Attribute, owner: Value, path: str | None, run: "Run") -> None:
    guarded = path is not None and path in run.not_none
    run.flow.attributes[(node.at, False)] = AttributeEvent(
        node.at, node.name, owner, path, None, run.backward_seen, guarded, False
    )


def _of_target(node: Attribute, owner: Value, run: "Run") -> Value:
    target = owner.target
    if isinstance(target, ModuleNode) and node.name in target.body.facts.local:
        value = run.flows.flow(target.body).env.get(node.name)
        if value is not None and value.kind != "callable":
            return value
    found = run.flows.linker.attribute(target, node.name) if target is not None else None
    return Value("callable", target=found) if found is not None else UNKNOWN


def _of_self(name: str, path: str | None, owner: Value, run: "Run") -> Value:
    cls = owner.target
    if not isinstance(cls, ClassNode):
        return UNKNOWN
    value = run.flows.attribute(cls, name)
    if value is None:
        method = run.flows.linker.find_method(cls, name)
        if method is not None:
            return Value("callable", target=method)
        value = UNKNOWN
    if value.parameter is not None:
        value = replace(value, parameter=None)
    value = replace(value, origins=frozenset()) if value.origins else value
    value = _inherit(value, owner)
    if path is not None and value.kind == "module":
        run.env[path] = value
    return value


def _of_instance(name: str, cls: ClassNode, owner: Value, run: "Run") -> Value:
    """An attribute or method of an instance of a class of the project that is no module."""
    if (method := run.flows.linker.find_method(cls, name)) is not None:
        return Value("callable", target=method)
    value = run.flows.attribute(cls, name)
    return replace(value, parameter=None, origins=owner.origins) if value is not None else plain(owner.origins)


def _of_module(name: str, owner: Value, run: "Run") -> Value:
    if name in _SAME_AS_OWNER:
        return owner
    if name in ("weight", "bias", "data"):
        return Value("tensor", leaf=True, requires_grad=None)
    if isinstance(owner.target, ClassNode):
        if (value := run.flows.attribute(owner.target, name)) is not None:
            return _inherit(replace(value, parameter=None, origins=frozenset()), owner)
        if (method := run.flows.linker.find_method(owner.target, name)) is not None:
            return Value("callable", target=method)
    if MODEL_NAME.search(name):
        return Value("module", training=owner.training, mode_at=owner.mode_at, frozen=owner.frozen, certainty="named",
                     parameter=owner.parameter)  # fmt: skip
    return UNKNOWN


def _inherit(value: Value, owner: Value) -> Value:
    """A submodule is in evaluation mode, or frozen, when the module that holds it is."""
    if value.kind != "module":
        return value
    if value.training is None and owner.training is not None:
        value = replace(value, training=owner.training, mode_at=owner.mode_at)
    if value.frozen is None and owner.frozen is not None:
        value = replace(value, frozen=owner.frozen)
    return value


def _of_tensor(node: Attribute, owner: Value, run: "Run") -> Value:
    if node.name in READING_ATTRIBUTES:
        run.flow.used(owner.origins, "read", node.at, node.name)
        return NUMBER
    if node.name == "data":
        run.flow.used(owner.origins, "read", node.at, "data")
        return without_graph(owner, "data", node.at)
    if node.name == "grad":
        return Value("tensor", leaf=True, graph=False)
    if node.name in ("T", "mT", "H", "mH", "real", "imag") and owner.kind == "tensor":
        return replace(
            owner, leaf=False if owner.requires_grad else owner.leaf, graph=owner.graph or owner.requires_grad
        )
    return plain(owner.origins)


def _subscript(node: Subscript, run: "Run") -> Value:
    owner = value_of(node.value, run)
    value_of(node.index, run)
    _note_derivative(node.index, owner, run)
    if owner.kind in ("number", "array"):
        return UNKNOWN if owner.kind == "number" else owner
    if owner.items is not None and isinstance(node.index, Constant) and isinstance(node.index.value, int):
        return item_of(owner, node.index.value, len(owner.items))
    if owner.kind == "module":  # nn.Sequential, nn.ModuleList
        return replace(owner, target=None)
    if owner.kind == "tensor" and owner.origins == frozenset():
        non_leaf = owner.requires_grad is True
        return replace(
            owner, leaf=False if non_leaf else owner.leaf, graph=True if non_leaf else owner.graph, items=None
        )
    return plain(owner.origins)


def _note_derivative(index: Expression, owner: Value, run: "Run") -> None:
    """``out["forces"]``: the model took a derivative in its forward, so it needs its graph."""
    key = index.value if isinstance(index, Constant) else dotted(index)
    if isinstance(key, str) and FORCE_LIKE.search(key.rpartition(".")[2]):
        run.flow.used(owner.origins, "trained", index.at, key)


def item_of(value: Value, index: int, size: int) -> Value:
    """Item number ``index`` of a value that is unpacked into ``size`` names."""
    if value.kind == "parameters":  # ``for name, parameter in model.named_parameters()``
        return value
    if value.items is not None and -len(value.items) <= index < len(value.items):
        return value.items[index]
    return plain(value.origins)


def element_of(value: Value, iterable: Expression, run: "Run") -> Value:
    """What iterating over a value gives."""
    if value.kind == "parameters":
        return value
    if value.items:
        first = value.items[0]
        for item in value.items[1:]:
            first = meet(first, item)
        return first
    if value.kind == "module":
        return replace(value, target=None)
    return plain(value.origins)


def _display(node: Display, run: "Run") -> Value:
    for key in node.keys:
        if key is not None:
            value_of(key, run)
    items = tuple(value_of(item, run) for item in node.items)
    origins = frozenset().union(*(item.origins for item in items)) if items else frozenset()
    fixed = node.kind in ("tuple", "list") and not any(
        isinstance(i, Operation) and i.operator == "*" for i in node.items
    )
    return Value("container", origins=origins, items=items if fixed and items else None)


def _operation(node: Operation, run: "Run") -> Value:
    if node.operator == "and":  # ``p.grad is not None and p.grad.norm()``
        known = run.not_none
        values = []
        for operand in node.operands:
            values.append(value_of(operand, run))
            run.not_none |= tested_against_none(operand)
        run.not_none = known
    else:
        values = [value_of(operand, run) for operand in node.operands]
    origins = frozenset().union(*(value.origins for value in values)) if values else frozenset()
    if node.operator in _COMPARISONS:
        run.flow.used(origins, "read", node.at, node.operator)
        return NUMBER
    if node.operator in ("and", "or"):
        found = values[0]
        for value in values[1:]:
            found = meet(found, value)
        return found
    if node.operator in ("*", "**") and len(values) == 1:
        return values[0]
    if values and all(value.kind == "number" for value in values):
        return NUMBER
    return computed(values, origins, node.at, run)


def computed(values: list[Value], origins: "frozenset[Any]", at: int, run: "Run") -> Value:
    """What an operation on tensors gives: a leaf without a graph, or a part of one, if that can be told."""
    tensors = [value for value in values if value.kind in ("tensor", "parameters")]
    others = [value for value in values if value.kind not in ("tensor", "number", "parameters")]
    records = run.records(at)
    if any(tensor.requires_grad or tensor.graph for tensor in tensors) and records is not None:
        if records:
            return Value("tensor", origins=origins, graph=True, leaf=False, requires_grad=True, made_at=at)
        return Value("tensor", origins=origins, graph=False, leaf=True, requires_grad=False, made_at=at,
                     lost="no_grad", lost_at=at)  # fmt: skip
    if not others and tensors and all(t.requires_grad is False and not t.graph for t in tensors):
        lost = next((t for t in tensors if t.lost), tensors[0])
        return Value("tensor", origins=origins, graph=False, leaf=True, requires_grad=False, made_at=at,
                     lost=lost.lost, lost_at=lost.lost_at)  # fmt: skip
    return plain(origins)


def _conditional(node: Conditional, run: "Run") -> Value:
    value_of(node.test, run)
    known = run.not_none
    run.not_none = known | tested_against_none(node.test)
    yes = value_of(node.then, run)
    run.not_none = known
    return meet(yes, value_of(node.otherwise, run))


def _comprehension(node: Comprehension, run: "Run") -> Value:
    outer = dict(run.env)
    run.loops += 1
    for loop in node.loops:
        iterable = value_of(loop.iterable, run)
        run.bind(loop.target, element_of(iterable, loop.iterable, run))
        for condition in loop.conditions:
            value_of(condition, run)
            run.not_none |= tested_against_none(condition)
    if node.key is not None:
        value_of(node.key, run)
    element = value_of(node.element, run)
    run.loops -= 1
    inner, run.env = run.env, outer
    for name, value in outer.items():  # a module switched to eval inside stays so
        if inner.get(name, value) is not value and value.kind == "module":
            run.env[name] = inner[name]
    if element.kind in ("module", "parameters"):
        return element
    return Value("container", origins=element.origins)


def _lambda(node: Lambda, run: "Run") -> Value:
    return Value("callable", target=run.function.module.functions[node.function])


def _await(node: Await, run: "Run") -> Value:
    return value_of(node.value, run)


def _yield(node: Yield, run: "Run") -> Value:
    if node.value is not None:
        found = value_of(node.value, run)
        run.flow.used(found.origins, "yielded", node.at)
        run.flow.returns = found if run.flow.returns is None else meet(run.flow.returns, found)
    return UNKNOWN


def _named(node: NamedAssignment, run: "Run") -> Value:
    found = value_of(node.value, run)
    run.bind(node.target, found)
    return found


def _formatted(node: Formatted, run: "Run") -> Value:
    for value in node.values:
        run.flow.used(value_of(value, run).origins, "read", node.at, "f-string")
    return NUMBER


def tested_against_none(test: Expression) -> frozenset[str]:
    """The dotted names that a condition shows not to be None (or tests at all)."""
    match test:
        case Operation(operator="is not" | "is" | "!=" | "==", operands=(left, Constant(value=None))):
            name = dotted(left)
            return frozenset({name}) if name else frozenset()
        case Operation(operator="and" | "or" | "not", operands=operands):
            return frozenset().union(*(tested_against_none(operand) for operand in operands))
        case Name() | Attribute():
            name = dotted(test)
            return frozenset({name}) if name else frozenset()
        case _:
            return frozenset()


_EVALUATIONS: dict[type[Any], Callable[[Any, "Run"], Value]] = {
    Name: _name,
    Constant: _constant,
    Attribute: _attribute,
    Call: lambda node, run: invoke.call(node, run),
    Subscript: _subscript,
    Display: _display,
    Operation: _operation,
    Conditional: _conditional,
    Comprehension: _comprehension,
    Lambda: _lambda,
    Await: _await,
    Yield: _yield,
    NamedAssignment: _named,
    Formatted: _formatted,
}
_ = FunctionNode
