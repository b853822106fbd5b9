"""The abstract run over calls of the project's own functions: each is summed up by its own flow."""

import re

from gradlint.model.code import For, Name, dotted
from gradlint.model.record import replace
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.model.traverse import statements
from gradlint.project.linking.backwards import walked_parameter
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.scope import decorated_by
from gradlint.project.running.conditions import fixed
from gradlint.project.running.feeding import note_fed_back
from gradlint.project.running.flow import MOST_TARGETS, CallEvent, Flow, SideEffects, matched, passes_object
from gradlint.project.running.handing_back import runs_module
from gradlint.project.running.invocation import Invocation
from gradlint.project.running.results import returned
from gradlint.project.running.sets import NOTHING
from gradlint.project.running.values import (
    Origin,
    Value,
    elsewhere,
    meet,
)

# Decorators that change neither what a function returns nor what it does to its arguments.
_TRANSPARENT = re.compile(
    r"(^|[._])(no_grad|inference_mode|enable_grad|set_grad_enabled|staticmethod|classmethod|property|compile|lru_cache"
    r"|cache|override|overload|wraps|torch_no_grad|typechecked|autocast|record_function|main|jit)$"
)


def on_project(it: Invocation, targets: tuple[FunctionNode, ...]) -> Value:
    """A call of functions of the project: their own flows tell what happens."""
    if len(targets) > MOST_TARGETS:
        return _one_of_many(it, targets)
    it.effects = it.run.effects_of(targets)
    results = [_summary(it, target) for target in targets]
    found = results[0]
    for result in results[1:]:
        found = meet(found, result)
    # The first is what the code names, the others are what subclasses put in its place: one of many is no evidence.
    it.forward = it.forward or _run_modules(it, targets)
    if it.forward:
        note_fed_back(it)
    if any(not _is_transparent(target) for target in targets):
        it.effects = SideEffects()
        return elsewhere(found)
    return found


def _one_of_many(it: Invocation, targets: tuple[FunctionNode, ...]) -> Value:
    """A call of a method that half the project overrides: what all of them have in common is next to nothing."""
    it.effects = it.run.effects_of(targets)
    it.forward = it.forward or _run_modules(it, targets)
    return elsewhere(it.fresh(it.given))


def _run_modules(it: Invocation, targets: tuple[FunctionNode, ...]) -> bool:
    """Whether what the code names runs a module, or all that overrides it: one of many is no evidence."""
    runs = (hands_back(it, target, it.receiver) for target in targets)
    is_module = it.receiver is not None and it.receiver.kind == "module"
    if isinstance(it.callee.target, FunctionNode) and it.callee.target not in targets and not is_module:
        return all(runs)  # the code names a stub
    return next(runs) or (len(targets) > 1 and all(runs))


def hands_back(it: Invocation, target: FunctionNode, module: Value | None) -> bool:
    """Whether what a module runs hands back a graph, in the mode the module is in."""
    flows = it.run.flows
    evaluating = module is not None and module.training is False
    if evaluating and "training" in target.facts.words and flows.calls.modules.is_forward(target):
        return runs_module(flows.calls, flows.given(target, {"self.training": False}))
    flags = _choosing_guard(it, target)
    return runs_module(flows.calls, flows.given(target, flags)) if flags else flows.hands_back(target)


def _choosing_guard(it: Invocation, callee: FunctionNode) -> dict[str, object]:
    """The flags that a call passes, or leaves as they are, and that lead into a guard of the callee or past it."""
    choosing = it.run.flows.choosing_guard(callee)
    if not choosing or any(argument.stars for argument in it.arguments) or it.run.flows.is_running(callee):
        return {}
    passed = matched(it.arguments, callee, bound=passes_object(it.event, callee))
    known = fixed(callee, passed, it.run.flows.bindings)
    return {name: value for name, value in known.items() if name in choosing and isinstance(value, bool | str)}


def _is_transparent(callee: FunctionNode) -> bool:
    """Whether a call gives what the body returns: no generator, no decorator that might change it."""
    if callee.facts.is_generator:
        return False
    return all(_TRANSPARENT.search(dotted(name) or "") for name in decorated_by(callee))


