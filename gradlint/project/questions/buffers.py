"""Buffers of modules, and what is written into them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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
from gradlint.model.torch_calls import CONTAINER_METHODS, LOOKING, SETTINGS_NAME, VALUES_AND_INDICES
from gradlint.model.torch_tensors import INDEXING
from gradlint.model.traverse import all_of, parts, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking.bindings import owner_class
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.running.flow import CallEvent, Flow, Passed
from gradlint.project.running.flows import Flows
from gradlint.project.running.growth import adds_to
from gradlint.project.running.values import COMPUTED, Origin, Value

_WRITING = frozenset(
    "add_ copy_ lerp_ sub_ mul_ index_copy_ index_add_ addcmul_ scatter_ scatter_add_ masked_scatter_".split()
)


_FACTORIES = frozenset(f"torch.{name}" for name in ("zeros", "ones", "rand", "randn", "empty", "full", "tensor", "eye"))
_BEGINNING = re.compile(r"^(?!__)\w*(reset|init|detach|begin|clear|start)")
_WEIGHTS = frozenset({"weight", "weight_orig", "weight_bar", "weight_v", "weight_g"})
_CUTTING = frozenset({"data", "detach", "detach_", "no_grad", "item"})
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_INDEXED = frozenset("index_copy_ index_add_ scatter_ scatter_add_".split())  # a dimension, where to, and what
_FORWARDS = frozenset({"forward", "inverse", "_call", "_inverse"})  # transforms run both ways


@dataclass(frozen=True, slots=True)
class Update:
    """A buffer is given a new value that has a graph. ``made_at`` is a forward in the function that recorded it."""

    at: int
    path: str
    made_at: int | None


class Buffers:
    """Finds updates of buffers by what autograd follows."""

    def __init__(self, linker: Linker, calls: CallGraph, flows: Flows) -> None:
        self._linker = linker
        self._calls = calls
        self._flows = flows
        self._names: Memo[ClassNode, frozenset[str]] = Memo(linker.dependencies, self._find_names, frozenset())

    def updates(self, function: FunctionNode) -> Iterator[Update]:
        """The updates in a method of a module where operations are recorded."""
        owner = owner_class(function)
        if owner is None or not self._calls.modules.is_module_class(owner):
            return
        names = self.names(owner)
        if names.isdisjoint(function.facts.words):
            return
        flow = self._flows.flow(function)
        bound = self._flows.bindings.assigned(function)
        for at, path, value in _written(bound, function, flow):
            made_at = self._graph(flow, value)
            if made_at is None and self._is_handed_graph(flow, value):
                made_at = 0
            elif at in flow.changes and not made_at and not _goes_on(function, at, path):
                continue  # what comes in may be data, and items of it are kept on purpose
            if made_at is None and _of_weights(bound, function, at, value):
                made_at = 0
            if (
                path.startswith("self.")
                and path.removeprefix("self.") in names
                and made_at is not None
                and (path.removeprefix("self.") in self.registered(owner) or _is_average(function, at, path))
                and self._calls.states_at(function, at) & GRAD
                and not self._is_state(owner, function, path.removeprefix("self."))
            ):
                yield Update(at, path, made_at or None)

    def _is_state(self, owner: ClassNode, function: FunctionNode, name: str) -> bool:
        """Whether somebody detaches the attribute, or begins it anew: a state that is trained through time."""
        everywhere = self._linker.mentions.of(name)
        if any(c.callee.endswith(f"{name}.detach_") for f in everywhere if f is not function for c in f.facts.calls):
            return True
        setters = {m.facts.name for m, _ in self._flows.bindings.attribute(owner, name) if m is not function}
        return any(map(_BEGINNING.search, setters))

    def gathered(self, forward: FunctionNode) -> Iterator[Update]:
        """The lists of a module to which its ``forward`` adds what it computes, and that nobody ever empties."""
        owner = self._module_of(forward)
        if owner is None or not _may_gather(forward):
            return
        flow = self._flows.flow(forward)
        for growth in flow.growths.values():
            name = growth.path.removeprefix("self.")
            if growth.how != "container" or not growth.path.startswith("self.") or "." in name:
                continue
            made_at = self._graph(flow, growth.added)
            setters = {method.facts.name for method, _ in self._flows.bindings.attribute(owner, name)}
            if made_at and setters == {"__init__"} and self._is_own(owner, forward, name):
                yield Update(growth.at, growth.path, made_at)

    def pinned(self, forward: FunctionNode) -> Iterator[Update]:
        """The attributes in which a module's ``forward`` leaves what it computed, and that nobody reads."""
        owner = self._module_of(forward)
        if owner is None or not any(map(_is_of_self, _targets(forward))):
            return
        flow = self._flows.flow(forward)
        for stored in flow.attributes.values():
            path, value = stored.path or "", stored.stored
            name = path.removeprefix("self.")
            if value is None or not path.startswith("self.") or "." in name or name in self.names(owner):
                continue
            made_at = self._graph(flow, value) if value.is_tensor else None
            if made_at and self._is_own(owner, forward, name) and self._calls.states_at(forward, stored.at) & GRAD:
                yield Update(stored.at, path, made_at)

    def _module_of(self, forward: FunctionNode) -> ClassNode | None:
        """The class of modules whose ``forward`` a function is."""
        owner = owner_class(forward) if forward.facts.name == "forward" else None
        return owner if owner is not None and self._calls.modules.is_module_class(owner) else None

    def _is_own(self, owner: ClassNode, forward: FunctionNode, name: str) -> bool:
        """Whether an attribute is known to the constructor and to ``forward`` alone, anywhere."""
        allowed = {forward, *(m for m in owner.methods if m.facts.name == "__init__")}
        return all(f in allowed or self._is_of_other(owner, f, name) for f in self._linker.mentions.of(name))

    def _is_of_other(self, owner: ClassNode, function: FunctionNode, name: str) -> bool:
        """Whether a function is a method of an unrelated class, and speaks of its own attribute of that name."""
        cls = function.owner
        if cls is None or owner in self._linker.ancestors(cls) or cls in self._linker.ancestors(owner):
            return False
        found = (e for e in all_of(Attribute, function.facts.body) if e.name == name)
        return all(isinstance(each.value, Name) and each.value.id == "self" for each in found)

    def registered(self, cls: ClassNode) -> frozenset[str]:
        """The buffers that a class and its ancestors register."""
        family = [c for c in self._linker.ancestors(cls) if isinstance(c, ClassNode)]
        methods = (m for c in family for m in c.methods if "register_buffer" in m.facts.words)
        return frozenset(name for method in methods for name in _registered(method))

    def names(self, cls: ClassNode) -> frozenset[str]:
        """The buffers that a class and its ancestors register, and other tensors that their constructors make."""
        return self._names.of(cls)

    def _find_names(self, cls: ClassNode) -> frozenset[str]:
        family = [c for c in self._linker.ancestors(cls) if isinstance(c, ClassNode)]
        methods = [method for c in family for method in c.methods]
        made = {name for m in methods if m.facts.name == "__init__" for name in _made_of_data(m)}
        return self.registered(cls) | made

    def _graph(self, flow: Flow, value: Value) -> int | None:
        """Where a value's graph was recorded; 0 if it comes in with the input of ``forward``, None if there is none."""
        if not value.origins or not value.tensor & COMPUTED or value.kind in ("number", "array", "none"):
            return None
        events = [flow.calls.get(origin.at) for origin in value.origins if origin.function is flow.function]
        forwards = [event.at for event in events if event is not None and event.forward]
        recorded = [at for at in forwards if self._records(flow, at)]
        if recorded:
            return min(recorded)
        inputs = {origin for origin in value.origins if _is_input(flow.function, origin)}
        if any(event.result.origins & inputs and not self._records(flow, event.at) for event in flow.calls.values()):
            return None  # it may have come through a call that records nothing
        runs = flow.function.facts.name in _FORWARDS
        return 0 if inputs and runs and value.kind in ("tensor", "unknown") else None

    def _is_handed_graph(self, flow: Flow, value: Value) -> bool:
        """Whether a ``forward`` computes a value with its layers, and hands it to one of its module's methods."""
        function = flow.function
        if function.facts.name in _FORWARDS or value.kind not in ("tensor", "unknown") or not value.tensor & COMPUTED:
            return False
        inputs = [origin for origin in value.origins if _is_input(function, origin)]
        names = [function.facts.parameters[-origin.at - 1].name for origin in inputs]
        given = [each for name in names for each in self._flows.handed_over(function, name)]
        return any(
            caller.facts.name in _FORWARDS
            and self._is_of_family(caller.owner, function.owner)
            and self._graph(self._flows.flow(caller), each)
            for caller, each in given
        )

    def _is_of_family(self, one: ClassNode | None, other: ClassNode | None) -> bool:
        """Whether two classes are one, or one derives from the other."""
        if one is None or other is None:
            return False
        return one in self._linker.ancestors(other) or other in self._linker.ancestors(one)

    def _records(self, flow: Flow, at: int) -> bool:
        return bool(self._calls.states_at(flow.function, at) & GRAD)


