"""The abstract run over calls of the project's own functions: each is summed up by its own flow."""

from dataclasses import replace

from gradlint.model.code import dotted
from gradlint.project.effects import GRAD, apply
from gradlint.project.flow import CallEvent, Flow, is_bound, matched
from gradlint.project.invocation import Invocation
from gradlint.project.nodes import FunctionNode
from gradlint.project.values import NUMBER, UNKNOWN, Origin, Value, meet


def on_project(it: Invocation, targets: tuple[FunctionNode, ...]) -> Value:
    """A call of functions of the project: their own flows tell what happens."""
    results = [_summary(it, target) for target in targets]
    found = results[0]
    for result in results[1:]:
        found = meet(found, result)
    return found


def _summary(it: Invocation, callee: FunctionNode) -> Value:
    flow = it.run.flows.flow(callee)
    it.run.flow.derives = it.run.flow.derives or flow.derives
    if flow.gradient_at is not None:
        it.run.flow.used(it.given, "trained", it.at, callee.facts.name)
    event = CallEvent(it.at, it.name, it.receiver, it.callee, it.arguments, (), UNKNOWN, False, False, False)
    passed = matched(it.arguments, callee, bound=is_bound(event, callee) and it.receiver is not None)
    running = it.run.flows.is_running(callee)
    into: frozenset[Origin] = frozenset()
    for index, parameter in enumerate(callee.facts.parameters):
        value = passed.get(parameter.name)
        if value is None:
            continue
        uses = tuple(flow.uses.get(Origin(callee, -index - 1), ()))
        kinds = {use.kind for use in uses}
        if running or kinds & {"returned", "yielded"}:
            into |= value.origins
        for use in uses:
            if use.kind == "stored" and it.run.flows.may_train_on(callee, use.detail):
                it.run.flow.used(value.origins, "trained", it.at, callee.facts.name)
            elif use.kind == "stored":
                it.run.flow.used(value.origins, "kept", it.at, f"{callee.name}: {use.detail}")
            elif use.kind not in ("returned", "yielded"):
                it.run.flow.used(value.origins, use.kind, it.at, use.detail or callee.facts.name)
        _change_argument(it, parameter.name, value, flow)
    _change_self(it, flow)
    if any(argument.stars for argument in it.arguments) or running:
        into |= it.given
    it.forward = it.forward or (not flow.derives and runs_module(it, flow))
    return _returned(it, flow, passed, into)


def _change_argument(it: Invocation, name: str, value: Value, flow: Flow) -> None:
    """A callee that puts its argument into evaluation mode, or freezes it, does so for the caller."""
    after = flow.env.get(name)
    if after is None or after.kind != "module" or (after.training is None and after.frozen is None):
        return
    argument = next((a for a in it.arguments if a.value is value), None)
    path = dotted(argument.expression) if argument is not None else None
    if path is None:
        return
    it.run.env[path] = replace(
        value,
        kind="module",
        training=after.training if after.training is not None else value.training,
        mode_at=after.mode_at or value.mode_at,
        frozen=after.frozen if after.frozen is not None else value.frozen,
        certainty=value.certainty or "used",
    )


def _change_self(it: Invocation, flow: Flow) -> None:
    if it.receiver is None or it.receiver.kind != "self":
        return
    for name, value in flow.env.items():
        if name.startswith("self.") and value.kind == "module" and value.mode_at is not None:
            it.run.env[name] = value
    after = flow.env.get("self")
    if after is not None and after.mode_at is not None:
        it.run.env["self"] = after


def _returned(it: Invocation, flow: Flow, passed: dict[str, Value], into: frozenset[Origin]) -> Value:
    result = flow.returns
    if result is None:
        return NUMBER if flow.env is not None and not flow.uses and not into else it.fresh(into)
    if result.parameter is not None and result.parameter in passed:
        given = passed[result.parameter]
        if result.kind == "module":
            return replace(
                result, origins=given.origins, parameter=given.parameter, target=result.target or given.target
            )
        return given
    if result.kind in ("module", "number", "none", "array", "callable", "optimizer", "parameters"):
        return replace(result, origins=frozenset(), parameter=None)
    items = None
    if result.items is not None:
        items = tuple(_returned_item(it, item, into) for item in result.items)
    if not result.origins and result.kind != "unknown" and not into:
        return replace(result, parameter=None, items=items)
    return replace(it.fresh(into), items=items)


def _returned_item(it: Invocation, item: Value, into: frozenset[Origin]) -> Value:
    if item.kind in ("module", "number", "none", "array", "callable", "optimizer"):
        return replace(item, origins=frozenset(), parameter=None)
    own = {origin for origin in item.origins if origin.at < 0}
    return it.fresh(into) if own or item.origins or item.kind == "unknown" else item


def runs_module(it: Invocation, flow: Flow) -> bool:
    """Whether a function, called with grad on, runs a forward unguarded and hands back part of its graph."""
    function, calls = flow.function, it.run.flows.calls
    if function.facts.name == "forward" and function.owner is not None and calls.is_module_class(function.owner):
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
