"""Calls that put what they are given into what outlives them: meters, histories, loggers of the project."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from gradlint.model.code import Attribute, Expression, Name, Subscript
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking import rounds, scope
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.handed import Handed
from gradlint.project.questions.keeping import CONVERTING, adds_to_what_outlives
from gradlint.project.running.flow import MOST_TARGETS, CallEvent, Flow, is_bound, matched
from gradlint.project.running.flows import Flows
from gradlint.project.running.growth import Growth
from gradlint.project.running.instances import class_of_all
from gradlint.project.running.values import Value

_SPREAD = 2  # stars
_DEEPEST = 1  # ``logger.update(loss=loss)``, and the meter that the logger updates


class Put(NamedTuple):
    """What grows by a function's calls, where it is added to, and the parameters of which something is added."""

    inside: FunctionNode
    growth: Growth
    parameters: frozenset[str]


class Putting:
    """Follows what is handed over to where it stays."""

    def __init__(self, calls: CallGraph, flows: Flows, given: Handed) -> None:
        self._calls = calls
        self._flows = flows
        self._given = given

    def by(self, flow: Flow, event: CallEvent) -> Iterator[tuple[Put, tuple[Value, ...]]]:
        """What a call makes grow, each with what is added to it; at most one for each function that it may run."""
        targets = event.targets or self._of_what_callers_hand_over(flow, event)
        for callee in targets if len(targets) <= MOST_TARGETS else ():
            if self._may_put(callee):
                passed = matched(event.arguments, callee, bound=is_bound(event, callee))
                for put in self._puts(callee):
                    yield put, tuple(_handed_for(put.parameters, event, callee, passed))

    def _may_put(self, callee: FunctionNode) -> bool:
        """Whether a function adds what it is given to something as it is."""
        if self._flows.is_running(callee) or not callee.facts.words.isdisjoint(CONVERTING):
            return False
        return adds_to_what_outlives(callee)

    def _puts(self, callee: FunctionNode, depth: int = 0) -> Iterator[Put]:
        flow = self._flows.flow(callee)
        for growth in tuple(flow.growths.values()):
            if growth.outlives:
                yield Put(callee, growth, frozenset(_parameters(callee, growth)))
        for event in tuple(flow.calls.values()) if depth < _DEEPEST else ():
            for inner in event.targets if len(event.targets) <= MOST_TARGETS else ():
                if inner is callee or not _outlives(callee, event) or not self._may_put(inner):
                    continue
                passed = matched(event.arguments, inner, bound=is_bound(event, inner))
                for put in self._puts(inner, depth + 1):
                    handed = _handed_for(put.parameters, event, inner, passed)
                    given = frozenset(name for value in handed for name in _handed_on(callee, event, value))
                    if given:
                        yield put._replace(parameters=given)

    def _of_what_callers_hand_over(self, flow: Flow, event: CallEvent) -> tuple[FunctionNode, ...]:
        """What runs in a loop that calls a method of a parameter, for which all callers hand over one class's."""
        receiver, function = event.receiver, flow.function
        if receiver is None or receiver.parameter is None or not event.arguments:
            return ()
        if event.name != f"{receiver.parameter}.{event.method}" or event.method not in self._flows.linker.methods_named:
            return ()
        if rounds.innermost_loop(function, event.at) is None:
            return ()  # it may be begun anew for each call
        cls = class_of_all(self._given.values(function, receiver))
        return self._calls.callables.methods(cls, event.method) if cls is not None else ()


def _outlives(function: FunctionNode, event: CallEvent) -> bool:
    """Whether a method is called on what the function does not hold itself: ``self.meters[name].update(loss)``."""
    call = scope.call_at(function, event.at)
    root = _root(call.function) if call is not None and isinstance(call.function, Attribute) else None
    return root is not None and (root == "self" or root not in function.facts.local)


def _root(expression: Expression) -> str | None:
    match expression:
        case Attribute(value=inner) | Subscript(value=inner):
            return _root(inner)
        case Name(id=name):
            return name
        case _:
            return None


def _handed_on(function: FunctionNode, event: CallEvent, value: Value) -> Iterator[str]:
    """The parameters of a function that a call in it hands on as they are, or item by item."""
    named = (a.expression.id for a in event.arguments if a.value is value and isinstance(a.expression, Name))
    for name in named:
        if name == value.parameter:
            yield name
        elif name in rounds.loop_names(function, event.at):
            own = [origin.parameter_of(function) for origin in value.origins]
            if None not in own:
                yield from filter(None, own)


def _handed_for(
    names: frozenset[str], event: CallEvent, callee: FunctionNode, passed: Mapping[str, Value]
) -> Iterator[Value]:
    """What a call hands over for some parameters; each of those that ``*args`` and ``**kwargs`` collect."""
    facts = callee.facts.parameters
    collecting = {parameter.name for parameter in facts if parameter.kind in ("args", "kwargs")} & names
    yield from (passed[name] for name in sorted(names & passed.keys() - collecting))
    first = sum(parameter.kind == "positional" for parameter in facts) - is_bound(event, callee)
    plain = [argument for argument in event.arguments if argument.keyword is None]
    named = {parameter.name for parameter in facts}
    for parameter in facts:
        if parameter.name in collecting and parameter.kind == "args":
            yield from (argument.value for argument in plain[first:])
        elif parameter.name in collecting:
            yield from (a.value for a in event.arguments if a.stars == _SPREAD or a.keyword not in (None, *named))


def _parameters(callee: FunctionNode, growth: Growth) -> set[str]:
    """The parameters of a function that it adds, or adds the items of one by one."""
    names = {name for name, _ in growth.names}
    if not names or not names <= rounds.loop_names(callee, growth.at):
        return names
    return {found for origin in growth.added.origins if (found := origin.parameter_of(callee)) is not None}
