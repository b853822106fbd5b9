"""Running code abstractly: functions are run when somebody first asks, and what that shows is remembered.

Branches meet, loops run twice, calls into the project use the callee's own flow as its summary.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count

from gradlint.model.code import Attribute
from gradlint.model.record import replace
from gradlint.model.torch_calls import TRAINING_WORDS
from gradlint.model.traverse import all_of
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.bindings import Bindings, owner_class
from gradlint.project.linking.dependencies import bit_of
from gradlint.project.linking.frameworks import Frameworks
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo, Whole
from gradlint.project.linking.nodes import ClassNode, FunctionNode, ModuleNode
from gradlint.project.linking.views import FEW, View
from gradlint.project.running.flow import Flow, SideEffects, is_bound, matched
from gradlint.project.running.guard_flags import choosing_guard
from gradlint.project.running.handing_back import may_guard_itself, runs_module
from gradlint.project.running.outlines import Outlines, named_by, outline
from gradlint.project.running.recursion import Recursion
from gradlint.project.running.values import UNKNOWN, Value, elsewhere, meet

# ``strategy.loss += penalty``: an engine that runs ``backward()`` on what its callbacks leave there.
_OF_ENGINE = re.compile(r"\.(total_|train_)?loss$")
_DEEPEST = 60  # functions being run at once; recursion beyond that sees an unknown

_Constants = tuple[tuple[str, object], ...]
_Key = FunctionNode | tuple[ClassNode, str] | tuple[FunctionNode, str]  # a flow, an attribute, effects


class Flows:
    """Flows of all functions, run when first asked for."""

    def __init__(
        self,
        linker: Linker,
        bindings: Bindings,
        calls: CallGraph,
        frameworks: Frameworks,
        models: frozenset[str],
    ) -> None:
        self.linker = linker
        self.bindings = bindings
        self.calls = calls
        self._frameworks = frameworks
        self.models = models
        self._done: dict[FunctionNode, Flow] = {}
        self._given: defaultdict[FunctionNode, dict[_Constants, Flow]] = defaultdict(dict)
        self._running: dict[FunctionNode, Flow] = {}
        self._attributes: dict[tuple[ClassNode, str], Value | None] = {}
        self._effects: dict[FunctionNode, SideEffects] = {}
        self._recursion: Recursion[_Key] = Recursion()
        self._bits: defaultdict[_Key, int] = defaultdict(int)  # what each result depends on
        self._chooses_type: Whole[bool] = Whole(linker.dependencies, "default type", self._finds_default_type)
        self._words_beside: Memo[tuple[ClassNode, FunctionNode], frozenset[str]] = Memo(
            linker.dependencies, self._find_words_beside, frozenset()
        )
        self._trains_on: View[tuple[FunctionNode, str], bool] = View(
            linker.dependencies, "trained on", lambda key: self._finds_training(*key), lambda _: (), few=FEW
        )
        self._words_of_training: Memo[ModuleNode, frozenset[str]] = Memo(
            linker.dependencies, _words_of_training, frozenset()
        )
        self._choosing: Memo[FunctionNode, frozenset[str]] = Memo(
            linker.dependencies, lambda function: choosing_guard(calls, function), frozenset()
        )
        self.epochs = count(1)
        linker.dependencies.remember(self)
        self._outlines = Outlines(
            linker.dependencies,
            "outlines",
            self.flow,
            self._recursion.is_settled,
            lambda flow: named_by(flow, linker.files),
            outline,
        )
        self._side_effects = Outlines(
            linker.dependencies,
            "side effects",
            self._found_effects,
            lambda function: self._recursion.is_settled((function, "effects")),
            lambda _: (),
        )
        self._handing_back = Outlines(
            linker.dependencies,
            "hands back",
            self._finds_handing_back,
            self._recursion.is_settled,
            lambda _: (),
        )

    def flow(self, function: FunctionNode) -> Flow:
        """The function's flow; while it is being run, what is known so far."""
        if (done := self._done.get(function)) is not None:
            self._recursion.lean(function)
            self.linker.dependencies.bits |= self._bits[function]
            return done
        if self.is_running(function):
            return self._running[function]
        if len(self._running) > _DEEPEST:
            self._recursion.lean_on_all()
            return Flow(function)
        self._done[function] = self._run(Flow(function))
        return self._done[function]

    def leave(self, modules: Iterable[ModuleNode]) -> None:
        """Forget the flows in modules of which nobody else makes use, once all is asked about these.

        They are most of what a run holds in memory. Whoever asks again has them run again, with the same result.
        """
        for module in modules:
            for function in module.functions:
                if function in self._done and self._is_own_affair(function):
                    self._forget(function)
                    self._recursion.forget(function)

    def _is_own_affair(self, function: FunctionNode) -> bool:
        """Whether a function is only called, and its class only derived from, in its own module."""
        owner = function.owner
        derived = self.linker.subclasses.all.get(owner, ()) if owner is not None else ()
        callers = (edge.caller for edge in self.calls.callers.all.get(function, ()))
        return all(node.module is function.module for node in (*derived, *callers))

    def given(self, function: FunctionNode, known: dict[str, object]) -> Flow:
        """The function's flow when some of its parameters are these constants; branches not taken are left out."""
        constants = tuple(sorted(known.items()))
        if (flow := self._given[function].get(constants)) is not None:
            self._recursion.lean(function)
            self.linker.dependencies.bits |= self._bits[function]
            return flow
        if self.is_running(function):
            return Flow(function, known)
        flow = self._given[function][constants] = self._run(Flow(function, known))
        return flow

    def _run(self, flow: Flow) -> Flow:
        from gradlint.project.running.interpret import run

        self._running[flow.function] = flow
        with self._working_out(flow.function):
            try:
                run(self, flow)
            finally:
                del self._running[flow.function]
        return flow

    @contextmanager
    def _working_out(self, key: _Key) -> Iterator[None]:
        """Afterwards what had to lean on this unfinished result is forgotten."""
        dependencies = self.linker.dependencies
        outside, dependencies.bits = dependencies.bits, bit_of(key)
        self._recursion.begin(key)
        try:
            yield
        finally:
            bits = self._bits[key] = dependencies.same(self._bits[key] | dependencies.bits)
            dependencies.bits |= outside
            for leaning in self._recursion.end(key):
                self._forget(leaning)
            for leaning in self._recursion.kept:
                self._bits[leaning] |= bits

    def forget(self, changed: int) -> None:
        """Forget the results that depend on one of these bits."""
        for key in [key for key, bits in self._bits.items() if bits & changed]:
            self._forget(key)
            self._recursion.forget(key)

    def _forget(self, key: _Key) -> None:
        self._bits.pop(key, None)
        if isinstance(key, FunctionNode):
            self._done.pop(key, None)
            self._given.pop(key, None)
        elif isinstance(key[0], ClassNode):
            self._attributes.pop((key[0], key[1]), None)
        else:
            self._effects.pop(key[0], None)

    def outline(self, function: FunctionNode) -> Flow:
        """What a call of a function comes to: of its flow ``env``, ``returns``, ``uses`` and what it derives."""
        return self._outlines.of(function)

    def choosing_guard(self, function: FunctionNode) -> frozenset[str]:
        """The parameters of a function that lead into a guard of its own, or past it."""
        return self._choosing.of(function)

    def is_of_torch(self, function: FunctionNode) -> bool:
        """Whether a function's file works with torch, as far as its imports and words tell."""
        return self._frameworks.is_torch(function.module)

    def hands_back(self, function: FunctionNode) -> bool:
        """Whether a function hands back what a module gave it, graph and all."""
        return self._handing_back.of(function)

    def _finds_handing_back(self, function: FunctionNode) -> bool:
        """A plain ``forward`` need not be run to see that it is one; none of another framework records a graph."""
        if self._frameworks.is_other(function.module):
            return False
        if self.calls.modules.is_forward(function) and not may_guard_itself(self.calls, function):
            return runs_module(self.calls, Flow(function))
        return runs_module(self.calls, self.flow(function))

    def effects(self, function: FunctionNode) -> SideEffects:
        """What calling a function may do, its callees included; all there is where it calls itself."""
        return self._side_effects.of(function)

    def _found_effects(self, function: FunctionNode) -> SideEffects:
        key = function, "effects"
        if self._recursion.is_open(key):
            return SideEffects()
        if function not in self._effects:
            self._run_first((function,))
            with self._working_out(key):
                flow = self.flow(function)
                found = replace(flow.effects)
                for callee in flow.runs:
                    found.include(self.effects(callee))
                self._effects[function] = SideEffects() if self.is_running(function) else found
        self._recursion.lean(key)
        self.linker.dependencies.bits |= self._bits[key]
        return self._effects[function]

    def is_running(self, function: FunctionNode) -> bool:
        """Whether the function is in the middle of its own run: its summary is not to be trusted yet."""
        return function in self._running and self._recursion.is_open(function)

    def outer(self, function: FunctionNode, name: str) -> Value | None:
        """What a name of an enclosing function or of the module holds; None when it is no variable of theirs."""
        scope = function.parent
        while scope is not None:
            if name in scope.facts.local or scope.is_module_body:
                value = self.flow(scope).env.get(name)
                if scope.is_module_body and (value is None or value.kind == "none"):
                    value = self._global(scope, name) or value
                return elsewhere(value) if value is not None else None
            scope = scope.parent
        return None

    def _global(self, body: FunctionNode, name: str) -> Value | None:
        """A module variable that only functions assign, by ``global name``."""
        found: Value | None = None
        for function in body.module.functions:
            if name in function.facts.shared and not self.is_running(function):
                value = self.flow(function).env.get(name)
                if value is not None:
                    found = value if found is None else meet(found, value)
        return found

    def attribute(self, cls: ClassNode, name: str) -> Value | None:
        """What ``self.name`` holds once the object is made: joined over the methods that assign it."""
        key = cls, name
        if self._recursion.is_open(key):
            return None
        if key not in self._attributes:
            methods = dict.fromkeys(where for where, _ in self.bindings.attribute(cls, name))
            unpacked = () if methods else self.bindings.unpacking(cls, name)
            methods.update(dict.fromkeys(unpacked))
            self._run_first(methods)
            with self._working_out(key):
                found = self._joined_attribute(cls, name, methods)
                if unpacked and found is not None and found.kind != "module":
                    found = None  # of data that comes side by side nothing is known
                found = elsewhere(found) if found is not None else None
            if any(map(self.is_running, methods)):
                return found  # who asks again, later in the run of these, may be told more
            self._attributes[key] = found
        self._recursion.lean(key)
        self.linker.dependencies.bits |= self._bits[key]
        return self._attributes[key]

    def _run_first(self, functions: Iterable[FunctionNode]) -> None:
        """Run functions before a result of them all is begun.

        What they call may ask for that result. Then it leans on the functions, whose flows stay, and not on the
        result, of which there is one for each attribute: each would have all of them run once more.
        """
        for function in functions:
            if function not in self._running:
                self.flow(function)

    def _joined_attribute(self, cls: ClassNode, name: str, methods: Iterable[FunctionNode]) -> Value | None:
        found: Value | None = None
        for method in methods:
            if self.is_running(method):
                continue
            flow = self.outline(method)
            value = flow.env.get(f"self.{name}") or flow.env.get(name)
            if value is not None:
                found = value if found is None else meet(found, value)
        if found is not None and found.training is False and self._trains(cls, name):
            found = meet(found, Value(found.kind, certainty=found.certainty, target=found.target))
        return found

    def _trains(self, cls: ClassNode, name: str) -> bool:
        """Whether some method puts the attribute, or the whole object, back into training mode."""
        wanted = {f"self.{name}.train", "self.train"}
        for ancestor in self.linker.ancestors(cls):
            if isinstance(ancestor, ClassNode):
                for method in ancestor.methods:
                    if any(call.callee in wanted for call in method.facts.calls):
                        return True
        return False

    def may_train_on(self, function: FunctionNode, path: str) -> bool:
        """Whether something a function stores under a dotted name may be trained on by who reads it there."""
        return self._trains_on.of((function, path))

    def _finds_training(self, function: FunctionNode, path: str) -> bool:
        name = path.rpartition(".")[2]
        if path.startswith("self.") and (cls := owner_class(function)) is not None:
            return name in self._words_beside.of((cls, function))
        if _OF_ENGINE.search(path) and path.partition(".")[0] in {p.name for p in function.facts.parameters}:
            return True
        return name in self._words_of_training.of(function.module)

    def _find_words_beside(self, method: tuple[ClassNode, FunctionNode]) -> frozenset[str]:
        """The words of the other methods of a method's object, if one of them all trains."""
        cls, function = method
        family = [c for c in self.linker.ancestors(cls) if isinstance(c, ClassNode)]
        methods = [m for c in (*family, *self.linker.subclasses.get(cls, ())) for m in c.methods]
        if all(TRAINING_WORDS.isdisjoint(m.facts.words) for m in methods):
            return frozenset()
        return frozenset().union(*(m.facts.words - self._begun(m) for m in methods if m is not function))

    def _begun(self, method: FunctionNode) -> frozenset[str]:
        """The attributes of which a constructor only says what they begin with: ``self.history = []``."""
        if method.facts.name != "__init__":
            return frozenset()
        assigned = self.bindings.assigned(method)
        own = {path.removeprefix("self."): len(values) for path, values in assigned.items() if path.startswith("self.")}
        said = Counter(each.name for each in all_of(Attribute, method.facts.body))
        return frozenset(name for name, times in own.items() if said[name] <= times)

    @property
    def sets_default_type(self) -> bool:
        """Whether some module chooses another default precision for floats."""
        return self._chooses_type.value

    def _finds_default_type(self) -> bool:
        words = {"set_default_dtype", "set_default_tensor_type"}
        return any(not words.isdisjoint(f.facts.words) for m in self.linker.modules for f in m.functions)

    def handed_over(self, function: FunctionNode, parameter: str) -> Iterator[tuple[FunctionNode, Value]]:
        """The callers of a function, each with what it hands over for a parameter."""
        for edge in self.calls.callers.get(function, ()):
            yield edge.caller, self.argument(self.flow(edge.caller), edge.at, parameter, function)

    def argument(self, edge_flow: Flow, at: int, parameter: str, callee: FunctionNode) -> Value:
        """What a caller hands over for a parameter at one of its calls."""
        event = edge_flow.calls.get(at)
        if event is None:
            return UNKNOWN
        return matched(event.arguments, callee, bound=is_bound(event, callee)).get(parameter, UNKNOWN)


def _words_of_training(module: ModuleNode) -> frozenset[str]:
    """The words of those functions of a module that train."""
    training = (f.facts.words for f in module.functions if not TRAINING_WORDS.isdisjoint(f.facts.words))
    return frozenset().union(*training)
