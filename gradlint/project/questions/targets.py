"""Forwards in training steps whose graph is built and thrown away."""

from collections.abc import Iterator

from gradlint.model.record import answer
from gradlint.model.torch_calls import FLAGS
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking import scope
from gradlint.project.linking.frameworks import is_walked_by_framework
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.flagging import LISTING, TEACHER, Flagging, is_toggled
from gradlint.project.questions.inference import Inference
from gradlint.project.running.flow import CallEvent, Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.uses import IN_VAIN, Use
from gradlint.project.running.values import Origin

_CUTTING = frozenset({"detach", "detach_", "data", "detach().numpy"})
_TRAINING = frozenset({"backward", "manual_backward", "training_step"})
_DEEPEST = 4  # callers of callers


@answer
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
        self._flagging = Flagging(calls, flows)

    def detached(self, function: FunctionNode) -> Iterator[Detached]:
        """Such forwards of a function, in order; not those that are no part of the training at all."""
        words = function.facts.words
        if words.isdisjoint(("detach", "data", "detach_")) or function.is_test:
            return  # a test compares what it computes; what that costs is nobody's concern
        inside = self._calls.modules.is_forward(function) or is_walked_by_framework(self._flows.linker, function)
        if _TRAINING.isdisjoint(words) and not inside:
            return
        flow = self._flows.flow(function)
        trained = any(_is_trained(flow, origin, returned=inside) for origin in tuple(flow.uses))
        if not trained and not any(TEACHER.search(call.callee) for call in function.facts.calls):
            return
        others = {forward.event.at for forward in self._inference.wasteful_forwards(function)}
        alone = scope.standing_alone(function)
        for event in flow.calls.values():
            if not event.forward or event.at in others or self._calls.states_at(function, event.at) != GRAD:
                continue
            if any(map(self._inference.is_reported, event.targets)):
                continue  # one cause, one finding
            if not trained and not TEACHER.search(event.name):
                continue  # what is trained may come out of a storage; then the name must tell
            uses = flow.uses.get(Origin(function, event.at), set())
            lost = {use for use in uses if use.detail == "detach" and use.at in alone}  # it changes nothing
            cut = sorted(use for use in uses - lost if use.detail in _CUTTING)
            only = all(use.kind == "read" or use.detail == IN_VAIN for use in uses)
            if not (cut and only) or self._flagging.is_frozen(function, event) or is_toggled(function, event.at):
                continue
            if self._inference.takes_derivatives(function, event):
                continue
            if not inside or not (self._flagging.is_listed(event.name) or self._is_flagged_around(function)):
                yield Detached(event, cut[0])

    def _is_flagged_around(self, forward: FunctionNode) -> bool:
        """Whether who makes the module that a ``forward`` is of, or what holds it, sets flags of all sorts of parts."""
        level = {forward.owner.method("__init__")} if forward.owner is not None else set()
        for _ in range(_DEEPEST):
            makers = {edge.caller for each in level if each is not None for edge in self._calls.callers.get(each, ())}
            if any(not FLAGS.isdisjoint(maker.facts.words) and _lists(maker) for maker in makers):
                return True
            level = {maker for maker in makers if maker.facts.name == "__init__"}
        return False


def _lists(function: FunctionNode) -> bool:
    return any(LISTING.search(call.callee) for call in function.facts.calls)


def _is_trained(flow: Flow, origin: Origin, *, returned: bool) -> bool:
    event = flow.calls.get(origin.at) if origin.function is flow.function else None
    kinds = ("trained", "returned") if returned else ("trained",)
    trained = any(use.kind in kinds and use.detail != IN_VAIN for use in flow.uses[origin])
    return trained and event is not None and event.forward
