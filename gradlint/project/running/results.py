"""What calls of the project's functions give: what those return, as the caller knows it."""

from collections.abc import Iterator

from gradlint.model.record import replace
from gradlint.project.linking.nodes import ClassNode
from gradlint.project.running import tensors
from gradlint.project.running.flow import Flow
from gradlint.project.running.invocation import Invocation
from gradlint.project.running.sets import ALONE, NOTHING, joined, together
from gradlint.project.running.spelt import Entries, given_back, item_place
from gradlint.project.running.values import (
    LEAF,
    NEVER,
    NUMBER,
    PERHAPS,
    PLAIN,
    UNKNOWN,
    Origin,
    Value,
    is_distribution,
)

# What is handed back as it is, with no graph of its own.
_ITSELF = frozenset({"module", "number", "none", "array", "callable", "optimizer", "parameters"})


def returned(it: Invocation, flow: Flow, passed: dict[str, Value], into: frozenset[Origin]) -> Value:
    """The value of a call that runs a function so, given this by parameter; ``into`` is what its graph may lead to."""
    result = flow.returns
    if result is None:
        return NUMBER if flow.env is not None and not flow.uses and not into else it.fresh(into)
    given = passed.get(result.parameter) if result.parameter is not None else None
    if given is not None:
        if result.kind == "module":
            return replace(
                result, origins=given.origins, parameter=given.parameter, target=result.target or given.target
            )
        if result.made_at is None or given.kind == "module":  # else converted: another tensor
            return given
    if result.kind == "module" and (cls := _called_on(it, result)) is not None:
        frozen = None if it.run.flows.calls.modules.has_parameters(cls) else True
        return replace(result, target=cls, frozen=frozen, origins=NOTHING, parameter=None)
    if result.kind in _ITSELF:
        return _as_it_is(it, result, passed)
    items = None
    if result.items is not None:
        items = tuple(
            UNKNOWN if _is_left_out(flow, item, passed) else _numbered_item(it, flow, number, passed, into)
            for number, item in enumerate(result.items)
        )
    if not result.origins and (result.tensor == PLAIN or (result.kind != "unknown" and not into)):
        memory = ALONE[it.at]
        shadow = _left_behind(flow, result, passed)
        found = replace(result, parameter=None, items=items, read_at=None, made_at=it.at, memory=memory, shadow=shadow)
        return _under_guard(it, found)
    shadow = together(given.shadow for given in _given_for(flow, result.origins, passed))  # ``mean(errors, weights)``
    fresh = replace(it.fresh(into), items=items, shadow=shadow)
    if entries := given_back(flow, result):
        it.run.flow.dicts[it.at] = _entries(it, flow, entries, passed, into)
        return replace(fresh, kind="container")
    if is_distribution(result):
        return replace(fresh, target=result.target)
    return _with_flags(it, fresh, result)


def _is_cut_off(flow: Flow, part: Value) -> bool:
    """Whether a part of a result was cut off from a forward, and has no other's graph: errors, times some weights."""
    if not part.shadow:
        return False
    forwards = {Origin(flow.function, event.at) for event in flow.calls.values() if event.forward}
    return not forwards.isdisjoint(part.shadow) and forwards.isdisjoint(part.origins)


def _only_arranges(flow: Flow) -> bool:
    """Whether a function is seen to run nothing unknown: each part that it gives is made of what it is given for it."""
    return bool(flow.calls) and not any(event.forward or event.opaque for event in flow.calls.values())


def _left_behind(flow: Flow, result: Value, passed: dict[str, Value]) -> frozenset[Origin]:
    """What a result was cut off from, where a parameter was: what that is given."""
    others = frozenset(origin for origin in result.shadow if origin.parameter_of(flow.function) is None)
    return joined(others, together(given.traces for given in _given_for(flow, result.shadow, passed)))


def _given_for(flow: Flow, origins: frozenset[Origin], passed: dict[str, Value]) -> Iterator[Value]:
    """What a call passes for those origins that are parameters of the function it runs."""
    names = (origin.parameter_of(flow.function) for origin in origins)
    return (passed[name] for name in names if name is not None and name in passed)


