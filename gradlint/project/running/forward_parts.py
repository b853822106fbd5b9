"""What a forward gives that is more than a tensor: tuples and dicts of the project, distributions, packed sequences."""

from gradlint.model.record import replace
from gradlint.model.torch_calls import DRAWING, PACKED
from gradlint.project.linking.nodes import External
from gradlint.project.running import tensors
from gradlint.project.running.invocation import Invocation
from gradlint.project.running.spelt import given_back
from gradlint.project.running.values import COMPUTED, NUMBER, PLAIN, Value, is_distribution, is_packed


def in_parts(it: Invocation, result: Value) -> Value:
    """The result of a forward with what its own code shows of the parts it has."""
    result = _packed_alike(it, _with_distributions(it, result))
    return _under_keys(it, _in_tuple(it, result))


def _in_tuple(it: Invocation, result: Value) -> Value:
    """``logits, value = net(x)``: where the project's own forward shows that they are computed tensors, they are."""
    if not it.run.follows or len(it.targets) != 1 or result.items is not None:
        return result
    returned = it.run.flows.outline(it.targets[0]).returns
    items = returned.items if returned is not None and returned.items is not None else ()
    if not any(map(_is_computed, items)):
        return result
    part = tensors.part_of(result)
    computed = replace(part, kind="tensor", tensor=COMPUTED | PLAIN)
    parts = (computed if _is_computed(item) else NUMBER if item.kind == "number" else part for item in items)
    return replace(result, items=tuple(parts))


def _is_computed(item: Value) -> bool:
    return item.is_tensor and bool(item.tensor & COMPUTED)


def _under_keys(it: Invocation, result: Value) -> Value:
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


def _with_distributions(it: Invocation, result: Value) -> Value:
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


def _packed_alike(it: Invocation, result: Value) -> Value:
    """What a recurrent module gives for a packed sequence: another one, and its last states."""
    if not any(is_packed(argument.value) for argument in it.arguments):
        return result
    if it.targets and (result.kind != "unknown" or result.items is not None):
        return result
    part = tensors.part_of(result)
    return replace(result, items=(Value(origins=part.origins, target=External(PACKED), memory=part.memory), part))
