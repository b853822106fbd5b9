"""What operations make of tensors: data, a leaf or a part of a graph.

Each function gives the whole set of what may come out, and says nothing (:data:`ANY`) where it cannot know.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gradlint.model.record import replace
from gradlint.project.running.sets import ALONE, NOTHING, joined, together
from gradlint.project.running.values import ANY, COMPUTED, LEAF, PLAIN, Kind, Loss, Origin, Value, bare_in, meet, plain

if TYPE_CHECKING:
    from gradlint.project.running.memory import Memory

_OF_GRAPH = frozenset({"logits", "loss"})  # as models call parts of what they give
_NO_TENSORS = frozenset({"number", "array", "none", "callable", "optimizer"})


def requires_grad(value: Value) -> bool | None:
    """Whether an operand makes a recorded operation part of a graph; None if that is not known."""
    if value.kind in _NO_TENSORS:
        return None if value.certainty == "named" else False  # it is taken for an array, and may be a tensor
    if value.kind in ("tensor", "unknown", "parameters"):
        return value.requires_grad
    if value.kind == "container" and value.items is not None:
        known = {requires_grad(item) for item in value.items}
        return True if True in known else None if None in known else False
    return None


def computed(
    values: Iterable[Value], origins: frozenset[Origin], at: int, run: "Memory", *, dtype: bool = False
) -> Value:
    """A new tensor, computed from others; ``dtype``: perhaps converted to integers."""
    values = tuple(values)
    known = {requires_grad(value) for value in values}
    needed = True if True in known else None if None in known else False
    records = run.records(at)
    tensor = 0
    if needed is not True or records is not True or dtype:
        tensor |= PLAIN
    if needed is not False and records is not False:
        tensor |= COMPUTED
    lost = None
    if tensor == PLAIN:
        lost = (inherited(values) if needed is False else None) or lost_here(at, run)
    shadow = together(value.shadow for value in values)
    found = replace(made("tensor", tensor, at, run, origins=origins, lost=lost), shadow=shadow)
    without = any(value.bare or (value.tensor == PLAIN and value.origins) for value in values)
    return replace(found, bare=_bare(values)) if without else found


def _bare(values: tuple[Value, ...]) -> frozenset[Origin]:
    """The origins that none of several operands brings a graph of: ``reward + gamma * q`` computed under a guard."""
    return bare_in(replace(value, bare=value.origins) if value.tensor == PLAIN else value for value in values)


def made(
    kind: Kind,
    tensor: int,
    at: int,
    run: "Memory",
    *,
    origins: frozenset[Origin] = NOTHING,
    lost: Loss | None = None,
) -> Value:
    """A tensor that did not exist before."""
    return Value(
        kind,
        origins=origins,
        tensor=tensor,
        born=run.epoch,
        made_at=at,
        memory=ALONE[at],
        own_memory=True,
        lost=lost,
    )


def operated(values: tuple[Value, ...], origins: frozenset[Origin], at: int, run: "Memory") -> Value:
    """What an operator gives: a tensor if an operand is one; of other objects nobody knows."""
    if any(value.kind == "tensor" or value.kind == "parameters" for value in values):
        return computed(values, origins, at, run)
    if any(value.is_tensor for value in values):
        return replace(computed(values, origins, at, run), kind="unknown")
    if run.records(at) is False and (lost := lost_here(at, run)) is not None:
        found = made("unknown", PLAIN, at, run, origins=origins, lost=lost)  # if they are tensors, so is this
        return replace(found, own_memory=None)  # and if they are arrays, as well
    return plain(origins)


def viewed(owner: Value, at: int, run: "Memory") -> Value:
    """A view, or a part, of a tensor. Under no_grad one of a tensor that requires grad is a *leaf*."""
    records = run.records(at)
    tensor = owner.tensor & PLAIN
    if owner.tensor & (LEAF | COMPUTED):
        unrecorded = LEAF if owner.own_memory else LEAF | PLAIN  # a view of a view has the flag of what is below
        tensor |= COMPUTED if records else unrecorded if records is False else unrecorded | COMPUTED
    view = made("tensor", tensor, at, run, origins=owner.origins, lost=owner.lost)
    run.flow.views[at] = meet(run.flow.views.get(at, owner), owner)
    return replace(view, memory=owner.memory, own_memory=False)


def kept(owner: Value, at: int, run: "Memory", *, may_convert: bool = False) -> Value:
    """The tensor itself, or a view or copy of it. ``may_convert``: perhaps to integers, which have no graph."""
    copied = computed((owner,), owner.origins, at, run)
    tensor = owner.tensor | copied.tensor | viewed(owner, at, run).tensor
    if may_convert:
        tensor |= PLAIN
    lost = owner.lost if tensor == owner.tensor else None
    return replace(owner, tensor=tensor, lost=lost, parameter=None, read_at=None, own_memory=None)


def either(left: Value, right: Value) -> Value:
    """One of two results of the same operation."""
    return replace(left, tensor=left.tensor | right.tensor, memory=joined(left.memory, right.memory), own_memory=None)


def changed(owner: Value, values: Iterable[Value], at: int, run: "Memory") -> Value:
    """A tensor after an operation in place, in which ``values`` go into it."""
    given = tuple(values)
    if owner.tensor == LEAF and run.records(at):
        return owner  # it raises
    origins = joined(owner.origins, together(value.origins for value in given))
    records, new = run.records(at), computed((owner, *given), origins, at, run).tensor
    if records is False:
        tensor = owner.tensor
    else:
        tensor = new if records and new in (PLAIN, COMPUTED) else owner.tensor | new
    return replace(owner, tensor=tensor, origins=origins, lost=owner.lost if tensor == PLAIN else None)


def flagged(owner: Value, wanted: bool | None) -> Value:
    """A tensor after ``requires_grad_(wanted)``; None if nobody knows what is wanted."""
    on = owner.tensor & COMPUTED | (LEAF if owner.tensor & (PLAIN | LEAF) else 0)
    tensor = on if wanted else PLAIN if wanted is False else on | PLAIN
    return replace(owner, tensor=tensor or ANY, lost=None)


def new_copy(owner: Value, run: "Memory") -> Value:
    """What is asked for a gradient: the clone of something unknown is a tensor then, and as new as its flag."""
    if owner.kind != "unknown" or not owner.own_memory or owner.born is not None:
        return owner
    return replace(owner, kind="tensor", born=run.epoch)


def part_of(owner: Value) -> Value:
    """Something that a value holds. What a guarded forward gives has no graph in any part."""
    if owner.kind == "unknown" and owner.tensor == PLAIN and owner.lost is not None:
        return Value(origins=owner.origins, tensor=PLAIN, lost=owner.lost, memory=owner.memory)
    found = plain(owner.origins, owner.memory)
    return found if owner.made_at is None or found.origins == frozenset() else replace(found, made_at=owner.made_at)


def named_part(owner: Value, name: object, run: "Memory") -> Value:
    """What a forward gives under a name: logits and losses are tensors of its graph."""
    found, event = part_of(owner), run.flow.calls.get(owner.made_at or 0)
    if name not in _OF_GRAPH or found.kind != "unknown" or found.tensor == PLAIN or not owner.tensor & COMPUTED:
        return found
    return replace(found, kind="tensor", tensor=COMPUTED | PLAIN) if event is not None and event.forward else found


def index(how: str, shadow: frozenset[Origin], at: int, run: "Memory") -> Value:
    """Integers or booleans, computed: no graph leads through them."""
    return replace(made("tensor", PLAIN, at, run, lost=Loss(how, run.function.place(at))), shadow=shadow)


def picked(values: list[Value]) -> list[Value]:
    """A tensor, and the integers that elements are taken from it by: nobody means to train through those."""
    return [*values[:1], *(replace(value, shadow=NOTHING) for value in values[1:])]


def inherited(values: Iterable[Value]) -> Loss | None:
    """Why nothing that goes into an operation has a graph; None if that is not known of each of them."""
    found: list[Loss] = []
    for value in values:
        if value.kind == "container":
            value = replace(value, lost=inherited(value.items or ()))
        if value.kind in ("tensor", "unknown", "container", "parameters") and value.lost is None:
            return None
        if value.lost is not None:
            found.append(value.lost)
    return next((loss for loss in found if not loss.how.startswith("torch.")), found[0] if found else None)


def lost_here(at: int, run: "Memory") -> Loss | None:
    """The function's own guard under which a place records nothing; None if there is no such guard."""
    mode = run.own_guard(at)
    return Loss(mode, run.function.place(at)) if mode is not None else None
