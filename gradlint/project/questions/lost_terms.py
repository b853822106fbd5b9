"""Terms of what ``backward()`` walks that have no graph, though they are computed from what is trained."""

from collections.abc import Iterator

from gradlint.model.code import Attribute, Call, Constant, Expression, Name, Operation, dotted
from gradlint.model.record import answer
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD, UNSURE, apply
from gradlint.project.linking import scope
from gradlint.project.linking.backwards import walked_expressions
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flow import CallEvent, Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Origin

_RECORDING = GRAD | UNSURE


@answer
class LostTerm:
    """A call that gives a term of a loss; ``guard`` is the decorated function that it runs."""

    at: int
    name: str
    guard: FunctionNode


class LostTerms:
    """Finds them where the sum is walked in the function that makes the call."""

    def __init__(self, calls: CallGraph, flows: Flows) -> None:
        self._calls = calls
        self._flows = flows

    def of(self, function: FunctionNode) -> Iterator[LostTerm]:
        """The calls of decorated functions that are given what is trained, and whose result is added to a loss."""
        if function.facts.words.isdisjoint(BACKWARD_METHODS) or function.is_test:
            return
        sums = [each for each in walked_expressions(function, None) if _is_sum(each)]
        flow = self._flows.flow(function) if sums else None
        places = {call.at for each in sums for call in _terms(function, each)}
        for at in sorted(places):
            event = flow.calls.get(at) if flow is not None else None
            guard = self._guard(event) if event is not None else None
            if flow is None or event is None or guard is None or self._calls.states_at(function, at) != GRAD:
                continue
            if any(_is_trained(flow, o) for argument in event.arguments for o in argument.value.origins):
                yield LostTerm(at, event.name, guard)

    def _guard(self, event: CallEvent) -> FunctionNode | None:
        """What a call runs, if that is one function under a guard of its own, as a decorator is."""
        only = event.targets[0] if len(event.targets) == 1 else None
        if only is None or apply(self._calls.effect_at(only, only.facts.at), GRAD) & _RECORDING:
            return None
        return only


def _is_sum(walked: Expression) -> bool:
    return isinstance(walked, Operation) and walked.operator in ("+", "-")


def _terms(function: FunctionNode, expression: Expression) -> Iterator[Call]:
    """The calls that give what is summed up, weighted or not, in place or by a name that is assigned once."""
    match expression:
        case Call():
            yield expression
        case Operation(operator="+" | "-", operands=operands):
            for operand in operands:
                yield from _terms(function, operand)
        case Operation(operator="*", operands=(weight, term) | (term, weight)) if _is_weight(function, weight):
            yield from _terms(function, term)
        case Name(id=name):
            given = [value for assigned, value in scope.assigned(function) if assigned == name]
            yield from (value for value in given if len(given) == 1 and isinstance(value, Call))
        case _:
            pass


def _is_weight(function: FunctionNode, factor: Expression) -> bool:
    """Whether a factor is a number that is spelt out, or comes from elsewhere: ``0.1``, ``self.weight``, ``alpha``."""
    if isinstance(factor, Name):
        return all(name != factor.id for name, _ in scope.assigned(function))
    return isinstance(factor, Constant) or (isinstance(factor, Attribute) and dotted(factor) is not None)


def _is_trained(flow: Flow, origin: Origin) -> bool:
    """Whether it is a forward of the function, on whose result ``backward()`` runs."""
    event = flow.calls.get(origin.at) if origin.function is flow.function else None
    trained = any(use.kind == "trained" for use in flow.uses.get(origin, ()))
    return trained and event is not None and event.forward
