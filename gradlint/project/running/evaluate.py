"""The abstract run over expressions."""

from collections.abc import Callable
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
from gradlint.model.record import replace
from gradlint.model.torch_calls import BACKWARD_METHODS, FORCE_LIKE, READING_ATTRIBUTES
from gradlint.model.torch_tensors import KEEPING, VIEWING
from gradlint.model.traverse import is_made_list, within
from gradlint.project.linking.nodes import External
from gradlint.project.running import attributes, instances, invoke, spelt, tensors
from gradlint.project.running.conditions import constant
from gradlint.project.running.growth import COMPREHENSION, Growth
from gradlint.project.running.labels import beside_cut_off, is_cut_off
from gradlint.project.running.sets import NOTHING, together
from gradlint.project.running.uses import IN_VAIN
from gradlint.project.running.values import (
    COMPUTED,
    LEAF,
    NUMBER,
    PLAIN,
    UNKNOWN,
    Origin,
    Value,
    is_pickled,
    meet,
    plain,
)

if TYPE_CHECKING:
    from gradlint.project.running.interpret import Run

_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_OF_PARAMETERS = frozenset({"ParameterList", "ParameterDict"})
_QUESTIONS = frozenset({"in", "not in", "is", "is not", "not"})


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
    owner = value_of(node.value, run)
    if node.name in BACKWARD_METHODS:  # named and not called here, but meant so
        run.flow.used(owner.traces, "trained", node.at, IN_VAIN)
    if node.name not in READING_ATTRIBUTES and node.name not in VIEWING:
        run.take_apart(owner)
    return attributes.attribute_of(node, owner, run)


def _subscript(node: Subscript, run: "Run") -> Value:
    owner = value_of(node.value, run)
    run.reads.dereferenced(owner)
    value_of(node.index, run)
    _note_derivative(node.index, owner, run)
    if owner.kind in ("number", "array"):
        return UNKNOWN if owner.kind == "number" else owner
    if is_pickled(owner):
        return owner
    run.take_apart(owner)
    if owner.items is not None and isinstance(node.index, Constant) and isinstance(node.index.value, int):
        return item_of(owner, node.index.value, len(owner.items))
    if owner.items:
        return _any_of(owner.items)
    if (instance := instances.held_in(owner)) is not None:
        return instance
    if (value := spelt.under_key(owner, node.index, run.flow)) is not None:
        return value
    if owner.kind == "module":  # nn.Sequential, nn.ModuleList
        return _part_of_module(owner)
    if owner.kind == "tensor":
        view = tensors.viewed(owner, node.at, run)
        copy = tensors.computed((owner,), owner.origins, node.at, run)  # by a list or a mask
        return tensors.either(view, copy)
    return tensors.named_part(owner, node.index.value if isinstance(node.index, Constant) else None, run)


def _note_derivative(index: Expression, owner: Value, run: "Run") -> None:
    """``out["forces"]``: the model took a derivative in its forward, so it needs its graph."""
    key = index.value if isinstance(index, Constant) else dotted(index)
    if isinstance(key, str) and FORCE_LIKE.search(key.rpartition(".")[2]):
        run.flow.used(owner.origins, "trained", index.at, key)


def item_of(value: Value, index: int, size: int) -> Value:
    """Item number ``index`` of a value that is unpacked into ``size`` names."""
    if value.kind in ("parameters", "optimizer"):  # ``for name, parameter in model.named_parameters()``
        return value
    if value.items is not None and -len(value.items) <= index < len(value.items):
        return value.items[index]
    return _any_of(value.items) if value.items else tensors.part_of(value)  # there are more like these


def element_of(value: Value, iterable: Expression, run: "Run") -> Value:
    """What iterating over a value gives."""
    if value.kind == "parameters":
        return value
    if value.items:
        return _any_of(value.items)
    if value.kind == "module":
        return _part_of_module(value)
    run.reads.dereferenced(value)
    run.take_apart(value)
    return tensors.viewed(value, iterable.at, run) if value.kind == "tensor" else tensors.part_of(value)


def _part_of_module(owner: Value) -> Value:
    """What a module holds under an index: another module, or a parameter."""
    if isinstance(owner.target, External) and owner.target.name.rpartition(".")[2] in _OF_PARAMETERS:
        return Value("parameters", tensor=PLAIN | LEAF, born=owner.born)
    return replace(owner, target=None)


