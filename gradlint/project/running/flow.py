"""What running a function's body shows: what its names hold, what it calls and changes, and where values go."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from gradlint.model.code import Expression, dotted
from gradlint.model.record import dataclass as frozen
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.scope import is_static
from gradlint.project.running.growth import Growth
from gradlint.project.running.sets import joined
from gradlint.project.running.uses import Use, UseKind
from gradlint.project.running.values import UNKNOWN, Origin, Value, meet

# A method that more classes override: what all of them have in common is next to nothing.
MOST_TARGETS = 12
# What makes a method's own object known to require grad, in ``Flow.known``; no name of a variable is like it.
TRAINABLE = "(unfrozen self)"


@frozen(frozen=True, slots=True)
class Passed:
    """An argument of a call, evaluated."""

    keyword: str | None
    stars: int
    value: Value
    expression: Expression


_KEEPING = frozenset({"retain_graph", "retain_variables", "create_graph"})


@frozen(frozen=True, slots=True)
class CallEvent:
    """A call as it was met. ``forward`` tells that it runs a module; ``in_loop`` that it stands in a loop.

    ``opaque`` tells that nobody knows what it does with its arguments; ``evaluating`` is where some module the
    function holds was put into evaluation mode, if one is in it here.
    """

    at: int
    name: str
    receiver: Value | None
    callee: Value
    arguments: tuple[Passed, ...]
    targets: tuple[FunctionNode, ...]
    result: Value
    forward: bool
    in_loop: bool
    evaluating: tuple[FunctionNode, int] | None = None
    opaque: bool = False

    @property
    def method(self) -> str:
        """The last part of what is called."""
        return self.name.rpartition(".")[2]

    @property
    def keeps_graph(self) -> bool:
        """Whether ``backward()`` is, or may be, told to leave the graph as it is: ``retain_graph=True``."""
        told = (a.value.constant is not False for a in self.arguments if a.keyword in _KEEPING)
        return any(told) or any(argument.stars for argument in self.arguments)

    def names_of(self, value: Value) -> list[str]:
        """The dotted names under which a value is handed over."""
        named = (dotted(argument.expression) for argument in self.arguments if argument.value is value)
        return [name for name in named if name is not None]


@frozen(frozen=True, slots=True)
class AttributeEvent:
    """An attribute that was read, or assigned (``stored``).

    ``fresh``: no ``backward()`` can have run since the owner was made, the first time this place is reached;
    ``unretained``: none since its gradient was retained, if it was.
    ``tested``: this very read asks whether it is None, ``guarded``: it stands behind such a question.
    ``dereferenced``: what was read is used in a way that raises on None.
    """

    at: int
    name: str
    owner: Value
    path: str | None
    stored: Value | None = None
    fresh: bool = False
    unretained: bool = True
    tested: bool = False
    guarded: bool = False
    dereferenced: bool = False


@frozen(frozen=True, slots=True)
class ChangeEvent:
    """A tensor that was changed in place: by ``+=``, by item assignment or by a method such as ``mul_``.

    ``how`` is the operator with its ``=``, ``[]=`` or the method's name; ``owner`` the tensor as it was before;
    ``given`` what is assigned to its items.
    """

    at: int
    how: str
    path: str | None
    owner: Value
    given: Value | None = None


@dataclass(slots=True)
class SideEffects:
    """What calling a function may do to what it is given or can reach; all of it until it was run.

    ``backward``: run ``backward()``. ``retains``: call ``retain_grad()``. ``changes``: change a tensor in place,
    or its flags. ``records``: switch recording on.
    """

    backward: bool = True
    retains: bool = True
    changes: bool = True
    records: bool = True

    def include(self, other: "SideEffects") -> None:
        """Add what a callee may do."""
        self.backward |= other.backward
        self.retains |= other.retains
        self.changes |= other.changes
        self.records |= other.records


@dataclass(slots=True)
class Flow:
    """What running a function's body shows; ``known`` are parameters that are taken to be constants."""

    function: FunctionNode
    known: dict[str, object] = field(default_factory=dict)
    calls: dict[int, CallEvent] = field(default_factory=dict)
    attributes: dict[tuple[int, bool], AttributeEvent] = field(default_factory=dict)
    changes: dict[int, ChangeEvent] = field(default_factory=dict)
    fed: set[int] = field(default_factory=set)  # forwards that are given what they gave before
    growths: dict[int, Growth] = field(default_factory=dict)
    texts: dict[int, tuple[Value, ...]] = field(default_factory=dict)  # what is filled into a text with ``%``
    dicts: dict[int, tuple[tuple[object, Value], ...]] = field(default_factory=dict)  # what is under spelt keys
    views: dict[int, Value] = field(default_factory=dict)  # what is viewed where a view, or a part, is made
    uses: dict[Origin, set[Use]] = field(default_factory=lambda: defaultdict(set))
    env: dict[str, Value] = field(default_factory=dict)
    returns: Value | None = None
    tuples: dict[int, tuple[Value, ...]] = field(default_factory=dict)  # what it gives where it gives so many parts
    effects: SideEffects = field(default_factory=SideEffects)  # its own, less those of ``runs``
    runs: set[FunctionNode] = field(default_factory=set)  # functions of the project it may run
    gradient_at: int | None = None  # where the function takes a derivative by hand
    leaf_at: int | None = None  # where it makes or marks a leaf that requires grad
    derives: bool = False  # it, or something it calls, takes a derivative by hand

    @property
    def walks(self) -> list[CallEvent]:
        """The calls that walk a graph back, by their names."""
        return [event for event in self.calls.values() if event.method in BACKWARD_METHODS]

    def returned(self, value: Value) -> None:
        """Note what a ``return`` or a ``yield`` gives, beside what others do."""
        self.returns = value if self.returns is None else meet(self.returns, value)
        if value.items:
            before = self.tuples.get(len(value.items), value.items)
            self.tuples[len(value.items)] = tuple(map(meet, before, value.items))

    def used(self, origins: Collection[Origin], kind: UseKind, at: int, detail: str = "") -> None:
        """Note a use of everything a value carries."""
        if origins:
            use = Use(kind, at, detail)
            for origin in origins:
                self.uses[origin].add(use)