def _is_input(function: FunctionNode, origin: Origin) -> bool:
    """Whether something comes in by a parameter that is no bundle of settings: ``args.momentum`` is a number."""
    if origin.function is not function or origin.at >= 0:
        return False
    return SETTINGS_NAME.search(function.facts.parameters[-origin.at - 1].name) is None


def _registered(method: FunctionNode) -> Iterator[str]:
    for call in all_of(Call, method.facts.body):
        match call:
            case Call(function=Attribute(name="register_buffer"), arguments=(name, *_)):
                if isinstance(name.value, Constant) and isinstance(name.value.value, str):
                    yield name.value.value
            case _:
                pass


def _made_of_data(method: FunctionNode) -> Iterator[str]:
    """The attributes that are tensors without being registered: ``self.center = torch.zeros(size)``."""
    for statement in statements(method.facts.body):
        match statement:
            case Assign(targets=(Attribute(value=Name(id="self"), name=name),), value=Call() as call):
                flagged = any(argument.keyword == "requires_grad" for argument in call.arguments)
                if dotted(call.function) in _FACTORIES and not flagged:
                    yield name
            case _:
                pass


def _goes_on(function: FunctionNode, at: int, path: str) -> bool:
    """``self.mean[:] = 0.9 * self.mean + ...``: what is assigned to items is computed from what was there."""
    found = (s.value for s in statements(function.facts.body) if isinstance(s, Assign) and s.targets[0].at == at)
    return any(_goes_into(path, list(within(value))) for value in found)