def _any_of(items: tuple[Value, ...]) -> Value:
    found = items[0]
    for item in items[1:]:
        found = meet(found, item)
    return found


def _display(node: Display, run: "Run") -> Value:
    for key in node.keys:
        if key is not None:
            value_of(key, run)
    items = tuple(value_of(item, run) for item in node.items)
    origins = together(item.origins for item in items)
    fixed = node.kind in ("tuple", "list") and not any(
        isinstance(i, Operation) and i.operator == "*" and len(i.operands) == 1 for i in node.items
    )
    memory = together(item.memory for item in items)
    if node.kind == "dict" and (group := _parameters_of(node, items) or _frozen_modules(items)) is not None:
        return Value("container", origins=origins, memory=memory, items=(group,))
    if node.kind == "dict" and origins and None not in node.keys:
        run.flow.dicts[node.at] = spelt.entries(node, items)
    made_at = node.at if node.at in run.flow.dicts else None
    found = Value(
        "container", origins=origins, memory=memory, made_at=made_at, items=items if fixed and items else None
    )
    return replace(found, target=instances.class_of_all(items)) if node.kind == "dict" and items else found


def _parameters_of(node: Display, items: tuple[Value, ...]) -> Value | None:
    """What a group of parameters for an optimizer holds: ``{"params": [w], "lr": 0.1}``."""
    for key, item in zip(node.keys, items, strict=True):
        if isinstance(key, Constant) and key.value == "params":
            return item
    return None


def _frozen_modules(items: tuple[Value, ...]) -> Value | None:
    """What is under any key of a dict of frozen modules."""
    return _any_of(items) if items and all(item.kind == "module" and item.frozen for item in items) else None


def _operation(node: Operation, run: "Run") -> Value:
    values = _alternatives(node, run) if node.operator in ("and", "or") else [
        value_of(operand, run) for operand in node.operands
    ]  # fmt: skip
    origins = together(value.origins for value in values)
    if node.operator == "%" and isinstance(values[0].constant, str):
        return _filled_in(values, origins, node.at, run)
    if node.operator in _COMPARISONS or node.operator in _QUESTIONS:
        run.flow.used(origins, "read", node.at, node.operator)
        made = any(value.kind == "tensor" or (value.is_tensor and value.own_memory) for value in values)
        if node.operator in _QUESTIONS or not made:
            return Value("number", constant=constant(node, run.flow.known)) if run.flow.known else NUMBER
        shadow = together(value.traces for value in values)
        return tensors.index(node.operator, shadow, node.at, run)
    if node.operator in ("and", "or"):
        found = values[0]
        for value in values[1:]:
            found = meet(found, value)
        return found
    if node.operator in ("*", "**", ":") and len(values) == 1:
        return values[0]
    for value in values:
        run.reads.dereferenced(value)
    if values and all(value.kind == "number" for value in values):
        lost = next((value for value in values if value.lost), NUMBER)
        return replace(NUMBER, lost=lost.lost, shadow=lost.shadow)
    if node.operator == "+" and len(values) == 1 and values[0].kind == "tensor":
        return tensors.kept(values[0], node.at, run)
    if node.operator == "+" and any(_is_list(operand, run) for operand in node.operands):
        parameters = [value for value in values if value.kind == "parameters"]
        return replace(parameters[0], of=None) if parameters else plain(origins)
    if node.operator == "-" and any(map(is_cut_off, values)):
        beside = zip(node.operands, values, beside_cut_off(node.operands, values, run.flow), strict=True)
        values = [label if _is_handed(operand, run) else value for operand, value, label in beside]
    return tensors.operated(tuple(values), origins, node.at, run)


def _is_handed(operand: Expression, run: "Run") -> bool:
    """Whether nothing that a name is given in the function is computed there: it may be converted."""
    given = run.flows.bindings.assigned(run.function).get(dotted(operand) or "", ())
    made = (value for value in given if isinstance(value, Call))
    return all(isinstance(value.function, Attribute) and value.function.name in KEEPING for value in made)


def _is_list(expression: Expression, run: "Run") -> bool:
    """Whether an operand is a list as it stands, or a name that is given one: of parameters, most likely."""
    if isinstance(expression, Name):
        values = run.flows.bindings.assigned(run.function).get(expression.id, ())
        return bool(values) and all(not isinstance(value, Name) and _is_list(value, run) for value in values)
    return is_made_list(expression)


