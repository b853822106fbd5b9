"""What a model gives that callers hand over, part by part: ``loss, rest = model(x)``."""

from collections.abc import Iterator, Sequence, Set

from gradlint.model.code import Assign, Display, dotted
from gradlint.model.traverse import binds, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.nodes import ClassNode, FunctionNode
from gradlint.project.questions.handed import Handed
from gradlint.project.running.flow import Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.recording import run_in_training
from gradlint.project.running.values import ANY, COMPUTED, PLAIN, Origin, Value


class HandedResults:
    """Tells by the classes of the models: in the function that runs one nothing is known of it."""

    def __init__(self, calls: CallGraph, flows: Flows, handed: Handed) -> None:
        self._calls = calls
        self._flows = flows
        self._handed = handed

    def show_graph(self, flow: Flow, names: Set[str], forwards: Sequence[Origin]) -> bool:
        """Whether a name is one part of what a forward gives, and has a graph whichever model callers hand over."""
        return any(given == {COMPUTED} for given in self._given(flow, names, forwards))

    def show_none(self, flow: Flow, names: Set[str], forwards: Sequence[Origin]) -> bool:
        """Whether such a part has none, whichever model it is: what is made of it has none, either."""
        return any(given == {PLAIN} for given in self._given(flow, {_owner(name) for name in names}, forwards))

    def _given(self, flow: Flow, names: Set[str], forwards: Sequence[Origin]) -> Iterator[set[int]]:
        """What the models that callers hand over give under each name, if it is one part of what a forward gives."""
        for origin in forwards:
            event = flow.calls.get(origin.at)
            places = [place for name in sorted(names) for place in _places(flow.function, name, origin.at)]
            models = self._handed.values(flow.function, event.callee) if places and event is not None else []
            yield from ({self._part(model, *place) for model in models} for place in places)

    def _part(self, model: Value, number: int, size: int) -> int:
        """What one of the so many parts that the ``forward`` of a model's class spells out is to autograd."""
        cls = model.target
        if model.frozen is True or not isinstance(cls, ClassNode):
            return ANY
        flow = run_in_training(self._flows, cls, self._calls.callables.methods(cls, "__call__"))
        parts = flow.tuples.get(size) if flow is not None else None
        return parts[number].tensor if parts is not None else ANY


def _owner(name: str) -> str:
    """What ``parts[0]`` is one of."""
    return name.partition("[")[0]


def _places(function: FunctionNode, name: str, at: int) -> Iterator[tuple[int, int]]:
    """Where a name stands in a tuple that a call gives, and how long that is; it may be made anew of itself later."""
    bound = (s for s in statements(function.facts.body) if isinstance(s, Assign) and binds(s, name))
    binding = [s for s in bound if all(dotted(part) != name for part in within(s.value))]
    for statement in binding if len(binding) == 1 and binding[0].value.at == at else ():
        for target in statement.targets:
            if isinstance(target, Display):
                yield from ((n, len(target.items)) for n, item in enumerate(target.items) if dotted(item) == name)
