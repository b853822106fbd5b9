"""The phases of a function that trains and evaluates: ``for phase in ("train", "val")``, ``epoch(x, train=False)``.

A phase that evaluates is what some names of the function hold then. The function's flow with these names known
leaves out what trains.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gradlint.finding import Place
from gradlint.model.code import Attribute, Call, Constant, Display, Expression, For, Name, Operation, dotted
from gradlint.model.record import answer
from gradlint.model.traverse import all_expressions, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking import scope
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.conditions import Passed, completed
from gradlint.project.running.flow import Flow, is_bound, matched
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import NO_CONSTANT

_COMPARED = frozenset({"==", "!=", "in", "not in"})
_FURTHEST = 1  # callers of callers
_MOST = 12  # phases of a caller that are tried
_TRAINING = re.compile(r"^(tr|trn|fit|train\w*|learn\w*)$", re.I)
_EVALUATION = re.compile(r"^(val|valid\w*|eval\w*|test\w*|dev|inference|holdout)$", re.I)
# What flags are called that say whether a function trains.
TRAINS = re.compile(r"(^|_)(train|training|learn|learning|update|backprop)$", re.I)
_EVALUATES = re.compile(r"(^|_)(val|valid|validate|validation|eval|evaluate|evaluation|test|testing|inference)$", re.I)


@answer
class Phase:
    """What names hold while a function evaluates.

    ``caller`` is the call that says so, ``place`` that, or the loop over the phases, of which ``places`` are the body;
    ``message`` tells it, and ``trains`` is a condition, as code, that holds only where the function trains.
    """

    known: Mapping[str, object]
    place: Place
    message: str
    caller: Edge | None = None
    places: frozenset[int] = frozenset()
    trains: str = ""


@answer
class _Round:
    """What a loop over phases gives a name, round after round; nothing if that is not seen."""

    name: str
    values: tuple[object, ...]


class Phases:
    """Answers for one project."""

    def __init__(self, bindings: Bindings, calls: CallGraph, flows: Flows) -> None:
        self._bindings = bindings
        self._calls = calls
        self._flows = flows
        self._passed = Passed(flows, bindings)

    def of(self, function: FunctionNode) -> Iterator[Phase]:
        """The phases in which a function may evaluate: those that its callers choose, and those of its own loops."""
        yield from self._handed(function, _FURTHEST)
        yield from self._looped(function)

    def _handed(self, function: FunctionNode, further: int) -> Iterator[Phase]:
        """What calls with grad on fix of a function's parameters."""
        for edge in self._calls.callers.get(function, ()):
            if edge.caller.is_test and not function.is_test:
                continue  # it may call it as nobody else does
            if self._calls.states_of_edge(edge) != GRAD:
                continue
            for flow in self._flows_of(edge, further):
                if known := self._passed.constants_in(flow, edge.at, function) | _evaluated(flow, edge):
                    known = completed(function, known, self._bindings)
                    yield Phase(known, edge.place, "called like this, it leaves out what trains", edge)

    def _flows_of(self, edge: Edge, further: int) -> Iterator[Flow]:
        """The flows of a caller: the whole one, and those of its phases if what it hands over depends on them."""
        whole = self._flows.flow(edge.caller)
        yield whole
        event = whole.calls.get(edge.at)
        handed = {dotted(part) for given in event.arguments for part in within(given.expression)} if event else {None}
        if further and handed - {None}:
            phases = (*self._handed(edge.caller, further - 1), *self._looped(edge.caller))
            for phase in [phase for phase in phases if not handed.isdisjoint(phase.known)][:_MOST]:
                yield self._flows.given(edge.caller, dict(phase.known))

    # The loops of a function

    def _looped(self, function: FunctionNode) -> Iterator[Phase]:
        """The phases of a function's own loops that do not train."""
        loops = [s for s in statements(function.facts.body) if isinstance(s, For)]
        rounds = [(loop, each) for loop in loops for each in self._rounds(function, loop.target, loop.iterable)]
        bound = [part.id for loop in loops for part in within(loop.target) if isinstance(part, Name)]
        for loop, each in rounds:
            if bound.count(each.name) == 1 and each.name not in self._bindings.assigned(function):
                yield from self._phases_of(function, loop, each)

    def _phases_of(self, function: FunctionNode, loop: For, each: _Round) -> Iterator[Phase]:
        training, evaluating = _divided(each.name, each.values or tuple(_compared(function, each.name)))
        if not training:
            return
        if not evaluating and not each.values:
            evaluating = ["val"]  # whatever there is besides training is not that
        trains = each.name if training[0] is True else f"{each.name} == {training[0]!r}".replace("'", '"')
        trains = f"not {each.name}" if training[0] is False else trains
        places = frozenset(scope.places_of(loop.body))
        for value in evaluating:
            known = completed(function, {**self._constants(function), each.name: value}, self._bindings)
            message = "in a round of this loop that evaluates, nothing is trained"
            yield Phase(known, function.place(loop.at), message, places=places, trains=trains)

    def _rounds(self, where: FunctionNode, target: Expression, iterable: Expression) -> Iterator[_Round]:
        """The names that a loop binds, with what is known of their values."""
        match iterable:
            case Call(function=Name(id="enumerate"), arguments=(first, *_)):
                if isinstance(target, Display) and len(target.items) == 2:
                    yield from self._rounds(where, target.items[1], first.value)
            case Call(function=Name(id="zip"), arguments=arguments):
                if isinstance(target, Display) and len(target.items) == len(arguments):
                    for item, argument in zip(target.items, arguments, strict=True):
                        yield from self._rounds(where, item, argument.value)
            case Call(function=Attribute(value=owner, name="items"), arguments=()):
                if isinstance(target, Display) and target.items:
                    yield from self._rounds(where, target.items[0], owner)
            case Call(function=Attribute(value=owner, name="keys"), arguments=()):
                yield from self._rounds(where, target, owner)
            case Call(arguments=(first, *_)):
                yield from self._rounds(where, target, first.value)  # ``tqdm(phases)``
            case Display(kind="dict", keys=keys):
                yield from self._column(where, target, keys)
            case Display(items=items):
                yield from self._column(where, target, items)
            case Name() | Attribute():
                yield from self._named_rounds(where, target, iterable)
            case _:
                pass

    def _named_rounds(self, where: FunctionNode, target: Expression, iterable: Expression) -> Iterator[_Round]:
        values = self._bindings.values(where, dotted(iterable) or "")
        if len(values) == 1 and isinstance(values[0][1], Display):
            yield from self._rounds(values[0][0], target, values[0][1])
        elif isinstance(target, Name):
            yield _Round(target.id, ())

    def _column(self, where: FunctionNode, target: Expression, items: Sequence[Expression | None]) -> Iterator[_Round]:
        """What the items of a display give to a name, or to the names of a tuple."""
        if isinstance(target, Name):
            values = tuple(self._constant(where, item) for item in items)
            if values and NO_CONSTANT not in values:
                yield _Round(target.id, values)
        elif isinstance(target, Display):
            rows = [row.items for row in items if isinstance(row, Display) and len(row.items) == len(target.items)]
            for index, item in enumerate(target.items if rows and len(rows) == len(items) else ()):
                yield from self._column(where, item, [row[index] for row in rows])

    def _constant(self, where: FunctionNode, item: Expression | None) -> object:
        """A constant, or that which a name of the module stands for: ``TRAIN = "train"``."""
        if isinstance(item, Name) and item.id not in where.facts.local:
            item = _only(value for _, value in self._bindings.values(where, item.id))
        return item.value if isinstance(item, Constant) else NO_CONSTANT

    def _constants(self, function: FunctionNode) -> dict[str, object]:
        """The module's names for constants that a function compares something with."""
        asked = (
            e for e in all_expressions(function.facts.body) if isinstance(e, Operation) and e.operator in _COMPARED
        )
        names = {each.id: each for operation in asked for each in operation.operands if isinstance(each, Name)}
        found = {name: self._constant(function, each) for name, each in names.items()}
        return {name: value for name, value in found.items() if value is not NO_CONSTANT}


