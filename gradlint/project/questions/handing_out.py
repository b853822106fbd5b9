"""Calls that give back what the function they run has walked, with what is left of its graph."""

from gradlint.model.code import dotted
from gradlint.model.inference_names import INFERENCE_FUNCTION
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking.backwards import backward_names
from gradlint.project.linking.returns import returned
from gradlint.project.questions.keeping import is_detached_before, is_rebound
from gradlint.project.running.conditions import Passed
from gradlint.project.running.flow import Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.spelt import parts
from gradlint.project.running.values import COMPUTED, Origin


class HandingOut:
    """Answers for one project."""

    def __init__(self, calls: CallGraph, flows: Flows, passed: Passed) -> None:
        self._calls = calls
        self._flows = flows
        self._passed = passed

    def computed(self, flow: Flow, origin: Origin) -> bool:
        """Whether a call gives back a loss that the function it runs has walked, with what is left of its graph."""
        event = flow.calls.get(origin.at) if origin.function is flow.function else None
        if event is None or not event.targets:
            return False
        if all(value.tensor != COMPUTED for value in (event.result, *parts(flow, event.result))):
            return False
        return all(not t.facts.words.isdisjoint(BACKWARD_METHODS) for t in event.targets)

    def walked(self, flow: Flow, origin: Origin) -> bool:
        """Whether a call gives back what the function that it runs has walked, if only on one way: ``if train:``."""
        event = flow.calls.get(origin.at) if origin.function is flow.function else None
        if event is None or len(event.targets) != 1 or not self._calls.states_at(flow.function, event.at) & GRAD:
            return False
        (callee,) = event.targets
        names = backward_names(callee, None)
        given = [*returned(callee)]
        if not given or not all(dotted(value) in names for value in given):
            return False
        whole = self._flows.flow(callee)
        if any(is_rebound(whole, None, name, each.at) for each in given if (name := dotted(each)) is not None):
            return False
        if INFERENCE_FUNCTION.search(flow.function.facts.name):
            return False  # what it hands over may be a flag that says so
        known = self._passed.constants_in(flow, event.at, callee)
        inner = self._flows.given(callee, known) if known else self._flows.flow(callee)
        return bool(inner.walks) and not is_detached_before(callee, None, names)
