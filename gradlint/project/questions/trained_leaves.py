"""Leaves that a function trains: what it changes in place after ``backward()`` has gone through them.

That a module or a tensor of somebody else requires grad is not seen where it is made. Where a function has walked a
graph that nothing else can have made, it does.
"""

import re
from collections.abc import Iterator, Sequence

from gradlint.model.code import Attribute, Block, Call, Display, For, Jump, Name, Return, Statement, With, dotted
from gradlint.model.torch_calls import BACKWARD_METHODS, FLAGS, PARAMETER_LISTS, STEPPING_METHODS
from gradlint.model.traverse import all_of, blocks, statements
from gradlint.project.grad_states.edges import Edge
from gradlint.project.linking.backwards import walked_expressions
from gradlint.project.linking.bindings import on_self
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.linking.parameter_loops import given_parameters
from gradlint.project.linking.passing import is_passed_first
from gradlint.project.linking.scope import assigned, places_of
from gradlint.project.linking.unrelated import is_of_unrelated_class
from gradlint.project.questions.written import closure
from gradlint.project.running.flow import CallEvent, ChangeEvent, Flow, module_of
from gradlint.project.running.flows import Flows
from gradlint.project.running.recording import speaks_of_freezing
from gradlint.project.running.values import LEAF, Origin, Value

_SCHEDULER = re.compile(r"sched", re.I)  # its ``step()`` trains nothing
_LISTING = PARAMETER_LISTS | {"children", "named_children", "modules", "named_modules"}
_TAKING = re.compile(r"^torch\.(nn|optim)\.([a-z_]+\.)*[A-Z]\w*$")  # what modules are part of, or optimizers
_REMAKING = re.compile(r"(weight|spectral)_norm|parametri[sz]|prune")


