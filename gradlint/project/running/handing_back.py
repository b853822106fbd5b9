"""Whether a function hands back what a module gave it, or what it was given, graph and all."""

from collections.abc import Iterator, Set

from gradlint.model.code import (
    Argument,
    Assign,
    Attribute,
    Augment,
    Call,
    Expression,
    For,
    Name,
    Operation,
    Return,
    With,
    dotted,
)
from gradlint.model.torch_calls import TRAINING_WORDS
from gradlint.model.traverse import all_of, binds, bound_by, statements
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD, apply
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flow import Flow
from gradlint.project.running.values import PLAIN, Origin, Value

_THIN = 4  # calls
_LONGEST_WAY_DOWN = 2  # callees of callees
_CUTTING = frozenset({"detach", "detach_", "data", "no_grad"})


def runs_module(calls: CallGraph, flow: Flow) -> bool:
    """Whether a function, called with grad on, runs a forward unguarded and hands back part of its graph.

    A ``forward`` does, unless its flow shows that it has a guard of its own.
    """
    function = flow.function
    if flow.derives or not TRAINING_WORDS.isdisjoint(function.facts.words):
        return False  # it takes its derivatives itself
    if calls.modules.is_forward(function):
        return _records(calls, function, function.facts.at) and not _guards_all(calls, flow)
    return any(
        event.forward and _handed_back(flow, Origin(function, event.at)) and _records(calls, function, event.at)
        for event in tuple(flow.calls.values())
    )


def may_guard_itself(calls: CallGraph, forward: FunctionNode) -> bool:
    """Whether it is worth running a ``forward`` to see that it records nothing.

    It has a guard, or does little but call something that has one: whatever does more computes something of its own.
    """
    if len(forward.facts.calls) > _THIN:
        return _has_guard(calls, forward)
    callees = (callee for found in calls.callees.get(forward, {}).values() for callee in found)
    return any(_has_guard(calls, function) for function in (forward, *callees))


def _has_guard(calls: CallGraph, function: FunctionNode) -> bool:
    return any(not states & GRAD for states in calls.all_own_states(function))


def _guards_all(calls: CallGraph, flow: Flow) -> bool:
    """Whether nothing that a ``forward`` runs, called with grad on, records a graph, nor what it gives has one."""
    bare = flow.returns is not None and _has_no_graph(flow.returns)
    gives = flow.function.facts.gives_back  # else whatever unknown code computes is gone when it is done
    if gives and not bare and not returns_under_guard(calls, flow.function):
        return False
    running = (e for e in flow.calls.values() if (e.forward and e.targets != (flow.function,)) or (e.opaque and gives))
    return not any(_records(calls, flow.function, e.at) for e in running)


def is_guarded(calls: CallGraph, function: FunctionNode) -> bool:
    """Whether a function switches recording off, or computes all that it returns under a guard."""
    return not calls.own_states(function, -1) & GRAD or returns_under_guard(calls, function)


def returns_under_guard(calls: CallGraph, function: FunctionNode, depth: int = 0) -> bool:
    """Whether all that a function returns is computed under a guard of its own, or by functions of which that is so."""
    returned = [s.value for s in statements(function.facts.body) if isinstance(s, Return) and s.value is not None]
    if depth > _LONGEST_WAY_DOWN or not returned or function.facts.is_generator:
        return False
    callees = calls.callees.get(function, {})
    for value in returned:
        deeper = callees.get(value.at, ())
        if not _records(calls, function, value.at) or _is_variable_of_guard(calls, function, value):
            continue
        if _joins_own(calls, function, value):
            continue
        if not deeper or not all(returns_under_guard(calls, each, depth + 1) for each in deeper):
            return False
    return True


def _is_variable_of_guard(calls: CallGraph, function: FunctionNode, value: Expression) -> bool:
    """Whether a variable is only given what is computed under a guard: ``with no_grad(): x = net(x)``, ``return x``."""
    if not isinstance(value, Name) or value.id in function.facts.shared:
        return False
    if any(parameter.name == value.id for parameter in function.facts.parameters):
        return False
    given = [*_given(function, value.id)]
    computed = all(isinstance(each, Call | Operation) for each in given)
    return bool(given) and computed and not any(_records(calls, function, each.at) for each in given)


def _joins_own(calls: CallGraph, function: FunctionNode, value: Expression) -> bool:
    """``return torch.cat(parts)``, all of which the function has got from itself: in pieces it is guarded, too."""
    match value:
        case Call(function=Attribute(name="cat" | "concat" | "stack"), arguments=(Argument(value=Name(id=name)), *_)):
            own = {at for at, found in calls.callees.get(function, {}).items() if found == [function]}
            adding = (c for c in all_of(Call, function.facts.body) if dotted(c.function) == f"{name}.append")
            added = [argument.value for call in adding for argument in call.arguments]
            return bool(added) and all(_comes_from(function, each, own) for each in added)
        case _:
            return False


def _comes_from(function: FunctionNode, value: Expression, places: Set[int]) -> bool:
    """Whether calls at these places gave it, by way of a variable perhaps."""
    given = [*_given(function, value.id)] if isinstance(value, Name) else [value]
    return bool(given) and all(each.at in places for each in given)


def _given(function: FunctionNode, name: str) -> Iterator[Expression]:
    """What a variable is given, or taken out of."""
    for statement in statements(function.facts.body):
        match statement:
            case Assign(value=value) if binds(statement, name):
                yield value
            case Augment(target=Name(id=changed), value=value) if changed == name:
                yield value
            case For(target=target, iterable=value) if name in bound_by(target):
                yield value
            case With(items=items):
                yield from (i.context for i in items if i.target is not None and name in bound_by(i.target))
            case _:
                pass


def _records(calls: CallGraph, function: FunctionNode, at: int) -> bool:
    """Whether a place records a graph if the function is called with grad on."""
    return bool(apply(calls.effect_at(function, at), GRAD) & GRAD)


def _has_no_graph(value: Value) -> bool:
    if value.items:
        return all(map(_has_no_graph, value.items))
    return value.kind in ("array", "number") or (value.is_tensor and value.tensor == PLAIN)


def _handed_back(flow: Flow, origin: Origin) -> bool:
    kinds = {use.kind for use in flow.uses.get(origin, ())}
    return "trained" not in kinds and not kinds.isdisjoint(("returned", "yielded"))


def cuts_off(function: FunctionNode) -> bool:
    """Whether a function spells that it takes a graph off something: then perhaps off its state."""
    return any(word in _CUTTING or "detach" in word or "repackage" in word for word in function.facts.words)
