"""The call graph: who calls whom, in which grad states, and so the states each function may start in."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Set

from gradlint.model.facts import CallFact
from gradlint.model.framework_hooks import EVALUATION_HOOKS, guarded_by, is_of_framework, may_be_guarded
from gradlint.project.grad_states.edges import Edge, Edges
from gradlint.project.grad_states.effects import DISABLE, GRAD, IDENTITY, NO_GRAD, Effect, States, apply, then
from gradlint.project.grad_states.state import GradStates
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.callables import EVERYBODYS, MOST_CANDIDATES
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo, Table
from gradlint.project.linking.nodes import External, FunctionNode

_DOING = frozenset({"apply", "call", "fit", "run", "start", "transform"})  # everybody's, but also a module's own
_EXAMPLES = re.compile(r"(^|/)(examples?|demos?|tutorials?|docs?)/")  # each shows one of many, and how to call that
_ANEW: Effect = (GRAD, GRAD, GRAD, GRAD)  # in another thread or process, whatever it was called in


class CallGraph(Edges):
    """Edges, and the grad states they are made in; all computed once, when first asked for."""

    def __init__(self, linker: Linker, bindings: Bindings, states: GradStates) -> None:
        super().__init__(linker, bindings)
        self._states = states
        dependencies = linker.dependencies
        self._decorators: Memo[FunctionNode, Effect] = Memo(dependencies, self._find_decorators, IDENTITY, "decorators")
        self._hooked: Memo[FunctionNode, States] = Memo(dependencies, self._find_hook_states, 0, "hook states")
        self._at_first: Memo[FunctionNode, States] = Memo(
            dependencies, self._find_states_at_first, GRAD, "first states"
        )
        self._guarded_names: Table[str, bool] = Table(
            dependencies, "guarded names", self._find_guarded_names, lambda _: ()
        )
        self._entries: Table[FunctionNode, States] = Table(dependencies, "entries", self._find_entries, lambda _: ())

    def _find_entries(self) -> dict[FunctionNode, States]:
        """The states each function's body may start in: joined over its callers, after its decorators."""
        decorated = {
            function: self._decorators.of(function) for module in self._linker.modules for function in module.functions
        }
        hooked = {function: states for function in decorated if (states := self.hook_states(function))}
        entries: dict[FunctionNode, States] = {}
        pending: list[FunctionNode] = []
        outgoing: dict[FunctionNode, list[tuple[FunctionNode, Effect]]] = defaultdict(list)
        callers = self.callers.all
        for edges in callers.values():
            for edge in edges:
                outgoing[edge.outermost].append((edge.callee, self._effect_of_edge(edge)))

        def enter(function: FunctionNode, states: States) -> None:
            states = apply(decorated[function], states)
            if states & ~entries.get(function, 0):
                entries[function] = entries.get(function, 0) | states
                pending.append(function)

        def spread() -> None:
            while pending:
                caller = pending.pop()
                states = entries[caller]
                for callee, effect in outgoing[caller]:
                    enter(callee, hooked.get(callee) or apply(effect, states))

        for function in decorated:
            if function in hooked or not callers.get(function):
                enter(function, hooked.get(function) or self._at_first.of(function))
        spread()
        for function in decorated:  # what only calls itself, or one another
            if function not in entries:
                enter(function, self._at_first.of(function))
                spread()
        return entries

    def decorators_of(self, function: FunctionNode) -> Effect:
        """What has been done to the grad mode when a function's own body begins."""
        return self._decorators.of(function)

    def _find_decorators(self, function: FunctionNode) -> Effect:
        """What a function's decorators do, after what has run before it and has switched recording off for good."""
        decorators = self._states.decorators.of(function)
        return then(DISABLE, decorators) if any(map(self._switches_off, self._before(function))) else decorators

    def _before(self, function: FunctionNode) -> Iterator[FunctionNode]:
        """What has certainly run when a function does: its module, and for a method the constructor."""
        if not function.is_module_body:
            yield function.module.body
        constructor = self._constructor(function)
        if constructor is not None and function.facts.name != "__init__":
            yield constructor

    def _constructor(self, function: FunctionNode) -> FunctionNode | None:
        """What makes the object of a method."""
        return self._linker.find_method(function.owner, "__init__") if function.owner is not None else None

    def _switches_off(self, function: FunctionNode) -> bool:
        return not apply(self._states.effect_after(function), GRAD) & GRAD

    def _find_states_at_first(self, function: FunctionNode) -> States:
        """The states in which somebody we cannot see calls a function.

        Its module has run by then, and for a method the constructor.
        """
        if function.is_module_body:
            return GRAD
        states = apply(self._states.effect_after(function.module.body), GRAD)
        if function.owner is not None and function.facts.name in self._guarded_names:
            states |= NO_GRAD  # one of so many, but perhaps this one
        if self._may_be_hook(function):
            states |= NO_GRAD
        constructor = self._constructor(function)
        if constructor is None or constructor is function:
            return states
        return apply(self._states.effect_after(constructor), states)

    def _find_guarded_names(self) -> dict[str, bool]:
        """The methods of which nobody can tell which is called, mostly called under a guard."""
        named = self._linker.methods_named.all
        common = {name for name, found in named.items() if len(found) > MOST_CANDIDATES} - EVERYBODYS
        wanted = common | (_DOING & set(named))
        counted: Counter[str] = Counter()
        for module in self._linker.modules:
            shown = _EXAMPLES.search(module.path) is not None
            for function in module.functions:
                if not wanted.isdisjoint(function.facts.words) and not function.is_test:
                    for call in self.calls_of_anything(function, wanted):
                        if call.method in common or _is_of_argument(function, call):
                            guarded = not self.own_states(function, call.at) & GRAD
                            if guarded or not (shown and call.method in common):
                                counted[call.method] += 1 if guarded else -1
        return dict.fromkeys((name for name, count in counted.items() if count >= 0), True)

    def calls_of_anything(self, function: FunctionNode, names: Set[str]) -> Iterator[CallFact]:
        """The calls of methods so named on objects we know nothing of."""
        known = {edge.at for edge in self.edges_of(function) if edge.certain}
        for call in function.facts.calls:
            if call.method in names and call.method != call.callee and call.at not in known:
                yield call

    def states_of_edge(self, edge: Edge) -> States:
        """The states a call is made in."""
        return apply(self._effect_of_edge(edge), self.entry(edge.outermost))

    def _effect_of_edge(self, edge: Edge) -> Effect:
        """What the guards around a call do to the states that its outermost function was entered in."""
        if edge.elsewhere:
            return _ANEW
        here = self._states.effect_at(edge.caller, edge.at)
        if edge.given is None:
            return here
        return then(self._states.effect_at(*edge.given), then(self._decorators.of(edge.caller), here))

    def entry(self, function: FunctionNode) -> States:
        """The states the function's body may start in."""
        states = self._entries.get(function, None)
        assert states is not None
        return states

    def states_at(self, function: FunctionNode, at: int) -> States:
        """The states a node of the function may run in."""
        return apply(self._states.effect_at(function, at), self.entry(function))

    def records_somewhere(self, function: FunctionNode) -> bool:
        """Whether some place of a function runs with recording on, whoever calls it."""
        entry = self.entry(function)
        return entry == GRAD or any(apply(effect, entry) == GRAD for effect in self._states.effects(function))

    def effect_at(self, function: FunctionNode, at: int) -> Effect:
        """What the function's own guards and decorators do at a node."""
        return then(self._decorators.of(function), self._states.effect_at(function, at))

    def all_own_states(self, function: FunctionNode) -> frozenset[States]:
        """The states that nodes of a function run in by its own doing, if it is called with grad on."""
        outside = self._decorators.of(function)
        effects = (then(outside, effect) for effect in self._states.effects(function))
        return frozenset(apply(effect, GRAD) for effect in (outside, *effects))

    def own_states(self, function: FunctionNode, at: int) -> States:
        """The states a node runs in by the function's own doing, if it is called with grad on."""
        return apply(self.effect_at(function, at), GRAD)

    def hook_states(self, function: FunctionNode) -> States:
        """The states of a method that torch or a framework calls with grad mode off; 0 for all others."""
        return self._hooked.of(function)

    def _find_hook_states(self, function: FunctionNode) -> States:
        cls, name = function.owner, function.facts.name
        if cls is None or not may_be_guarded(name):
            return 0
        return NO_GRAD if any(name in guarded_by(base.name) for base in self._linker.ancestors(cls)) else 0

    def _may_be_hook(self, function: FunctionNode) -> bool:
        """Whether a method is called like one that frameworks call under a guard, on objects of a class of theirs."""
        if function.owner is None or function.facts.name not in EVALUATION_HOOKS:
            return False
        bases = self._linker.ancestors(function.owner)
        return any(isinstance(base, External) and is_of_framework(base.name) for base in bases)


def _is_of_argument(function: FunctionNode, call: CallFact) -> bool:
    """Whether a method is called on what the function is given, its own object aside."""
    given = {parameter.name for parameter in function.facts.parameters}
    return call.callee.removesuffix(f".{call.method}") in given - {"self", "cls"}
