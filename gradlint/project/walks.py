"""Graphs that ``backward()`` walks a second time."""

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.project import scope
from gradlint.project.flow import CallEvent, Flow, Flows
from gradlint.project.nodes import FunctionNode
from gradlint.project.values import COMPUTED, Value


@dataclass(frozen=True, slots=True)
class SecondWalk:
    """A ``backward()`` that meets part of a graph which another one, or itself in an earlier round, has walked.

    ``first`` is None where it is itself, ``at`` is then where the round before comes in. ``kept`` tells that the first
    walk was asked to keep the graph.
    """

    event: CallEvent
    first: CallEvent | None
    at: int
    kept: bool


class Walks:
    """Finds them; a flow gives what was walked an origin at the walk."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows

    def second(self, function: FunctionNode) -> Iterator[SecondWalk]:
        """The second walks in a function, in order."""
        if function.facts.words.isdisjoint(BACKWARD_METHODS):
            return
        flow = self._flows.flow(function)
        for event in flow.calls.values():
            if event.method not in BACKWARD_METHODS:
                continue
            met = [event.receiver, *(argument.value for argument in event.arguments)]
            origins = {o for value in met if value is not None and value.tensor & COMPUTED for o in value.origins}
            places = sorted(origin.at for origin in origins if origin.function is function)
            firsts = (flow.calls[at] for at in places if at in flow.calls and at != event.at)
            first = next((each for each in firsts if each.method in BACKWARD_METHODS), None)
            carried = next((at for at in places if _is_carried(flow, event, at)), None)
            if first is not None:
                yield SecondWalk(event, first, first.at, _keeps(first))
            elif carried is not None:
                yield SecondWalk(event, None, carried, _keeps(event))


def _is_carried(flow: Flow, event: CallEvent, at: int) -> bool:
    """Whether a place brings the graph of the round before into the graph that ``backward()`` walks in every round."""
    if at not in flow.fed and not (at in flow.growths and _has_forward(flow, flow.growths[at].added)):
        return False
    loop = scope.innermost_loop(flow.function, event.at)
    return (
        loop is not None
        and loop == scope.innermost_loop(flow.function, at)
        and scope.in_each_round(flow.function, event.at)
    )


def _has_forward(flow: Flow, value: Value) -> bool:
    events = (flow.calls.get(origin.at) for origin in value.origins if origin.function is flow.function)
    return any(event is not None and event.forward for event in events)


def _keeps(event: CallEvent) -> bool:
    wanted = (a.value.constant is not False for a in event.arguments if a.keyword in ("retain_graph", "create_graph"))
    return any(wanted) or any(argument.stars for argument in event.arguments)
