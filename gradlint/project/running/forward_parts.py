"""What a forward gives that is more than a tensor: tuples and dicts of the project, distributions, packed sequences."""

from typing import TYPE_CHECKING

from gradlint.model.record import replace
from gradlint.model.torch_calls import DRAWING, PACKED
from gradlint.project.linking.nodes import External
from gradlint.project.running import tensors
from gradlint.project.running.spelt import given_back
from gradlint.project.running.values import COMPUTED, LEAF, NUMBER, PLAIN, Loss, Value, is_distribution, is_packed

if TYPE_CHECKING:
    from gradlint.project.running.flow import Flow
    from gradlint.project.running.invocation import Invocation
    from gradlint.project.running.memory import Memory


def in_parts(it: "Invocation", result: Value) -> Value:
    """The result of a forward with what its own code shows of the parts it has."""
    result = _packed_alike(it, _with_distributions(it, result))
    return _under_keys(it, _in_tuple(it, result))


def unpacked(value: Value, size: int, run: "Memory") -> Value:
    """What is taken apart into so many names: ``logits, value = net(x)``, where a forward gives one tensor, too."""
    event = run.flow.calls.get(value.made_at) if value.items is None and value.made_at is not None else None
    if event is None or not event.forward or value.kind != "unknown" or not run.follows or len(event.targets) != 1:
        return value
    outline = run.flows.outline(event.targets[0])
    items = outline.tuples.get(size)
    return _in_items(value, items, _lost(outline, event.at, run)) if items is not None else value


def _in_tuple(it: "Invocation", result: Value) -> Value:
    if not it.run.follows or len(it.targets) != 1 or result.items is not None:
        return result
    outline = it.run.flows.outline(it.targets[0])
    items = outline.returns.items if outline.returns is not None else None
    return _in_items(result, items, _lost(outline, it.at, it.run)) if items is not None else result


def _lost(forward: "Flow", at: int, run: "Memory") -> Loss | None:
    """How all that a forward computes loses its graph where it is run: under a guard, unless it records inside."""
    return None if forward.effects.records else tensors.lost_here(at, run)


def _in_items(result: Value, items: tuple[Value, ...], lost: Loss | None) -> Value:
    """The result in parts, where the project's own forward shows which of them have a graph, and which have none."""
    if not any(item.is_tensor and (item.tensor == PLAIN or item.tensor & COMPUTED) for item in items):
        return result
    part = tensors.part_of(result)
    return replace(result, items=tuple(_part(part, item, lost) for item in items))


def _part(part: Value, returned: Value, lost: Loss | None) -> Value:
    """A part of the result, of which the function shows what it returns as that part."""
    if _is_computed(returned):
        known = lost is not None and not returned.tensor & LEAF
        return replace(part, kind="tensor", tensor=PLAIN if known else COMPUTED | PLAIN, lost=lost if known else None)
    if returned.is_tensor and returned.tensor == PLAIN:
        return replace(part, kind="tensor", tensor=PLAIN, bare=part.origins, lost=lost)
    return NUMBER if returned.kind == "number" else part


def _is_computed(item: Value) -> bool:
    return item.is_tensor and bool(item.tensor & COMPUTED)


def _under_keys(it: "Invocation", result: Value) -> Value:
    """``out = net(x)``, ``out["loss"]``: what the project's own forward spells out in a dict, tensors as they are."""
    if not it.run.follows or len(it.targets) != 1 or result.kind != "unknown" or result.items is not None:
        return result
    flow = it.run.flows.outline(it.targets[0])
    if not (entries := given_back(flow, flow.returns)):
        return result
    part = tensors.part_of(result)
    tensor = replace(part, kind="tensor", tensor=COMPUTED | PLAIN)
    it.run.flow.dicts[it.at] = tuple((key, tensor if _is_computed(value) else part) for key, value in entries)
    return replace(result, kind="container")


def _with_distributions(it: "Invocation", result: Value) -> Value:
    """The distributions that a module of the project gives, also beside something else: draws of them have no graph."""
    if len(it.targets) != 1 or DRAWING.isdisjoint(it.run.function.facts.words):
        return result
    returned = it.run.flows.outline(it.targets[0]).returns
    if returned is None or not any(map(is_distribution, (returned, *(returned.items or ())))):
        return result
    if returned.items is None:
        return replace(result, target=returned.target)
    part = tensors.part_of(result)
    items = (replace(part, target=item.target) if is_distribution(item) else part for item in returned.items)
    return replace(result, items=tuple(items))


def _packed_alike(it: "Invocation", result: Value) -> Value:
    """What a recurrent module gives for a packed sequence: another one, and its last states."""
    if not any(is_packed(argument.value) for argument in it.arguments):
        return result
    if it.targets and (result.kind != "unknown" or result.items is not None):
        return result
    part = tensors.part_of(result)
    return replace(result, items=(Value(origins=part.origins, target=External(PACKED), memory=part.memory), part))