def is_bound(event: CallEvent, callee: FunctionNode) -> bool:
    """Whether a call passes ``self`` (or ``cls``) by itself."""
    if callee.owner is None:
        return False
    if callee.facts.name == "__init__":
        return event.method != "__init__" or event.name.startswith("super()")
    return not is_static(callee)


def passes_object(event: CallEvent, callee: FunctionNode) -> bool:
    """Whether a call passes ``self`` by itself: to a method, or to an object that is called, ``criterion(x, y)``."""
    return is_bound(event, callee) and (event.receiver is not None or not isinstance(event.callee.target, FunctionNode))


def module_of(event: CallEvent) -> Value:
    """The module that a forward runs."""
    if event.callee.kind == "module" or event.receiver is None:
        return event.callee
    return event.receiver


def matched(arguments: Iterable[Passed], callee: FunctionNode, *, bound: bool) -> dict[str, Value]:
    """Which value each parameter of a function gets; ``bound`` when the first parameter is not passed."""
    positional = [p.name for p in callee.facts.parameters if p.kind == "positional"]
    if bound:
        positional = positional[1:]
    found: dict[str, Value] = {}
    index = 0
    names = {p.name for p in callee.facts.parameters if p.kind in ("positional", "keyword")}
    rest = {p.kind: p.name for p in callee.facts.parameters}
    for argument in _one_by_one(arguments):
        if argument.stars:
            index = len(positional)  # nobody knows how many
        elif argument.keyword in names:
            found[argument.keyword or ""] = argument.value
        elif argument.keyword is None and index < len(positional):
            found[positional[index]] = argument.value
            index += 1
        elif (collecting := rest.get("args" if argument.keyword is None else "kwargs")) is not None:
            others = found.get(collecting, UNKNOWN).origins
            found[collecting] = Value("container", origins=joined(others, argument.value.origins))
    return found


def _one_by_one(arguments: Iterable[Passed]) -> Iterator[Passed]:
    """Arguments, and in the place of ``*transition`` those that it is known to hold."""
    for argument in arguments:
        if argument.stars == 1 and argument.value.items is not None:
            yield from (Passed(None, 0, item, argument.expression) for item in argument.value.items)
        else:
            yield argument