def _evaluated(caller: Flow, edge: Edge) -> dict[str, object]:
    """The modules that a call hands over in evaluation mode, if the callee asks in which mode they are."""
    event, callee = caller.calls.get(edge.at), edge.callee
    if event is None or "training" not in callee.facts.words or not callee.facts.words.isdisjoint(("train", "eval")):
        return {}
    handed = matched(event.arguments, callee, bound=is_bound(event, callee))
    modules = (name for name, value in handed.items() if value.kind == "module" and value.training is False)
    return {f"{name}.training": False for name in modules}


def _only(found: Iterator[Expression]) -> Expression | None:
    """The one there is, if there is one and no other."""
    first = next(found, None)
    return first if next(found, None) is None else None


def _compared(function: FunctionNode, name: str) -> Iterator[object]:
    """The constants that a name is compared with anywhere in a function."""
    for expression in all_expressions(function.facts.body):
        match expression:
            case Operation(operator="==" | "!=", operands=(Name(id=asked), Constant(value=value))) if asked == name:
                yield value
            case _:
                pass


def _divided(name: str, values: Iterable[object]) -> tuple[list[object], list[object]]:
    """Those of some values that stand for training, and those that stand for evaluation."""
    training: list[object] = []
    evaluating: list[object] = []
    for value in dict.fromkeys(values):
        trains = _is_training(name, value)
        if trains is not None:
            (training if trains else evaluating).append(value)
    return training, evaluating


def _is_training(name: str, value: object) -> bool | None:
    """Whether a phase trains, by its name; None where that does not say."""
    if isinstance(value, str):
        return True if _TRAINING.search(value) else False if _EVALUATION.search(value) else None
    if not isinstance(value, bool):
        return None
    return value if TRAINS.search(name) else not value if _EVALUATES.search(name) else None
