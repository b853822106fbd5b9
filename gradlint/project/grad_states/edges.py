"""Who calls whom: the calls between functions of the project."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from gradlint.finding import Place
from gradlint.model.code import Call, Constant, DefineFunction, Evaluate, Lambda, Raise, dotted
from gradlint.model.facts import CallFact
from gradlint.model.record import dataclass
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.model.torch_names import (
    THREAD_POOL_METHODS,
    THREAD_POOLS,
    THREAD_STARTERS,
)
from gradlint.model.traverse import all_expressions
from gradlint.project.linking.bindings import Bindings, owner_class
from gradlint.project.linking.callbacks import Callbacks
from gradlint.project.linking.choices import Choice, chosen_by_attribute, chosen_by_key, chosen_by_name
from gradlint.project.linking.dependencies import Memo, Table
from gradlint.project.linking.instances import Instances
from gradlint.project.linking.link import Linker
from gradlint.project.linking.modules import Modules
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.linking.returns import returns_loss
from gradlint.project.linking.views import View

_Variable = tuple[FunctionNode | ClassNode, str]  # whose it is, and its name

# A method called on something unknown may be any method of that name, unless the name is everybody's.
MOST_CANDIDATES = 15
EVERYBODYS = frozenset(
    (
        "forward __call__ __init__ get set add append update step reset close open read write run start stop "
        "save load keys values items copy pop join split format to cuda cpu eval train parameters state_dict "
        "load_state_dict backward item zero_grad size view reshape mean sum max min log print fit transform "
        "call apply register"
    ).split()
)


@dataclass(frozen=True, slots=True)
class Edge:
    """One call. ``certain`` is false where only the method's name says who is called."""

    caller: FunctionNode
    at: int
    callee: FunctionNode
    certain: bool = True
    elsewhere: bool = False  # in another thread: grad mode is on there
    handed: bool = False  # the callee came as an argument: one of perhaps many

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
        self._following: set[_Variable] = set()  # variables that stand for one another
        self._callbacks = Callbacks(linker, bindings, self.called)
        dependencies = linker.dependencies
        self._methods: View[tuple[ClassNode, str], tuple[FunctionNode, ...]] = View(
            dependencies, "methods of classes", lambda key: tuple(self._found_methods(*key)), lambda found: found
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
                yield from self._edges_of.of(function)

    def _find_callers(self) -> dict[FunctionNode, list[Edge]]:
        certain: dict[FunctionNode, list[Edge]] = defaultdict(list)
        possible: dict[FunctionNode, list[Edge]] = defaultdict(list)
        for edge in self.all:
            (certain if edge.certain else possible)[edge.callee].append(edge)
        return {**possible, **certain}

    def _find_words_of_training(self) -> dict[str, bool]:
        """All words of functions that call ``backward``."""
        functions = (function for module in self._linker.modules for function in module.functions)
        training = (f.facts.words for f in functions if not BACKWARD_METHODS.isdisjoint(f.facts.words))
        return dict.fromkeys(frozenset().union(*training), True)

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
        # ``state["model"].loss(...)``: a call of something computed has no name of its own.
        return function.owner is not None and returns_loss(function) and function.facts.name in self._words_of_training

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
        incoming: dict[FunctionNode, list[FunctionNode]] = defaultdict(list)
        for caller, callees in self._certain_callees.all.items():
            for callee in callees:
                incoming[callee].append(caller)
        return _closure(functions, lambda f: incoming.get(f, ()))

    def _edges(self, function: FunctionNode) -> Iterator[Edge]:
        called: dict[str, tuple[tuple[FunctionNode, bool], ...]] = {}  # most names come more than once
        handed: dict[str, FunctionNode | None] = {}
        for call in function.facts.calls:
            if call.callee:
                if call.callee not in called:
                    called[call.callee] = tuple(self.called(function, call.callee))
                for callee, certain in called[call.callee]:
                    if callee.owner is not None or _is_the_one(function, call, callee):
                        yield Edge(function, call.at, callee, certain)
            elif not call.method:
                for callee in self._certainly_called(chosen_by_key(self._bindings, function, call)):
                    yield Edge(function, call.at, callee)
            for name in call.handed:
                if name not in handed:
                    handed[name] = self._meant(function, name)
                if (given := handed[name]) is not None:
                    yield from self._edges_of_handed(function, call, name, given)
        for expression in _lambdas(function):
            yield Edge(function, expression.at, function.module.functions[expression.function])

    def _meant(self, function: FunctionNode, name: str) -> FunctionNode | None:
        """The function that a name means, if it means one."""
        found = self._linker.resolve(function, name) or self._method_of_variable(function, name)
        return found if isinstance(found, FunctionNode) else None

    def _edges_of_handed(
        self, function: FunctionNode, call: CallFact, name: str, handed: FunctionNode
    ) -> Iterator[Edge]:
        """Calls of a function that is handed over: from where it is called back, if that can be seen."""
        elsewhere = self.starts_thread(function, call.callee)
        places = self._callbacks.calls_of(function, call, name) or self._calls_of_partial(function, call)
        places = places or [(function, call.at)]
        for possible in self._in_its_place(handed):
            for where, at in places:
                yield Edge(where, at, possible, True, elsewhere, handed=True)

    def _calls_of_partial(self, function: FunctionNode, call: CallFact) -> list[tuple[FunctionNode, int]]:
        """``evaluate = partial(run, model)``: where ``evaluate`` is called in the same function."""
        if call.method != "partial":
            return []
        bound = self._bindings.assigned(function).items()
        names = {name for name, values in bound if any(value.at == call.at for value in values)}
        return [(function, other.at) for other in function.facts.calls if other.callee in names]

    def _in_its_place(self, handed: FunctionNode) -> Iterable[FunctionNode]:
        """A method that is handed over may be a subclass's."""
        return self.methods(handed.owner, handed.facts.name) if handed.owner is not None else (handed,)

    def starts_thread(self, function: FunctionNode, name: str) -> bool:
        """Whether ``name(f)`` runs ``f`` in another thread, where grad mode is on again."""
        owner, _, method = name.rpartition(".")
        if THREAD_STARTERS.search(name):
            return True
        if method not in THREAD_POOL_METHODS or not owner:
            return False
        made = (value.function for _, value in self._bindings.values(function, owner) if isinstance(value, Call))
        return any((dotted(called) or "").rpartition(".")[2] in THREAD_POOLS for called in made)

    def called(self, function: FunctionNode, name: str) -> Iterator[tuple[FunctionNode, bool]]:
        """The functions that ``name(...)`` may run, each with whether that is certain."""
        owner, _, method = name.rpartition(".")
        if owner == "super()":
            yield from ((callee, True) for callee in self._super_methods(function, method))
            return
        target = self._linker.resolve(function, name)
        if isinstance(target, FunctionNode):
            yield from ((each, True) for each in _alike(target))
        elif isinstance(target, ClassNode):
            if (constructor := self._linker.find_method(target, "__init__")) is not None:
                yield constructor, True
        elif target is None:
            yield from self._called_on_value(function, owner, method, name)

    def _called_on_value(
        self, function: FunctionNode, owner: str, method: str, name: str
    ) -> Iterator[tuple[FunctionNode, bool]]:
        """``value.method()`` through the value's class, or its name; ``value()`` through ``__call__``."""
        if owner:
            instances = self.instances.classes_of(function, owner)
            methods = dict.fromkeys(found for instance in instances for found in self.methods(instance, method))
            methods = methods or dict.fromkeys(found for each in instances for found in self._kept(each, method))
            if methods:
                yield from ((callee, True) for callee in methods)
                return
        if called := self.instances.classes_of(function, name):
            found = dict.fromkeys(method for cls in called for method in self.methods(cls, "__call__"))
            yield from ((callee, True) for callee in found)
        elif chosen := self._chosen(function, name):
            yield from ((callee, True) for callee in chosen)
        elif owner and method not in EVERYBODYS and not method.startswith("__"):
            candidates = self._linker.methods_named.get(method, ())
            if len(candidates) <= MOST_CANDIDATES:
                yield from ((callee, False) for callee in candidates)

    def _chosen(self, function: FunctionNode, name: str) -> list[FunctionNode]:
        """The functions that a variable may stand for: ``search = self.beam if wide else self.greedy``."""
        return self._followed((function, name), chosen_by_name(self._bindings, function, name))

    def _kept(self, cls: ClassNode, name: str) -> list[FunctionNode]:
        """The functions that an object keeps under a name."""
        return self._followed((cls, name), chosen_by_attribute(self._bindings, cls, name))

    def _followed(
        self, variable: tuple[FunctionNode | ClassNode, str], choices: Iterable[Choice]
    ) -> list[FunctionNode]:
        """The functions that a variable may stand for; each variable on the way is followed once."""
        if variable in self._following:
            return []
        is_first = not self._following
        self._following.add(variable)
        try:
            return self._certainly_called(choices)
        finally:
            if is_first:
                self._following.clear()

    def _certainly_called(self, choices: Iterable[Choice]) -> list[FunctionNode]:
        found = (callee for choice in choices for callee, certain in self.called(*choice) if certain)
        return list(dict.fromkeys(found))

    def _super_methods(self, function: FunctionNode, name: str) -> Iterator[FunctionNode]:
        cls = owner_class(function)
        for ancestor in self._linker.ancestors(cls)[1:] if cls is not None else ():
            if isinstance(ancestor, ClassNode) and (method := ancestor.method(name)) is not None:
                yield method
                return

    def methods(self, cls: ClassNode, name: str) -> tuple[FunctionNode, ...]:
        """What ``instance.name()`` may run: the class's method and what its subclasses put in its place."""
        return self._methods.of((cls, name))

    def _found_methods(self, cls: ClassNode, name: str) -> list[FunctionNode]:
        names = (name, "forward") if name == "__call__" and not self._answers_itself(cls) else (name,)
        found: set[FunctionNode] = set()
        for each in names:
            own = self._linker.find_method(cls, each)
            overriding = (self._overriding(sub, cls, each) for sub in self._linker.subclasses.get(cls, ()))
            found.update(method for method in (own, *overriding) if method is not None)
        real = [method for method in found if not is_stub(method)]
        return sorted(real or found, key=lambda method: method.key)

    def _overriding(self, subclass: ClassNode, cls: ClassNode, name: str) -> FunctionNode | None:
        """What a subclass has in the place of a class's method: its own, or that of a base in front (a mixin)."""
        behind = self._linker.ancestors(cls)
        for ancestor in self._linker.ancestors(subclass):
            if ancestor is cls:
                return None
            if isinstance(ancestor, ClassNode) and ancestor not in behind and (method := ancestor.method(name)):
                return method
        return None

    def _answers_itself(self, cls: ClassNode) -> bool:
        """Whether a class has a ``__call__`` of its own, and no module's that goes on to ``forward``."""
        own = self._linker.find_method(cls, "__call__")
        if own is None or not self.modules.is_module_class(cls):
            return own is not None
        return own.facts.words.isdisjoint(("forward", "__call__"))

    def _method_of_variable(self, function: FunctionNode, name: str) -> FunctionNode | None:
        owner, _, method = name.rpartition(".")
        cls = self.instances.class_of(function, owner) if owner else None
        return self._linker.find_method(cls, method) if cls is not None else None


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


def _alike(function: FunctionNode) -> Sequence[FunctionNode]:
    """All definitions of a function's name in its place: cells of a notebook define it again and again."""
    if function.owner is not None:
        return (function,)
    name, parent = function.facts.name, function.facts.parent
    others = (f for f in function.module.functions if f.facts.name == name and f.facts.parent == parent)
    return [other for other in others if other.owner is None]


def _is_the_one(caller: FunctionNode, call: CallFact, callee: FunctionNode) -> bool:
    """Whether a module's body, run from top to bottom, means this definition of a name, and not one further down."""
    if not caller.is_module_body or callee.parent is not caller:
        return True
    defined = [s for s in caller.facts.body if isinstance(s, DefineFunction) and s.name == callee.facts.name]
    if len(defined) < 2:
        return True
    before = [s for s in defined if s.at < call.at] or defined[:1]
    return before[-1].function == callee.facts.index or all(s.function != callee.facts.index for s in defined)


def is_stub(function: FunctionNode) -> bool:
    """Whether a function only says that somebody else defines it: ``pass``, ``...``, ``raise NotImplementedError``."""
    return all(
        isinstance(each, Raise) or (isinstance(each, Evaluate) and isinstance(each.value, Constant))
        for each in function.facts.body
    )


def _lambdas(function: FunctionNode) -> Iterator[Lambda]:
    if not any(other.facts.is_lambda for other in function.module.functions):
        return
    for expression in all_expressions(function.facts.body):
        if isinstance(expression, Lambda):
            yield expression
