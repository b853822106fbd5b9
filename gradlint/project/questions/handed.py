"""What callers hand over for the parameter that something came in by."""

from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flow import CallEvent
from gradlint.project.running.flows import Flows
from gradlint.project.running.handing_back import runs_module
from gradlint.project.running.values import UNKNOWN, Value

_LONGEST_WAY_UP = 4  # callers of callers


class Handed:
    """Follows parameters to callers."""

    def __init__(self, calls: CallGraph, flows: Flows) -> None:
        self._calls = calls
        self._flows = flows

    def values(self, function: FunctionNode, value: Value, depth: int = 0) -> list[Value]:
        """What the callers hand over for the parameter that a value came in by."""
        name = value.parameter
        if name is None or depth > _LONGEST_WAY_UP:
            return []
        found: list[Value] = []
        for edge in self._calls.callers.get(function, ()):
            given = self._argument(edge, name)
            deeper = self.values(edge.caller, given, depth + 1) if given.training is None else []
            found.extend(deeper or [given])
        return found

    def _argument(self, edge: Edge, name: str) -> Value:
        """What a call hands over; unknown where it is itself handed the function: ``pool.submit(f, x)``."""
        flow = self._flows.flow(edge.caller)
        event = flow.calls.get(edge.at)
        if event is not None and any(argument.value.target is edge.callee for argument in event.arguments):
            return UNKNOWN
        return self._flows.argument(flow, edge.at, name, edge.callee)

    def gives_no_graph(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether what is called came as an argument, and is always a function that hands back no module's result."""
        given = self.values(function, event.callee) if event.callee.parameter != "self" else []
        return bool(given) and all(map(self._is_bare, given))

    def _is_bare(self, value: Value) -> bool:
        if value.kind != "callable" or not isinstance(value.target, FunctionNode):
            return False
        return not runs_module(self._calls, self._flows.flow(value.target))
