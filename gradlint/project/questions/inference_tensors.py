"""Tensors made under ``inference_mode()``, and what is done with them outside of it."""

from collections.abc import Iterator
from itertools import permutations
from typing import Literal

from gradlint.model.code import Attribute, Call, Expression, Name, Operation, Subscript, dotted
from gradlint.model.record import answer, replace
from gradlint.model.torch_calls import LOSS_LIKE
from gradlint.model.traverse import all_of, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD, INFERENCE, apply
from gradlint.project.linking import changes, scope
from gradlint.project.linking.bindings import owner_class
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.rebinding import given_to
from gradlint.project.linking.returns import returned
from gradlint.project.questions.inference_modes import InferenceModes
from gradlint.project.running.flow import CallEvent, Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import COMPUTED, UNKNOWN, Value

_WORDS = frozenset({"backward", "manual_backward", "requires_grad_", "requires_grad", "Parameter"})
_SAVING = frozenset({"*", "/", "@"})


@answer
class Misuse:
    """An inference tensor is used where it cannot be: ``how`` it raises, and where it was made."""

    at: int
    how: Literal["changed", "flagged", "parameter", "saved", "operand"]
    name: str | None
    made_at: int


class InferenceTensors:
    """Finds them where the function itself, or the one that gives them to it, holds the mode."""

    def __init__(self, calls: CallGraph, flows: Flows, modes: InferenceModes) -> None:
        self._calls = calls
        self._flows = flows
        self._modes = modes

    def misuses(self, function: FunctionNode) -> Iterator[Misuse]:
        """The misuses in a function; one that is itself called under ``inference_mode()`` has none."""
        if _WORDS.isdisjoint(function.facts.words) and not changes.may_change_in_place(function):
            return
        if not self._modes.are_near(function):
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
        yield from self._operands(flow)

    def _operands(self, flow: Flow) -> Iterator[Misuse]:
        """``log_prob * advantage``: a product saves the other factor of what has a graph, a quotient both parts."""
        for operation in all_of(Operation, flow.function.facts.body):
            if operation.operator not in _SAVING or len(operation.operands) != 2:
                continue
            if self._calls.states_at(flow.function, operation.at) != GRAD:
                continue
            for factor, other in permutations(operation.operands):
                made_at = self._factor(flow, factor)
                end = max(part.at for part in within(operation))
                if made_at is not None and self._has_walked_graph(flow, other, end):
                    yield Misuse(operation.at, "operand", dotted(factor), made_at)

    def _factor(self, flow: Flow, factor: Expression) -> int | None:
        """Where an inference tensor was made that a name of the function stands for, and nothing else."""
        name = factor.id if isinstance(factor, Name) else None
        given = list(given_to(flow.function, name)) if name is not None else []
        if name is None or len(given) != 1 or given[0] is None or name in _parameters(flow.function):
            return None
        made, event = given[0], flow.calls.get(given[0].at)
        if self.made_under(flow.function, made.at):
            there = _is_centred(made)
        else:
            there = event is not None and bool(event.targets) and all(map(self._gives_centred, event.targets))
        return made.at if there or self._is_inference(flow, flow.env.get(name, UNKNOWN)) else None

    def _gives_centred(self, callee: FunctionNode) -> bool:
        found = list(returned(callee)) if self.made_under(callee, callee.facts.at) else []
        return bool(found) and all(map(_is_centred, found))

    def _has_walked_graph(self, flow: Flow, expression: Expression, end: int) -> bool:
        """Whether a forward that ``backward()`` walks later leads to what an expression holds."""
        while isinstance(expression, Subscript):
            expression = expression.value
        if isinstance(expression, Operation):
            return any(self._has_walked_graph(flow, operand, end) for operand in expression.operands)
        if isinstance(expression, Name) and len(list(given_to(flow.function, expression.id))) != 1:
            return False
        event = flow.calls.get(expression.at) if isinstance(expression, Call) else None
        held = event.result if event is not None else flow.env.get(dotted(expression) or "", UNKNOWN)
        if not held.tensor & COMPUTED:
            return False
        made = (flow.calls.get(o.at) for o in held.origins if o.function is flow.function)
        return any(e is not None and e.forward and e.at <= end and self._is_walked(flow, e.at, end) for e in made)

    def _misused(self, flow: Flow, event: CallEvent) -> Iterator[Misuse]:
        if not self._is_outside(flow.function, event.at):
            return
        owner = event.receiver
        if event.method == "requires_grad_" and owner is not None and self._is_inference(flow, owner):
            if not any(argument.value.constant is False for argument in event.arguments):
                yield Misuse(event.at, "flagged", event.name.rpartition(".")[0], owner.made_at or 0)
            return
        given = [argument.value for argument in event.arguments if self._is_inference(flow, argument.value)]
        if not given and event.method != "Parameter":
            kept = (self._kept(flow, dotted(argument.expression)) for argument in event.arguments)
            given = [value for value in kept if value is not None]
        if not given:
            return
        if event.method == "Parameter":
            yield Misuse(event.at, "parameter", None, given[0].made_at or 0)
        elif self._is_trained(flow, event) and self._calls.states_at(flow.function, event.at) == GRAD:
            yield Misuse(event.at, "saved", event.name, given[0].made_at or 0)

    def _is_trained(self, flow: Flow, event: CallEvent) -> bool:
        """Whether a forward, or a loss of one, is walked by ``backward()``: then it saved what it was given."""
        if not event.result.tensor & COMPUTED or not (event.forward or _is_loss(event)):
            return False
        own = {o.at for o in event.result.origins if o.at == event.at} if event.forward else None
        for origin in event.result.origins:
            source = flow.calls.get(origin.at) if origin.function is flow.function else None
            live = source is not None and source.forward and source.result.tensor & COMPUTED
            if live and (own is None or origin.at in own) and self._is_walked(flow, origin.at, event.at):
                return True
        return False

    def _is_walked(self, flow: Flow, at: int, after: int) -> bool:
        """Whether ``backward()`` walks, after a place, what a call has given."""
        uses = (use for origin, found in flow.uses.items() if origin.at == at for use in found)
        return any(use.kind == "trained" and use.detail != "in vain" and use.at > after for use in uses)

    def _is_inference(self, flow: Flow, value: Value) -> bool:
        if value.made_at is None or not value.own_memory or not value.is_tensor:
            return False
        if self.made_under(flow.function, value.made_at):
            return True
        event = flow.calls.get(value.made_at)
        if event is None or not event.targets or event.result.made_at != value.made_at:
            return False
        return all(self._gives_inference(target) for target in event.targets)

    def _kept(self, flow: Flow, path: str | None) -> Value | None:
        """What an attribute holds, if every other method that sets it does so under ``inference_mode()``."""
        cls = owner_class(flow.function)
        if path is None or cls is None or not path.startswith("self.") or path in _stored(flow):
            return None
        methods = {method for method, _ in self._flows.bindings.attribute(cls, path.removeprefix("self."))}
        found: list[Value] = []
        for method in methods - {flow.function}:
            stored = _stored(self._flows.flow(method)).get(path) if not self._flows.is_running(method) else None
            if stored is None or stored.kind == "none":
                if stored is None or method.facts.name != "__init__":
                    return None
            elif not stored.own_memory or stored.made_at is None or not self.made_under(method, stored.made_at):
                return None
            else:
                same = method.module is flow.function.module
                found.append(stored if same else replace(stored, made_at=flow.function.facts.at))
        return found[0] if found else None

    def _gives_inference(self, callee: FunctionNode) -> bool:
        if self._flows.is_running(callee) or not self.made_under(callee, callee.facts.at):
            return False
        returned = self._flows.outline(callee).returns
        return returned is not None and bool(returned.own_memory)

    def made_under(self, function: FunctionNode, at: int) -> bool:
        """Whether what a function makes at a place is made under ``inference_mode()``, by its own guard."""
        return apply(self._calls.effect_at(function, at), GRAD) == INFERENCE

    def are_near(self, function: FunctionNode) -> bool:
        """Whether a function, or one that it calls, may hold ``inference_mode()`` at all; costs next to nothing."""
        callees = (each for found in self._calls.callees.get(function, {}).values() for each in found)
        return any(map(self._modes.are_near, (function, *callees)))

    def builds(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether a call makes a module under ``inference_mode()``: the function's own, or all of what it calls."""
        if self.made_under(function, event.at):
            return True
        own = [self._returns_what_it_made(target) for target in event.targets]
        return event.result.kind == "module" and bool(own) and all(own)

    def _returns_what_it_made(self, callee: FunctionNode) -> bool:
        """Whether a function returns only what it has made under ``inference_mode()``."""
        made = dict(scope.assigned(callee))
        given = [made.get(dotted(value) or "", value) for value in returned(callee)]
        return bool(given) and all(isinstance(each, Call) and self._makes(callee, each) for each in given)

    def _makes(self, function: FunctionNode, call: Call) -> bool:
        """Whether a call makes something new there: ``return model.eval()`` gives back what came in."""
        event = self._flows.flow(function).calls.get(call.at) if self.made_under(function, call.at) else None
        return event is not None and event.result.born is not None

    def _is_outside(self, function: FunctionNode, at: int) -> bool:
        return not self._calls.states_at(function, at) & INFERENCE


def _is_centred(expression: Expression) -> bool:
    """``(r - r.mean()) / r.std()``: no number, and an array cannot be multiplied with what has a graph."""
    match expression:
        case Operation(operator="-", operands=(owner, Call(function=Attribute(value=other, name="mean")))):
            return dotted(owner) is not None and dotted(owner) == dotted(other)
        case Operation(operator="/" | "*" | "+" | "-", operands=operands):
            return any(map(_is_centred, operands))
        case _:
            return False


def _parameters(function: FunctionNode) -> set[str]:
    return {parameter.name for parameter in function.facts.parameters}


def _is_loss(event: CallEvent) -> bool:
    """Whether a call compares what it is given: a loss by its name, or a function of ``torch.nn.functional``."""
    name = getattr(event.callee.target, "name", "")
    return LOSS_LIKE.search(event.name) is not None or name.startswith("torch.nn.functional.")


def _stored(flow: Flow) -> dict[str, Value]:
    """What a function sets attributes to, the last of each."""
    events = flow.attributes.values()
    return {event.path: event.stored for event in events if event.path is not None and event.stored is not None}