def _goes_into(path: str, inside: Sequence[Expression]) -> bool:
    """Whether what a name holds is part of an expression; of ``x.to(self.mean.device)`` it is not."""
    asked = {part.value.at for part in inside if isinstance(part, Attribute) and part.name in LOOKING}
    return any(dotted(part) == path and part.at not in asked for part in inside)


def _is_average(function: FunctionNode, at: int, path: str) -> bool:
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


def _closure(
    bound: Mapping[str, Sequence[Expression]], value: Expression, *, followed: bool = False
) -> list[Expression]:
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


def _of_weights(bound: Mapping[str, Sequence[Expression]], function: FunctionNode, at: int, value: Value) -> bool:
    """Whether a value is computed from a module's weight, of which nothing on the way takes the graph."""
    if value.kind != "tensor" or not value.tensor & COMPUTED:
        return False
    statement = next(
        (s for s in statements(function.facts.body) if isinstance(s, Assign) and s.targets[0].at == at), None
    )
    carried = _closure(bound, statement.value, followed=True) if statement is not None else []
    names = {part.name for part in carried if isinstance(part, Attribute)}
    return not names.isdisjoint(_WEIGHTS) and names.isdisjoint(_CUTTING)


def _written(
    bound: Mapping[str, Sequence[Expression]], function: FunctionNode, flow: Flow
) -> Iterator[tuple[int, str, Value]]:
    """What is written to attributes of ``self`` that goes on from what they hold: place, name, value."""
    parameters = {parameter.name for parameter in function.facts.parameters}
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=(Attribute() as target,), value=value):
                path = dotted(target)
                stored = flow.attributes.get((target.at, True))
                if path and stored and stored.stored and _goes_into(path, _closure(bound, value)):
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


def _may_gather(function: FunctionNode) -> bool:
    """Whether a function spells that it adds something to an attribute of ``self``."""
    calls = (call for call in function.facts.calls if call.method in CONTAINER_METHODS)
    if any(not call.callee or call.callee.startswith("self.") for call in calls):
        return True
    return any(map(_is_of_self, _targets(function)))


def _targets(function: FunctionNode) -> Iterator[Expression]:
    """Whatever a function's statements assign or add to, the parts of tuples and what is subscripted too."""
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=targets):
                for target in targets:
                    yield from within(target)
            case Augment(target=target):
                yield from within(target)
            case _:
                pass


def _is_of_self(target: Expression) -> bool:
    return (dotted(target) or "").startswith("self.")