def _filled_in(values: list[Value], origins: frozenset[Origin], at: int, run: "Run") -> Value:
    """``"%.3f" % loss``: a text, which holds no graph."""
    run.flow.used(origins, "read", at, "%")
    run.flow.texts[at] = values[1].items or (values[1],)
    return NUMBER


def _alternatives(node: Operation, run: "Run") -> list[Value]:
    """``and``, ``or``: ``p.grad is not None and p.grad.norm()``."""
    values: list[Value] = []
    for operand in node.operands:
        if operand is not node.operands[-1]:
            run.reads.question(operand)
        values.append(value_of(operand, run))
        run.branches += 1
    run.branches -= len(values)
    return values


def _conditional(node: Conditional, run: "Run") -> Value:
    run.test(node.test)
    if (holds := run.decided(node.test)) is not None:
        return value_of(node.then if holds else node.otherwise, run)
    before = run.point()
    run.branches += 1
    yes = value_of(node.then, run)
    after = run.point()
    run.resume(before)
    no = value_of(node.otherwise, run)
    run.resume(run.join([after, run.point()]))
    run.branches -= 1
    return meet(yes, no)


def _comprehension(node: Comprehension, run: "Run") -> Value:
    outer = dict(run.env)
    run.loops += 1
    for loop in node.loops:
        iterable = value_of(loop.iterable, run)
        run.bind(loop.target, element_of(iterable, loop.iterable, run))
        for condition in loop.conditions:
            run.test(condition)
    if node.key is not None:
        value_of(node.key, run)
    element = value_of(node.element, run)
    run.loops -= 1
    inner, run.env = run.env, outer
    own = {part.id for loop in node.loops for part in within(loop.target) if isinstance(part, Name)}
    for name, value in outer.items():  # a module switched to eval inside stays so, and so do the flags of tensors
        if inner.get(name, value) is not value and (value.kind == "module" or (_has_flags(value) and name not in own)):
            run.env[name] = inner[name]
    if element.kind in ("module", "parameters"):
        return element
    origins = element.origins
    if node.kind == "list" and isinstance(node.element, Call) and _is_computed(element, node.element, own, run):
        added = Growth(node.at, "container", COMPREHENSION, element, (), False)
        run.flow.growths[node.at] = added
        origins |= {Origin(run.function, node.at)}
    cls = instances.class_of(element)
    leaf = element.kind == "tensor" and element.tensor == LEAF
    alike = (element,) if node.kind != "dict" and (cls or leaf or _has_no_graph(element)) else None
    shadow = element.shadow if alike else NOTHING
    found = Value("container", origins=origins, shadow=shadow, memory=element.memory, items=alike)
    return replace(found, target=cls) if cls and node.kind == "dict" else found


def _is_computed(element: Value, made: Call, own: set[str], run: "Run") -> bool:
    """Whether each item of a list has a graph, or is given by the one model: ``[model(x) for x in batches]``."""
    event = run.flow.calls.get(made.at)
    one = event is not None and event.forward and event.name.partition(".")[0] not in own
    return element.tensor == COMPUTED or (one and bool(element.tensor & COMPUTED))


def _has_flags(value: Value) -> bool:
    """Whether a value is a tensor, or a list of what is known."""
    return value.is_tensor or bool(value.items)


def _has_no_graph(value: Value) -> bool:
    """Whether a value is known to have lost its graph: then so has each item of a list of such."""
    return value.lost is not None and (value.kind == "number" or (value.is_tensor and value.tensor == PLAIN))


def _lambda(node: Lambda, run: "Run") -> Value:
    return Value("callable", target=run.function.module.functions[node.function])


def _await(node: Await, run: "Run") -> Value:
    return value_of(node.value, run)


def _yield(node: Yield, run: "Run") -> Value:
    if node.value is not None:
        found = value_of(node.value, run)
        run.flow.used(found.origins, "yielded", node.at)
        run.may_run_backward()  # the consumer, before it comes back
        run.touch((found,), flags=True, retained=True)
        run.flow.returned(found)
    return UNKNOWN


def _named(node: NamedAssignment, run: "Run") -> Value:
    found = value_of(node.value, run)
    run.bind(node.target, found)
    return found


def _formatted(node: Formatted, run: "Run") -> Value:
    for value in node.values:
        run.flow.used(value_of(value, run).origins, "read", node.at, "f-string")
    return NUMBER


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
