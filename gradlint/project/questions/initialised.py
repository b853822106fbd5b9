"""Parameters that a module has just made, and that its constructor, or what that runs, changes in place.

Nobody can have frozen them before: ``for m in self.modules(): if isinstance(m, nn.Linear): m.weight.normal_()``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.model.code import (
    Assign,
    Attribute,
    Augment,
    Call,
    Display,
    Expression,
    For,
    Name,
    Subscript,
    dotted,
)
from gradlint.model.record import answer
from gradlint.model.torch_calls import FLAGS, MODULE_CONTAINERS
from gradlint.model.torch_tensors import IN_PLACE
from gradlint.model.traverse import all_of, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.kinds import kinds_asked_for
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.linking.passing import is_passed_first
from gradlint.project.linking.scope import own_call_at, places_of
from gradlint.project.running.recording import speaks_of_freezing

# Layers that have a weight unless they are told to have none, and all of those but the last a bias.
_LAYERS = re.compile(
    r"^torch\.nn\.(modules\.\w+\.)?(Linear|Conv(Transpose)?[123]d|BatchNorm[123]d|LayerNorm|Embedding)$"
)
_PARAMETERS = frozenset({"torch.nn.Parameter", "torch.nn.parameter.Parameter"})
_TAKING = re.compile(r"^torch\.nn\.([a-z_]+\.)*[A-Z]\w*$")  # what layers are part of: no ``nn.utils.weight_norm``
_WITHOUT = frozenset({"affine", "elementwise_affine", "_freeze"})  # what may tell them
_MOST_POSITIONAL = 2  # arguments of which none says so: of ``nn.Linear(2, 3, False)`` the third does
_MOST_OF_CONVOLUTIONS = 7  # the eighth is ``bias``
_OVERRIDDEN = ("apply", "modules", "__setattr__", "__getattr__")


@answer
class Initialised:
    """A parameter is changed in place, and what has it was made at ``made_at`` in the function ``maker``."""

    at: int
    path: str
    how: str
    maker: FunctionNode
    made_at: int


@dataclass(frozen=True, slots=True)
class _Run:
    """Where what a function changes was made: in ``maker``, as ``root`` or a part of it, before ``at``."""

    maker: FunctionNode
    root: str
    at: int


class InitialisedParts:
    """Finds them."""

    def __init__(self, linker: Linker, bindings: Bindings, calls: CallGraph) -> None:
        self._linker = linker
        self._bindings = bindings
        self._calls = calls

    def changed(self, function: FunctionNode) -> Iterator[Initialised]:
        """The changes in place of parameters that were made just before, whoever has the function run."""
        if _speaks_of_flags(function):
            return
        for at, how, owner in _spelt(function):
            made = next(self._made(function, at, owner), None) if isinstance(owner, Attribute) else None
            if made is not None:
                yield Initialised(at, dotted(owner) or "it", how, *made)

    def _made(self, function: FunctionNode, at: int, owner: Attribute) -> Iterator[tuple[FunctionNode, int]]:
        """Where a layer is made that certainly comes to be changed at a place."""
        holder = dotted(owner.value) or ""
        if holder == "self":
            for run in self._runs_on_self(function, at):
                yield from self._parameter(run, f"self.{owner.name}")
        elif owner.name not in ("weight", "bias"):
            return
        elif holder.startswith("self."):
            for run in self._runs_on_self(function, at):
                yield from self._layers(run, f"{run.root}.{holder.removeprefix('self.')}", None, owner.name)
        elif isinstance(owner.value, Name):
            kinds = kinds_asked_for(function, holder, at)
            names = frozenset(full for kind in kinds or () if (full := self._full_name(function, kind)) is not None)
            for run in self._runs_over_parts(function, holder, at) if names else ():
                yield from self._layers(run, f"{run.root}.", names, owner.name)

    # Who has it run

    def _runs_over_parts(self, function: FunctionNode, name: str, at: int) -> Iterator[_Run]:
        """Where a name is every part of a module: of a loop over its ``modules()``, or by ``apply``."""
        if _is_part(function, name, at):
            yield from self._runs_on_self(function, at)
            return
        parameters = [each.name for each in function.facts.parameters if each.name != "self" or function.owner is None]
        if parameters[:1] == [name]:
            for edge in self._edges(function):
                yield from self._applied(edge)

    def _applied(self, edge: Edge) -> Iterator[_Run]:
        """``self.apply(init)``, ``net.apply(init)``."""
        call = own_call_at(edge.caller, edge.at)
        applied = call.function if call is not None and edge.handed else None
        if isinstance(applied, Attribute) and applied.name == "apply":
            root = dotted(applied.value)
            if root == "self":
                yield from self._runs_on_self(edge.caller, edge.at)
            elif isinstance(applied.value, Name) and not _speaks_of_flags(edge.caller):
                yield _Run(edge.caller, applied.value.id, edge.at)

    def _runs_on_self(self, method: FunctionNode, at: int) -> Iterator[_Run]:
        """The constructors that run a method on the object that they make; a constructor runs itself."""
        if method.facts.name == "__init__":
            if self._is_plain(method.owner):
                yield _Run(method, "self", at)
            return
        for edge in self._edges(method):
            call = own_call_at(edge.caller, edge.at)
            own = call is not None and dotted(call.function) == f"self.{method.facts.name}"
            if own and edge.caller.facts.name == "__init__" and self._is_plain(edge.caller.owner):
                yield _Run(edge.caller, "self", edge.at)

    def _edges(self, function: FunctionNode) -> Iterator[Edge]:
        edges = self._calls.callers.get(function, ())
        return (edge for edge in edges if edge.certain and not edge.elsewhere and edge.given is None)

    def _is_plain(self, cls: ClassNode | None) -> bool:
        """Whether a class of modules leaves its parameters and the methods of modules as they are."""
        if cls is None or not self._calls.modules.is_module_class(cls):
            return False
        own = [method for each in self._bindings.family(cls) for method in each.methods]
        return not any(_speaks_of_flags(each) or each.facts.name in _OVERRIDDEN for each in own)

    # What was made

    def _layers(
        self, run: _Run, path: str, kinds: frozenset[str] | None, parameter: str
    ) -> Iterator[tuple[FunctionNode, int]]:
        """The layers that something is given for good before it is run over: under a name, or wherever below it."""
        if self._is_handed_on(run):
            return
        for name, values in self._bindings.assigned(run.maker).items():
            is_meant = name == path if kinds is None else name == run.root or (name + ".").startswith(path)
            if not is_meant or name == "self" or len(values) != 1 or not self._is_kept(run.maker, name):
                continue
            for layer in self._parts(run.maker, values[0], inside=kinds is not None):
                full = self._full_name(run.maker, layer.function) or ""
                wanted = kinds is None or _last(full) in map(_last, kinds)
                passed = is_passed_first(run.maker, layer.at, run.at)
                if wanted and passed and _LAYERS.search(full) and _has(layer, full, parameter):
                    yield run.maker, layer.at

    def _parameter(self, run: _Run, path: str) -> Iterator[tuple[FunctionNode, int]]:
        """``self.scale = nn.Parameter(torch.ones(3))``"""
        values = self._bindings.assigned(run.maker).get(path, [])
        if len(values) == 1 and self._is_kept(run.maker, path) and not self._is_handed_on(run):
            (value,) = values
            full = self._full_name(run.maker, value.function) if isinstance(value, Call) else None
            if full in _PARAMETERS and is_passed_first(run.maker, value.at, run.at):
                yield run.maker, value.at

    def _is_handed_on(self, run: _Run) -> bool:
        """Whether others have had hold of what was made, who may have frozen it."""
        for call in all_of(Call, run.maker.facts.body):
            if call.at == run.at or not is_passed_first(run.maker, call.at, run.at):
                continue
            given = [argument.value for argument in call.arguments]
            if isinstance(call.function, Attribute) and call.function.name == "apply":
                given.append(call.function.value)
            is_layer = _TAKING.search(self._full_name(run.maker, call.function) or "") is not None
            names = (dotted(part) or "" for each in given for part in within(each))
            if not is_layer and any(name == run.root or name.startswith(f"{run.root}.") for name in names):
                return True
        return False

    def _is_kept(self, maker: FunctionNode, name: str) -> bool:
        """Whether nobody but its maker gives an attribute anything."""
        if not name.startswith("self.") or maker.owner is None:
            return not name.startswith("self.")
        return len(self._bindings.attribute(maker.owner, name.removeprefix("self."))) == 1

    def _parts(self, maker: FunctionNode, value: Expression, *, inside: bool) -> Iterator[Call]:
        """``nn.Linear(2, 2)``, and those in ``nn.Sequential(...)``."""
        match value:
            case Call(function=called, arguments=arguments):
                full = self._full_name(maker, called) or ""
                if MODULE_CONTAINERS.search(full) is None:
                    yield value
                elif inside:
                    yield from (part for a in arguments for part in self._parts(maker, a.value, inside=True))
            case Display(items=items) if inside:
                yield from (part for item in items for part in self._parts(maker, item, inside=True))
            case _:
                pass

    def _full_name(self, function: FunctionNode, named: Expression) -> str | None:
        name = dotted(named)
        target = self._linker.resolve(function, name) if name is not None else None
        return target.name if isinstance(target, External) else None


def _spelt(function: FunctionNode) -> Iterator[tuple[int, str, Expression]]:
    """The places of changes in place, how these are made, and of what."""
    for statement in statements(function.facts.body):
        match statement:
            case Augment(target=target, operator=operator):
                yield target.at, f"{operator}=", target
            case Assign(targets=(Subscript(value=owner) as target,)):
                yield target.at, "[]=", owner
            case _:
                pass
    for call in all_of(Call, function.facts.body):
        match call.function:
            case Attribute(value=owner, name=name) if name in IN_PLACE:
                yield call.at, name, owner
            case _:
                pass


def _speaks_of_flags(function: FunctionNode) -> bool:
    words = function.facts.words
    return not FLAGS.isdisjoint(words) or speaks_of_freezing(words)


def _is_part(function: FunctionNode, name: str, at: int) -> bool:
    """Whether a name is each of ``self.modules()`` at a place."""
    for loop in statements(function.facts.body):
        if isinstance(loop, For) and at in places_of(loop.body):
            match loop:
                case For(target=Name(id=each), iterable=Call(function=called)) if each == name:
                    return dotted(called) == "self.modules"
                case For(target=Display(items=(_, Name(id=each))), iterable=Call(function=called)) if each == name:
                    return dotted(called) == "self.named_modules"
                case _:
                    pass
    return False


def _last(full: str) -> str:
    return full.rpartition(".")[2]


def _has(layer: Call, full: str, parameter: str) -> bool:
    """Whether a layer is made with a weight, or with a bias."""
    if any(each.stars or each.keyword == parameter or each.keyword in _WITHOUT for each in layer.arguments):
        return False
    positional = [argument for argument in layer.arguments if argument.keyword is None]
    least = _last(full) in ("Linear", "LayerNorm", "Embedding") or _last(full).startswith("BatchNorm")
    if least and len(positional) > _MOST_POSITIONAL:
        return False
    return parameter == "weight" or (_last(full) != "Embedding" and len(positional) <= _MOST_OF_CONVOLUTIONS)
