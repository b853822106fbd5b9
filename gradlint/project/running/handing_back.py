"""Whether a function hands back what a module gave it, graph and all."""

from gradlint.model.torch_calls import TRAINING_WORDS
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD, apply
from gradlint.project.running.flow import Flow
from gradlint.project.running.values import Origin


def runs_module(calls: CallGraph, flow: Flow) -> bool:
    """Whether a function, called with grad on, runs a forward unguarded and hands back part of its graph."""
    function = flow.function
    if flow.derives or not TRAINING_WORDS.isdisjoint(function.facts.words):
        return False  # it takes its derivatives itself
    if function.facts.name == "forward" and calls.modules.has_method(function):
        return bool(apply(calls.effect_at(function, function.facts.at), GRAD) & GRAD)
    return any(
        event.forward
        and _handed_back(flow, Origin(function, event.at))
        and apply(calls.effect_at(function, event.at), GRAD) & GRAD
        for event in tuple(flow.calls.values())
    )


def _handed_back(flow: Flow, origin: Origin) -> bool:
    kinds = {use.kind for use in flow.uses.get(origin, ())}
    return "trained" not in kinds and not kinds.isdisjoint(("returned", "yielded"))
