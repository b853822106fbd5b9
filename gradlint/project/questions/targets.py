"""Forwards in training steps whose graph is built and thrown away."""

from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.inference import Inference
from gradlint.project.running.flow import CallEvent, Flow, Flows
from gradlint.project.running.uses import IN_VAIN, Use
from gradlint.project.running.values import Origin, Value

_CUTTING = frozenset({"detach", "detach_", "data", "detach().numpy"})
_TRAINING = frozenset({"backward", "manual_backward", "training_step"})
_DEEPEST = 4  # callers of callers


@dataclass(frozen=True, slots=True)
class Detached:
    """A forward that records a graph, and the place where its result is detached."""

    event: CallEvent
    cut: Use


class Targets:
    """Finds what a training step computes and then detaches, always."""

    def __init__(self, calls: CallGraph, flows: Flows, inference: Inference) -> None:
        self._calls = calls
        self._flows = flows
        self._inference = inference

    def detached(self, function: FunctionNode) -> Iterator[Detached]:
        """Such forwards of a function, in order; not those that are no part of the training at all."""
        words = function.facts.words
        if _TRAINING.isdisjoint(words) or words.isdisjoint(("detach", "data", "detach_")):
            return
        flow = self._flows.flow(function)
        if not any(_is_trained(flow, origin) for origin in tuple(flow.uses)):
            return
        others = {forward.event.at for forward in self._inference.wasteful_forwards(function)}
        for event in flow.calls.values():
            if not event.forward or event.at in others or self._calls.states_at(function, event.at) != GRAD:
                continue
            uses = flow.uses.get(Origin(function, event.at), set())
            cut = sorted(use for use in uses if use.detail in _CUTTING)
            only = all(use.kind == "read" or use.detail == IN_VAIN for use in uses)
            if cut and only and not self._is_frozen(function, _module(event)):
                yield Detached(event, cut[0])

    def _is_frozen(self, function: FunctionNode, module: Value, depth: int = 0) -> bool:
        """Whether a module's parameters are frozen: here, or where some caller has it from."""
        if module.frozen:
            return True
        if module.parameter in (None, "self") or depth > _DEEPEST:
            return False
        given = [
            (
                edge.caller,
                self._flows.argument(self._flows.flow(edge.caller), edge.at, module.parameter or "", function),
            )
            for edge in self._calls.callers.get(function, ())
        ]
        return any(self._is_frozen(caller, value, depth + 1) for caller, value in given)


def _is_trained(flow: Flow, origin: Origin) -> bool:
    event = flow.calls.get(origin.at) if origin.function is flow.function else None
    trained = any(use.kind == "trained" and use.detail != IN_VAIN for use in flow.uses[origin])
    return trained and event is not None and event.forward


def _module(event: CallEvent) -> Value:
    if event.callee.kind == "module" or event.receiver is None:
        return event.callee
    return event.receiver