def _called_on(it: Invocation, result: Value) -> ClassNode | None:
    """The class whose inherited class method made a module of it: ``Net.from_pretrained()``."""
    cls = it.named_class
    if cls is None or cls is result.target:
        return None
    return cls if result.target in it.run.flows.linker.ancestors(cls) else None


def _under_guard(it: Invocation, result: Value) -> Value:
    """What a function computes has no graph when it is called under a guard, unless it switches recording on."""
    if not (result.is_tensor and result.own_memory) or result.tensor & LEAF or it.effects is None or it.effects.records:
        return result
    lost = tensors.lost_here(it.at, it.run)
    return result if lost is None else replace(result, tensor=PLAIN, lost=result.lost or lost)


def _with_flags(it: Invocation, fresh: Value, result: Value) -> Value:
    """A callee's result with what the callee knows of it."""
    if not result.is_tensor:
        return fresh
    retained = NEVER if result.retained == NEVER else PERHAPS
    memory = fresh.memory
    if not result.own_memory:  # a view of what it was given, for all we know
        memory |= it.memory
    flagged = replace(
        fresh,
        memory=memory,
        kind=result.kind,
        tensor=result.tensor,
        lost=result.lost,
        retained=retained,
        own_memory=result.own_memory,
    )
    return _under_guard(it, flagged)


def _is_left_out(flow: Flow, item: Value, passed: dict[str, Value]) -> bool:
    """Whether a part of a result only has a graph if it comes from a parameter that the call leaves out."""
    names = [origin.parameter_of(flow.function) for origin in item.origins]
    return bool(names) and all(name is not None and name not in passed for name in names)


def _as_it_is(it: Invocation, result: Value, passed: dict[str, Value]) -> Value:
    """What has no graph, and belongs to a module under the name that the caller has for that."""
    owner = result.of
    if owner is not None and not (owner.startswith("self.") and it.receiver is not None and it.receiver.kind == "self"):
        names = it.event.names_of(passed[owner]) if owner in passed else []
        owner = names[0] if len(names) == 1 else None
    return replace(result, origins=NOTHING, parameter=None, of=owner)


def _entries(
    it: Invocation, flow: Flow, entries: Entries, passed: dict[str, Value], into: frozenset[Origin]
) -> Entries:
    return tuple((key, _entry(it, flow, value, passed, into)) for key, value in entries)


def _entry(it: Invocation, flow: Flow, value: Value, passed: dict[str, Value], into: frozenset[Origin]) -> Value:
    """What is under a key of a dict that is given back: a dict in it was not made where the caller gets the whole."""
    found = _returned_item(it, flow, value, passed, into)
    return replace(found, made_at=None) if found.kind == "container" else found


def _numbered_item(it: Invocation, flow: Flow, number: int, passed: dict[str, Value], into: frozenset[Origin]) -> Value:
    """One of several things that are given back; of a dict among them the caller knows what is under its keys."""
    item = flow.returns.items[number] if flow.returns is not None and flow.returns.items is not None else UNKNOWN
    found = _returned_item(it, flow, item, passed, into)
    if found.kind != "container" or found.items is not None or not (entries := given_back(flow, item)):
        return found
    place = item_place(it.at, number)
    it.run.flow.dicts[place] = _entries(it, flow, entries, passed, into)
    return replace(found, made_at=place)


def _returned_item(it: Invocation, flow: Flow, item: Value, passed: dict[str, Value], into: frozenset[Origin]) -> Value:
    if item.kind in _ITSELF:
        return _as_it_is(it, item, passed)
    own = {origin for origin in item.origins if origin.at < 0}
    if own or item.origins or (item.kind == "unknown" and item.tensor != PLAIN):
        fresh = it.fresh(into)
        cut_off = _is_cut_off(flow, item)  # of what the callee has run nothing is left in it
        if cut_off or (own == item.origins and _only_arranges(flow)):
            left = together(given.origins for given in _given_for(flow, item.origins, passed))
            fresh = replace(fresh, origins=left, shadow=fresh.origins if cut_off else NOTHING)
        # ``return loss, {"loss": loss}``: what the callee has made is a dict for the caller, too.
        made = item.kind == "container" and item.parameter is None
        return replace(fresh, kind="container") if made else _with_flags(it, fresh, item)
    return item
