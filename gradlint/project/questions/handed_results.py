"""What a model gives that callers hand over, part by part: ``loss, rest = model(x)``."""

from collections.abc import Iterator, Sequence, Set

from gradlint.model.code import Assign, Display, dotted
from gradlint.model.traverse import binds, statements
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.questions.handed import Handed
from gradlint.project.running.flow import Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.recording import given_in_training
from gradlint.project.running.values import COMPUTED, Origin, Value


class HandedResults:
    """Tells by the classes of the models: in the function that runs one nothing is known of it."""

    def __init__(self, calls: CallGraph, flows: Flows, handed: Handed) -> None:
        self._calls = calls
        self._flows = flows
        self._handed = handed

    def show_graph(self, flow: Flow, names: Set[str], forwards: Sequence[Origin]) -> bool:
        """Whether a name is one part of what a forward gives, and has a graph whichever model callers hand over."""
        return any(
            self._has_graph(flow, origin.at, *place)
            for origin in forwards
            for name in sorted(names)
            for place in _places(flow.function, name, origin.at)
        )

    def _has_graph(self, flow: Flow, at: int, number: int, size: int) -> bool:
        event = flow.calls.get(at)
        models = self._handed.values(flow.function, event.callee) if event is not None else []
        return bool(models) and all(self._gives_graph(model, number, size) for model in models)

    def _gives_graph(self, model: Value, number: int, size: int) -> bool:
        """Whether the ``forward`` of a model's class spells out so many parts, and computes this one of parameters."""
        cls = model.target
        if model.frozen is True or not isinstance(cls, ClassNode):
            return False
        returned = given_in_training(self._flows, cls, self._calls.callables.methods(cls, "__call__"))
        parts = returned.items if returned is not None else None
        return parts is not None and len(parts) == size and parts[number].tensor == COMPUTED


def _places(function: FunctionNode, name: str, at: int) -> Iterator[tuple[int, int]]:
    """Where in a tuple a name stands that is given the result of a call, and nothing else, and how long that is."""
    binding = [s for s in statements(function.facts.body) if isinstance(s, Assign) and binds(s, name)]
    for statement in binding if len(binding) == 1 and binding[0].value.at == at else ():
        for target in statement.targets:
            if isinstance(target, Display):
                yield from ((n, len(target.items)) for n, item in enumerate(target.items) if dotted(item) == name)
