"""What a function returns under a name, and its callers run ``backward()`` on."""

from collections.abc import Iterator

from gradlint.model.code import Assign, Display, Expression, Name, dotted
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.model.traverse import statements
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.returns import returned
from gradlint.project.questions.keeping import walked_names

UNNAMED = ""  # stands for what a function returns as it computes it


def walked_by_callers(calls: CallGraph, function: FunctionNode) -> set[str]:
    """The names in a function of what a caller runs ``backward()`` on; ``UNNAMED`` among them if it has none."""
    callers = (edge for edge in calls.callers.get(function, ()) if edge.certain)
    return {name for edge in callers for name in _walked_by(edge.caller, edge.at, function)}


def _walked_by(caller: FunctionNode, at: int, function: FunctionNode) -> set[str]:
    if caller.facts.words.isdisjoint(BACKWARD_METHODS):
        return set()
    walked = walked_names(caller, None)
    targets = [s.targets[0] for s in statements(caller.facts.body) if isinstance(s, Assign) and s.value.at == at]
    pairs = (pair for target in targets for value in returned(function) for pair in _taken(target, value))
    return {inside for outside, inside in pairs if outside in walked}


def _taken(target: Expression, value: Expression) -> Iterator[tuple[str, str]]:
    """The names of a caller with those of the function that they get the values of."""
    match target, value:
        case Display(items=names), Display(items=values, kind="tuple") if len(names) == len(values):
            for name, each in zip(names, values, strict=True):
                yield from _taken(name, each)
        case Name(id=outside), _:
            yield outside, dotted(value) or UNNAMED
        case _:
            pass