class TrainedLeaves:
    """Finds the ``backward()`` that proves a leaf to require grad."""

    def __init__(self, linker: Linker, flows: Flows) -> None:
        self._linker = linker
        self._flows = flows

    def walk_before(self, function: FunctionNode, change: ChangeEvent) -> int | None:
        """The place where ``backward()`` has gone through what is then changed in place; None if that is not sure."""
        words = function.facts.words
        if words.isdisjoint(BACKWARD_METHODS) or _speaks_of_flags(function):
            return None
        flow = self._flows.flow(function)
        walks = [walk for walk in flow.walks if not walk.targets and is_passed_first(function, walk.at, change.at)]
        if not walks:
            return None
        if change.owner.kind == "parameters":
            return self._walk_of_module(flow, change, walks)
        return self._walk_of_attribute(function, change, walks)

    def new_object(self, function: FunctionNode, change: ChangeEvent) -> tuple[FunctionNode, int] | None:
        """Where a method that changes a parameter of its object is run on one that was just made, if it is.

        Nobody can have frozen it: ``net = Net(); net.clip()``, ``net(x)``.
        """
        found = on_self(function, change.path or "")
        if found is None or change.owner.kind != "tensor" or not self._flows.calls.modules.is_module_class(found[0]):
            return None
        if change.path in self._flows.bindings.assigned(function) or not self.is_made_leaf(*found, function):
            return None
        for edge in self._flows.calls.callers.get(function, ()):
            if edge.certain and not edge.elsewhere and edge.given is None and self._is_on_new(edge):
                return edge.caller, edge.at
        return None

    def _is_on_new(self, edge: Edge) -> bool:
        """Whether a call is made on a module of the project that was made in sight, and that nobody has frozen."""
        caller, flow = edge.caller, self._flows.flow(edge.caller)
        event = flow.calls.get(edge.at)
        if event is None or event.name.startswith(("self.", "cls.", "super().")):
            return False
        module, root = module_of(event), event.name.partition(".")[0]
        own = root in caller.facts.local and not caller.is_module_body
        if any(map(_speaks_of_flags, (caller, caller.module.body) if own else caller.module.functions)):
            return False
        if self._is_handed_on(caller, root):
            return False  # who has had hold of it may have frozen it
        made = module.kind == "module" and module.born is not None and module.parameter is None
        return made and module.frozen in (None, False) and isinstance(module.target, ClassNode)

    def _is_handed_on(self, function: FunctionNode, name: str) -> bool:
        """Whether a function hands something to others than torch, puts it together with others, or renames it."""
        given = [value for _, value in assigned(function)]
        given += [item for each in all_of(Display, function.facts.body) for item in each.items]
        for call in all_of(Call, function.facts.body):
            called = dotted(call.function) or ""
            target = self._linker.resolve(function, called) if called else None
            if not isinstance(target, External) or _TAKING.search(target.name) is None:
                given += [argument.value for argument in call.arguments]
            if called == f"{name}.apply":
                return True
        return any(isinstance(each, Name) and each.id == name for each in given)

    # Each parameter of a module

    def _walk_of_module(self, flow: Flow, change: ChangeEvent, walks: list[CallEvent]) -> int | None:
        """``D(x).mean().backward(); optimizer.step()``, and then each of ``D.parameters()`` is changed."""
        function, module = flow.function, change.owner.of
        if module is None or not change.owner.tensor & LEAF or not self._is_each_parameter(function, change):
            return None
        if "parameters" in self._linker.methods_named:
            return None  # it may give something else
        steps = (call for call in flow.calls.values() if call.method in STEPPING_METHODS)
        stepped = [call.at for call in steps if not _SCHEDULER.search(call.name)]
        for walk in walks:
            trains = any(is_passed_first(function, walk.at, at) for at in stepped)
            if trains and self._walks_alone(flow, walk, module):
                return walk.at
        return None

    def _is_each_parameter(self, function: FunctionNode, change: ChangeEvent) -> bool:
        """Whether it is one of all parameters that a loop goes over, and none that it picks out."""
        for loop in statements(function.facts.body):
            if isinstance(loop, For) and change.path in set(given_parameters(function, loop)):
                return any(change.at in places_of((each,)) for each in _always_run(loop.body))
        return False

    def _walks_alone(self, flow: Flow, walk: CallEvent, module: str) -> bool:
        """Whether a walked graph was made by no other module, nor comes in by what the module is not given."""
        origins = _walked_origins(walk)
        forwards = {event.at: event for event in flow.calls.values() if _runs(event, module)}
        made = {origin for origin in origins if origin.function is flow.function and origin.at in forwards}
        given = {o for each in made for argument in forwards[each.at].arguments for o in argument.value.with_graph}
        return bool(made) and origins <= made | {origin for origin in given if origin.at < 0}

    # An attribute of the object

    def _walk_of_attribute(self, function: FunctionNode, change: ChangeEvent, walks: list[CallEvent]) -> int | None:
        """``loss = f(self.w); loss.backward()``, and then ``self.w`` is changed."""
        found = on_self(function, change.path or "")
        bound = self._flows.bindings.assigned(function)
        if found is None or change.path in bound or not self.is_made_leaf(*found, function):
            return None
        if self._flows.calls.modules.is_module_class(found[0]) and self._freezes_somewhere():
            return None
        if any(self._walks_own_forward(function, walk, found[1]) for walk in walks):
            return walks[0].at
        walked = walked_expressions(function, None)
        parts = [part for each in walked for part in closure(bound, each, followed=True)]
        is_walked = any(dotted(part) == change.path for part in parts if isinstance(part, Attribute))
        return walks[0].at if is_walked else None

    def _freezes_somewhere(self) -> bool:
        """Whether the project has to do with flags of whatever parameters a module has: perhaps also of this one."""
        users = (each for word in sorted(FLAGS) for each in self._linker.mentions.of(word))
        return any(not _LISTING.isdisjoint(each.facts.words) for each in users)

    def _walks_own_forward(self, function: FunctionNode, walk: CallEvent, name: str) -> bool:
        """``self.criterion(self(x), y).backward()``, where the module's own ``forward`` has to do with an attribute."""
        calls = self._flows.flow(function).calls
        made = (calls.get(origin.at) for origin in _walked_origins(walk) if origin.function is function)
        forwards = [each for each in made if each is not None and each.name in ("self", "self.forward")]
        below = self._flows.calls.below(target for each in forwards for target in each.targets)
        return any(name in each.facts.words for each in below)

    def is_made_leaf(self, cls: ClassNode, name: str, function: FunctionNode) -> bool:
        """Whether an attribute holds a leaf that requires grad whoever makes the object, and nobody changes that.

        What a function itself assigns to it is left out.
        """
        made = self._flows.bindings.attribute(cls, name)
        makers = dict.fromkeys(where for where, _ in made if where is not function)
        derived = self._linker.subclasses.get(cls, ())
        if any(len(self._flows.bindings.attribute(sub, name)) > len(made) for sub in derived):
            return False
        family = list(self._methods(cls, derived))
        if any(method not in makers and _speaks_of_flags(method) for method in family):
            return False
        if any(any(map(_REMAKING.search, method.facts.words)) for method in family):
            return False  # it is computed anew in each forward
        users = (each for each in self._linker.mentions.of(name) if each not in makers)
        others = [each for each in users if not is_of_unrelated_class(self._linker, cls, each, name)]
        if any(_speaks_of_flags(other) or (other is not function and self._replaces(other, name)) for other in others):
            return False
        held = (self._flows.outline(maker).env.get(f"self.{name}") for maker in makers)
        return bool(makers) and all(value is not None and _is_leaf(value) for value in held)

    def _replaces(self, function: FunctionNode, name: str) -> bool:
        """``layer.weight = ...``"""
        return any(path.endswith(f".{name}") for path in self._flows.bindings.assigned(function))

    def _methods(self, cls: ClassNode, derived: Sequence[ClassNode]) -> Iterator[FunctionNode]:
        for each in dict.fromkeys((*self._flows.bindings.family(cls), *derived)):
            yield from each.methods


def _is_leaf(value: Value) -> bool:
    return value.kind == "tensor" and value.tensor == LEAF


def _walked_origins(walk: CallEvent) -> set[Origin]:
    walked = [walk.receiver, *(argument.value for argument in walk.arguments)]
    return {origin for value in walked if value is not None for origin in value.with_graph}


def _runs(event: CallEvent, module: str) -> bool:
    return event.forward and event.name in (module, f"{module}.forward")


def _speaks_of_flags(function: FunctionNode) -> bool:
    """Whether a function has to do with what requires grad: it freezes something, or makes a leaf of it."""
    words = function.facts.words
    return not FLAGS.isdisjoint(words) or speaks_of_freezing(words)


def _always_run(block: Block) -> Iterator[Statement]:
    """The statements of a loop's body that no condition stands before, nor a jump."""
    for statement in block:
        if any(isinstance(each, Jump | Return) for each in statements((statement,))):
            return
        if isinstance(statement, With):
            yield from _always_run(statement.body)
        elif not any(True for _ in blocks(statement)):
            yield statement
