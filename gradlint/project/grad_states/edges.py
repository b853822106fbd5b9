"""Who calls whom: the calls between functions of the project."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from gradlint.finding import Place
from gradlint.model.code import Attribute, Call, DefineFunction, Lambda, dotted
from gradlint.model.facts import CallFact
from gradlint.model.record import dataclass
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.model.torch_names import (
    THREAD_POOL_METHODS,
    THREAD_POOLS,
    THREAD_STARTERS,
)
from gradlint.model.traverse import all_of
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.callables import EVERYBODYS, Callables
from gradlint.project.linking.callbacks import Callbacks
from gradlint.project.linking.choices import chosen_by_key, looked_up
from gradlint.project.linking.instances import Instances
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo, Table
from gradlint.project.linking.modules import Modules
from gradlint.project.linking.nodes import FunctionNode, ModuleNode
from gradlint.project.linking.returns import returns_loss

_WRAPPING = frozenset({"partial", "compile", "script", "vmap"})  # what these give is called in place of a function


@dataclass(frozen=True, slots=True)
class Edge:
    """One call. ``certain`` is false where only the method's name says who is called."""

    caller: FunctionNode
    at: int
    callee: FunctionNode
    certain: bool = True
    elsewhere: bool = False  # in another thread: grad mode is on there
    handed: bool = False  # the callee came as an argument: one of perhaps many
    given: tuple[FunctionNode, int] | None = None  # the call that hands the callee over, and runs the caller at once

    @property
    def outermost(self) -> FunctionNode:
        """The function from which this call is certainly come to: who hands over a callee knows its grad mode best."""
        return self.caller if self.given is None else self.given[0]

    @property
    def place(self) -> Place:
        """The place of the call."""
        return self.caller.place(self.at)


