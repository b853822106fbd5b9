"""Tensors made under ``inference_mode()``, and what is done with them outside of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gradlint.model.torch_calls import LOSS_LIKE
from gradlint.project.calls import CallGraph
from gradlint.project.effects import GRAD, INFERENCE, apply
from gradlint.project.flow import CallEvent, Flow, Flows
from gradlint.project.nodes import FunctionNode
from gradlint.project.values import COMPUTED, Value

_WORDS = frozenset({"backward", "manual_backward", "requires_grad_", "requires_grad", "Parameter"})


@dataclass(frozen=True, slots=True)
class Misuse:
    """An inference tensor is used where it cannot be: ``how`` it raises, and where it was made."""

    at: int
    how: Literal["changed", "flagged", "parameter", "saved"]
    name: str | None
    made_at: int


class InferenceTensors:
    """Finds them where the function itself, or the one that gives them to it, holds the mode."""

    def __init__(self, calls: CallGraph, flows: Flows) -> None:
        self._calls = calls
        self._flows = flows

    def misuses(self, function: FunctionNode) -> Iterator[Misuse]:
        """The misuses in a function; one that is itself called under ``inference_mode()`` has none."""
        words = function.facts.words
        if _WORDS.isdisjoint(words) and not any(word.endswith("_") for word in words):
            return
        flow = self._flows.flow(function)
        for change in tuple(flow.changes.values()):
            if self._is_inference(flow, change.owner) and self._is_outside(function, change.at):
                yield Misuse(change.at, "changed", change.path, change.owner.made_at or 0)
        for stored in tuple(flow.attributes.values()):
            if (
                stored.name == "requires_grad"
                and stored.stored is not None
                and stored.stored.constant is True
                and self._is_inference(flow, stored.owner)
                and self._is_outside(function, stored.at)
            ):
                name = (stored.path or "").removesuffix(".requires_grad") or None
                yield Misuse(stored.at, "flagged", name, stored.owner.made_at or 0)
        for event in tuple(flow.calls.values()):
            yield from self._misused(flow, event)

    def _misused(self, flow: Flow, event: CallEvent) -> Iterator[Misuse]:
        if not self._is_outside(flow.function, event.at):
            return
        owner = event.receiver
        if event.method == "requires_grad_" and owner is not None and self._is_inference(flow, owner):
            if not any(argument.value.constant is False for argument in event.arguments):
                yield Misuse(event.at, "flagged", event.name.rpartition(".")[0], owner.made_at or 0)
            return
        given = [argument.value for argument in event.arguments if self._is_inference(flow, argument.value)]
        if not given:
            return
        if event.method == "Parameter":
            yield Misuse(event.at, "parameter", None, given[0].made_at or 0)
        elif self._is_trained(flow, event) and self._calls.states_at(flow.function, event.at) == GRAD:
            yield Misuse(event.at, "saved", event.name, given[0].made_at or 0)

    def _is_trained(self, flow: Flow, event: CallEvent) -> bool:
        """Whether a forward, or a loss of one, is walked by ``backward()``: then it saved what it was given."""
        if not event.result.tensor & COMPUTED or not (event.forward or LOSS_LIKE.search(event.name)):
            return False
        own = {o.at for o in event.result.origins if o.at == event.at} if event.forward else None
        for origin in event.result.origins:
            source = flow.calls.get(origin.at) if origin.function is flow.function else None
            live = source is not None and source.forward and source.result.tensor & COMPUTED
            if live and (own is None or origin.at in own) and self._walked(flow, origin.at, event):
                return True
        return False

    def _walked(self, flow: Flow, at: int, event: CallEvent) -> bool:
        uses = (use for origin, found in flow.uses.items() if origin.at == at for use in found)
        return any(use.kind == "trained" and use.detail != "in vain" and use.at > event.at for use in uses)

    def _is_inference(self, flow: Flow, value: Value) -> bool:
        if value.made_at is None or not value.own_memory or not value.is_tensor:
            return False
        if self.made_under(flow.function, value.made_at):
            return True
        event = flow.calls.get(value.made_at)
        if event is None or not event.targets or event.result.made_at != value.made_at:
            return False
        return all(self._gives_inference(target) for target in event.targets)

    def _gives_inference(self, callee: FunctionNode) -> bool:
        if self._flows.is_running(callee) or not self.made_under(callee, callee.facts.at):
            return False
        returned = self._flows.flow(callee).returns
        return returned is not None and bool(returned.own_memory)

    def made_under(self, function: FunctionNode, at: int) -> bool:
        """Whether what a function makes at a place is made under ``inference_mode()``, by its own guard."""
        return apply(self._calls.effect_at(function, at), GRAD) == INFERENCE

    def _is_outside(self, function: FunctionNode, at: int) -> bool:
        return not self._calls.states_at(function, at) & INFERENCE