def _summary(it: Invocation, callee: FunctionNode) -> Value:
    flow = it.run.flows.outline(callee)
    it.run.flow.derives = it.run.flow.derives or flow.derives
    if flow.gradient_at is not None:
        it.run.flow.used(it.given, "trained", it.at, callee.facts.name)
    event = it.event
    passed = matched(it.arguments, callee, bound=passes_object(event, callee))
    running = it.run.flows.is_running(callee)
    # An object made from a graph (a distribution, a batch) may give it back from any of its methods.
    into = it.receiver.origins if it.receiver is not None else NOTHING
    called = _as_called(it, callee, flow, passed)
    if len(it.targets) == 1 and (walked := passed.get(walked_parameter(callee) or "")) is not None:
        it.run.prove(walked)
        it.run.walk(walked.origins, it.at)
    for index, parameter in enumerate(callee.facts.parameters):
        value = passed.get(parameter.name)
        if value is None:
            continue
        uses = tuple(flow.uses.get(Origin(callee, -index - 1), ()))
        kinds = {use.kind for use in uses}
        # What a function makes of its own result is what its other returns say.
        if (running and callee is not it.run.function) or kinds & {"returned", "yielded"}:
            into |= value.origins
        for use in uses:
            if use.kind == "stored" and it.run.flows.may_train_on(callee, use.detail):
                it.run.flow.used(value.origins, "trained", it.at, callee.facts.name)
            elif use.kind == "stored":
                it.run.flow.used(value.origins, "kept", it.at, f"{callee.name}: {use.detail}")
            elif use.kind not in ("returned", "yielded"):
                it.run.flow.used(value.origins, use.kind, it.at, use.detail or callee.facts.name)
        _change_argument(it, value, called.env.get(parameter.name))
        if parameter.kind == "args":
            _change_each(it, event, parameter.name, called)
    _train_in_closure(it, flow, passed)
    _change_self(it, flow)
    if any(argument.stars for argument in it.arguments) or (running and callee is not it.run.function):
        into |= it.given
    flags = _choosing_guard(it, callee)
    return returned(it, it.run.flows.given(callee, flags) if flags else flow, passed, into)


def _train_in_closure(it: Invocation, flow: Flow, passed: dict[str, Value]) -> None:
    """``optimizer.step(make_closure(x))``: the function that is made and given back trains on what it sees."""
    closure = flow.returns.target if flow.returns is not None else None
    if not isinstance(closure, FunctionNode) or closure.parent is not flow.function:
        return
    if not closure.facts.words.isdisjoint(BACKWARD_METHODS):
        for name in closure.facts.words & passed.keys():
            it.run.flow.used(passed[name].origins, "trained", it.at, closure.facts.name)


def _as_called(it: Invocation, callee: FunctionNode, flow: Flow, passed: dict[str, Value]) -> Flow:
    """The flow of ``set_requires_grad(net, False)`` with the flag that it is given."""
    speaks = "requires_grad" in callee.facts.words  # on one of its ways, for all we know
    if not speaks and not any(value.frozen is not None for value in flow.env.values()):
        return flow
    flags: dict[str, object] = {
        name: value.constant for name, value in passed.items() if isinstance(value.constant, bool)
    }
    return it.run.flows.given(callee, flags) if flags else flow


def _change_each(it: Invocation, event: CallEvent, name: str, flow: Flow) -> None:
    """``def freeze(*models)`` does with each of them what its loop over them does."""
    facts = flow.function.facts
    named = sum(parameter.kind == "positional" for parameter in facts.parameters) - passes_object(event, flow.function)
    given = [argument.value for argument in it.arguments if argument.keyword is None]
    for loop in statements(facts.body):
        match loop:
            case For(target=Name(id=each), iterable=Name(id=iterated)) if iterated == name:
                for value in given[named:]:
                    _change_argument(it, value, flow.env.get(each))
            case _:
                pass


def _change_argument(it: Invocation, value: Value, after: Value | None) -> None:
    """A callee that puts its argument into evaluation mode, or freezes it, does so for the caller."""
    if after is None or after.kind != "module" or (after.training is None and after.frozen is None):
        return
    if value.kind not in ("module", "self", "unknown"):  # of several callees another is meant
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
        if name.startswith("self.") and value.kind == "module" and _is_changed(value):
            it.run.env[name] = value
    after = flow.env.get("self")
    if after is not None and _is_changed(after):
        it.run.env["self"] = after


def _is_changed(module: Value) -> bool:
    return module.mode_at is not None or module.frozen is not None