class Edges:
    """The calls between functions, found when first asked for.

    ``callers`` are the calls of a function: the certain ones, or where there are none those its name suggests.
    ``callees`` are the functions of the project that each call of a function is certainly one of, by place.
    """

    def __init__(self, linker: Linker, bindings: Bindings) -> None:
        self._linker = linker
        self._bindings = bindings
        self.modules = Modules(linker, bindings)
        self.instances = Instances(linker, bindings)
        self.callables = Callables(linker, bindings, self.instances, self.modules)
        self._callbacks = Callbacks(linker, bindings, self.callables.called)
        dependencies = linker.dependencies
        self._has_lambdas: Memo[ModuleNode, bool] = Memo(
            dependencies, lambda module: any(function.facts.is_lambda for function in module.functions), False
        )
        self._edges_of: Memo[FunctionNode, tuple[Edge, ...]] = Memo(
            dependencies, lambda f: tuple(self._edges(f)), (), "edges"
        )
        self.callers: Table[FunctionNode, list[Edge]] = Table(
            dependencies, "callers", self._find_callers, lambda edges: (edge.caller for edge in edges)
        )
        self._possible_callers: Table[FunctionNode, list[FunctionNode]] = Table(
            dependencies, "possible callers", self._find_possible_callers, lambda callers: callers
        )
        self.callees: Table[FunctionNode, dict[int, list[FunctionNode]]] = Table(
            dependencies,
            "callees",
            self._find_callees,
            lambda callees: (f for found in callees.values() for f in found),
        )
        self._certain_callees: Table[FunctionNode, list[FunctionNode]] = Table(
            dependencies, "certain callees", self._find_certain_callees, lambda callees: callees
        )
        self._words_of_training: Table[str, bool] = Table(
            dependencies, "words of training", self._find_words_of_training, lambda _: ()
        )

    @property
    def all(self) -> Iterator[Edge]:
        """Every call of a function of the project, in a stable order."""
        for module in self._linker.modules:
            for function in module.functions:
                yield from self.edges_of(function)

    def edges_of(self, function: FunctionNode) -> tuple[Edge, ...]:
        """The calls that a function makes, and those of what it hands over."""
        return self._edges_of.of(function)

    def _find_callers(self) -> dict[FunctionNode, list[Edge]]:
        certain: dict[FunctionNode, list[Edge]] = defaultdict(list)
        possible: dict[FunctionNode, list[Edge]] = defaultdict(list)
        for edge in self.all:
            (certain if edge.certain else possible)[edge.callee].append(edge)
        for callee, edges in possible.items():
            # One that calls itself, or its override, was called by somebody else first.
            if all(edge.caller.facts.name == callee.facts.name for edge in certain.get(callee, ())):
                certain[callee].extend(edges)
        return certain

    def _find_words_of_training(self) -> dict[str, bool]:
        """All words of functions that call ``backward``, each with whether it is called on something computed there."""
        functions = (function.facts for module in self._linker.modules for function in module.functions)
        training = [facts for facts in functions if not BACKWARD_METHODS.isdisjoint(facts.words)]
        called = (c.method for facts in training for c in facts.calls if c.method and not c.callee)
        words = dict.fromkeys(frozenset[str]().union(*(facts.words for facts in training)), False)
        return words | dict.fromkeys(set(called) - EVERYBODYS, True)

    def _find_possible_callers(self) -> dict[FunctionNode, list[FunctionNode]]:
        """The functions that call a method of that name on something unknown."""
        found: dict[FunctionNode, list[FunctionNode]] = defaultdict(list)
        for edge in self.all:
            if not edge.certain:
                found[edge.callee].append(edge.caller)
        return found

    def may_be_called_in_training(self, function: FunctionNode) -> bool:
        """Whether a training step calls something of this name, on an object we know nothing of."""
        callers = self._possible_callers.get(function, ())
        if any(not BACKWARD_METHODS.isdisjoint(caller.facts.words) for caller in callers):
            return True
        if function.owner is None or (computed := self._words_of_training.get(function.facts.name, None)) is None:
            return False
        # ``state["model"].loss(...)``, ``self.parts[-1].rate(...)``: what is computed has no name to call it by.
        return computed or returns_loss(function)

    def _find_callees(self) -> dict[FunctionNode, dict[int, list[FunctionNode]]]:
        found: dict[FunctionNode, dict[int, list[FunctionNode]]] = defaultdict(lambda: defaultdict(list))
        for edge in self.all:
            if edge.certain and not edge.elsewhere and not edge.handed:
                found[edge.caller][edge.at].append(edge.callee)
        return {caller: {**callees} for caller, callees in found.items()}

    def _find_certain_callees(self) -> dict[FunctionNode, list[FunctionNode]]:
        """The functions each function certainly calls, those handed over to it included."""
        found: dict[FunctionNode, list[FunctionNode]] = defaultdict(list)
        for edge in self.all:
            if edge.certain and not edge.elsewhere:
                found[edge.caller].append(edge.callee)
        return found

    def above(self, *functions: FunctionNode) -> set[FunctionNode]:
        """The functions and all that call one of them, directly or not."""
        return _closure(functions, lambda f: (edge.caller for edge in self.callers.get(f, ())))

    def below(self, functions: Iterable[FunctionNode]) -> set[FunctionNode]:
        """The functions and all that they certainly call, directly or not."""
        outgoing = self._certain_callees
        return _closure(functions, lambda f: outgoing.get(f, ()))

    def certainly_above(self, functions: Iterable[FunctionNode]) -> set[FunctionNode]:
        """The functions and all that certainly call one of them; for what is about all of the project."""
        callers = self.callers.all
        return _closure(functions, lambda f: (e.caller for e in callers.get(f, ()) if e.certain and not e.elsewhere))

    def _edges(self, function: FunctionNode) -> Iterator[Edge]:
        called: dict[str, tuple[tuple[FunctionNode, bool], ...]] = {}  # most names come more than once
        computed = self._computed(function)
        handed: dict[str, FunctionNode | None] = {}
        for call in function.facts.calls:
            if call.callee:
                if call.callee not in called:
                    called[call.callee] = tuple(self.callables.called(function, call.callee))
                for callee, certain in called[call.callee]:
                    if len(self.callables.definitions(callee)) < 2 or _is_the_one(function, call, callee):
                        yield Edge(function, call.at, callee, certain)
            elif call.at in computed:
                for callee in self._called_in_place(function, computed[call.at]):
                    yield Edge(function, call.at, callee)
                if (path := looked_up(computed[call.at].function)) is not None:
                    for callee, certain in self.callables.called(function, path):
                        yield Edge(function, call.at, callee, certain)
            for name in call.handed:
                if name not in handed:
                    handed[name] = self.callables.meant(function, name)
                if (given := handed[name]) is not None:
                    yield from self._edges_of_handed(function, call, name, given)
        if self._has_lambdas.of(function.module):
            for expression in all_of(Lambda, function.facts.body):
                yield Edge(function, expression.at, function.module.functions[expression.function])

    def _computed(self, function: FunctionNode) -> dict[int, Call]:
        """The calls of what has no name and may be the project's: ``TASKS[name](x)``, ``Evaluator(model).run()``."""
        named = self._linker.methods_named
        places = {c.at for c in function.facts.calls if not c.callee and (not c.method or c.method in named)}
        return {call.at: call for call in all_of(Call, function.facts.body) if call.at in places} if places else {}

    def _called_in_place(self, function: FunctionNode, call: Call) -> Iterable[FunctionNode]:
        """What such a call runs: one of a table's functions, or a method of an object that is made for it."""
        match call.function:
            case Call() as made:
                owner, method = made, "__call__"
            case Attribute(value=owner, name=method):
                pass
            case _:
                return self.callables.certainly_called(chosen_by_key(self._bindings, function, call))
        classes = self.instances.made_by(function, owner)
        return dict.fromkeys(found for cls in classes for found in self.callables.methods(cls, method))

    def _edges_of_handed(
        self, function: FunctionNode, call: CallFact, name: str, handed: FunctionNode
    ) -> Iterator[Edge]:
        """Calls of a function that is handed over: from where it is called back, if that can be seen."""
        elsewhere = self.starts_thread(function, call.callee)
        places = self._callbacks.calls_of(function, call, name) or self._calls_of_wrapped(function, call)
        places = places or [(function, call.at)]
        run = {callee for callee, certain in self.callables.called(function, call.callee) if certain}
        for possible in self._in_its_place(handed):
            for where, at in places:
                at_once = where in run and not (where.facts.is_generator or where.facts.is_async)
                given = (function, call.at) if at_once and not elsewhere else None
                yield Edge(where, at, possible, True, elsewhere, handed=True, given=given)

    def _calls_of_wrapped(self, function: FunctionNode, call: CallFact) -> list[tuple[FunctionNode, int]]:
        """``evaluate = partial(run, model)``, ``self.act = torch.compile(self._act)``: where that is called."""
        if call.method not in _WRAPPING:
            return []
        bound = self._bindings.assigned(function).items()
        names = {name for name, values in bound if any(value.at == call.at for value in values)}
        owner = function.owner if any(name.startswith("self.") for name in names) else None
        places = dict.fromkeys((function, *(owner.methods if owner is not None else ())))
        return [(where, other.at) for where in places for other in where.facts.calls if other.callee in names]

    def _in_its_place(self, handed: FunctionNode) -> Iterable[FunctionNode]:
        """A method that is handed over may be a subclass's."""
        return self.callables.methods(handed.owner, handed.facts.name) if handed.owner is not None else (handed,)

    def starts_thread(self, function: FunctionNode, name: str) -> bool:
        """Whether ``name(f)`` runs ``f`` in another thread, where grad mode is on again."""
        owner, _, method = name.rpartition(".")
        if THREAD_STARTERS.search(name):
            return True
        if method not in THREAD_POOL_METHODS or not owner:
            return False
        made = (value.function for _, value in self._bindings.values(function, owner) if isinstance(value, Call))
        return any((dotted(called) or "").rpartition(".")[2] in THREAD_POOLS for called in made)


def _closure(
    functions: Iterable[FunctionNode], following: Callable[[FunctionNode], Iterable[FunctionNode]]
) -> set[FunctionNode]:
    found = set(functions)
    pending = list(found)
    while pending:
        for function in following(pending.pop()):
            if function not in found:
                found.add(function)
                pending.append(function)
    return found


def _is_the_one(caller: FunctionNode, call: CallFact, callee: FunctionNode) -> bool:
    """Whether a module's body, run from top to bottom, means this definition of a name, and not one further down."""
    if not caller.is_module_body or callee.parent is not caller:
        return True
    defined = [s for s in caller.facts.body if isinstance(s, DefineFunction) and s.name == callee.facts.name]
    if len(defined) < 2:
        return True
    before = [s for s in defined if s.at < call.at] or defined[:1]
    return before[-1].function == callee.facts.index or all(s.function != callee.facts.index for s in defined)
