"""Buffers of modules, and what is written into them."""

import re
from collections.abc import Iterator

from gradlint.model.code import (
    Assign,
    Attribute,
    Augment,
    Call,
    Constant,
    Expression,
    Name,
    dotted,
)
from gradlint.model.record import answer
from gradlint.model.torch_calls import CONTAINER_METHODS, SETTINGS_NAME
from gradlint.model.traverse import all_of, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking.bindings import owner_class
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.linking.unrelated import is_of_unrelated_class
from gradlint.project.questions.written import Bound, closure, goes_on, is_average, value_at, written
from gradlint.project.running.flow import Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import COMPUTED, Origin, Value

_FACTORIES = frozenset(f"torch.{name}" for name in ("zeros", "ones", "rand", "randn", "empty", "full", "tensor", "eye"))
_BEGINNING = re.compile(r"^(?!__)\w*(reset|init|detach|begin|clear|start)")
_WEIGHTS = frozenset({"weight", "weight_orig", "weight_bar", "weight_v", "weight_g"})
_CUTTING = frozenset({"data", "detach", "detach_", "no_grad", "item"})
_FORWARDS = frozenset({"forward", "inverse", "_call", "_inverse"})  # transforms run both ways


@answer
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
        for at, path, value in written(bound, function, flow):
            made_at = self._graph(flow, value)
            if made_at is None and self._is_handed_graph(flow, value):
                made_at = 0
            elif at in flow.changes and not made_at and not goes_on(function, at, path):
                continue  # what comes in may be data, and items of it are kept on purpose
            if made_at is None and self._is_of_weights(owner, bound, function, at, value):
                made_at = 0
            if (
                path.startswith("self.")
                and path.removeprefix("self.") in names
                and made_at is not None
                and (path.removeprefix("self.") in self.registered(owner) or is_average(function, at, path))
                and self._calls.states_at(function, at) & GRAD
                and not self._is_state(owner, function, path.removeprefix("self."))
            ):
                yield Update(at, path, made_at or None)

    def _is_of_weights(
        self,
        owner: ClassNode,
        bound: Bound,
        function: FunctionNode,
        at: int,
        value: Value,
    ) -> bool:
        """Whether a value is computed from a module's weight, of which nothing on the way takes the graph."""
        if value.kind != "tensor" or not value.tensor & COMPUTED:
            return False
        assigned = value_at(function, at)
        carried = closure(bound, assigned, followed=True) if assigned is not None else []
        asked = [part for part in carried if isinstance(part, Attribute)]
        names = {part.name for part in asked}
        if not names.isdisjoint(_CUTTING):
            return False
        own = {part.name for part in asked if dotted(part.value) == "self"}
        parameters = any(self._calls.modules.is_trained_parameter(owner, name) for name in own)
        return parameters or not names.isdisjoint(_WEIGHTS)

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
        return all(
            f in allowed or is_of_unrelated_class(self._linker, owner, f, name) for f in self._linker.mentions.of(name)
        )

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
        """Whether who calls a method hands it what a forward there has recorded: ``bank.update(encoder(images))``."""
        function = flow.function
        if function.facts.name in _FORWARDS or value.kind not in ("tensor", "unknown") or not value.tensor & COMPUTED:
            return False
        inputs = [origin for origin in value.origins if _is_input(function, origin)]
        names = [name for origin in inputs if (name := origin.parameter_of(function)) is not None]
        given = [each for name in names for each in self._flows.handed_over(function, name)]
        return any(self._graph(self._flows.flow(caller), each) for caller, each in given)

    def _records(self, flow: Flow, at: int) -> bool:
        return bool(self._calls.states_at(flow.function, at) & GRAD)


def _is_input(function: FunctionNode, origin: Origin) -> bool:
    """Whether something comes in by a parameter that is no bundle of settings: ``args.momentum`` is a number."""
    name = origin.parameter_of(function)
    return name is not None and SETTINGS_NAME.search(name) is None


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
