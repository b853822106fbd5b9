"""Dicts that are spelt out: what is under each of their keys, for who makes them and for who is given them."""

from typing import TYPE_CHECKING, TypeGuard

from gradlint.model.code import Assign, Call, Constant, Display, Expression, Return, dotted
from gradlint.model.record import replace
from gradlint.model.traverse import all_of, statements
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.values import COMPUTED, Value

if TYPE_CHECKING:
    from gradlint.project.running.flow import Flow

_NUMBERS = 8  # bits
Entries = tuple[tuple[object, Value], ...]  # keys that are constants, None for others, and what is under them


def entries(node: Display, items: tuple[Value, ...]) -> Entries:
    """The keys of a dict, as far as they are constants, with the values."""
    keys = (key.value if isinstance(key, Constant) else None for key in node.keys)
    return tuple(zip(keys, items, strict=True))


def given_back(flow: "Flow", found: Value | None) -> Entries:
    """What a function gives back in a dict that it spells out, and hands to nobody before it does.

    ``found`` is what it returns, or one of several things.
    """
    if found is None or found.kind != "container" or found.made_at not in flow.dicts:
        return ()
    return flow.dicts[found.made_at] if _is_returned_as_written(flow.function, found.made_at) else ()


def _is_returned_as_written(function: FunctionNode, at: int) -> bool:
    body = function.facts.body
    whole = [each.value for each in statements(body) if isinstance(each, Return) and each.value is not None]
    returned = [one for each in whole for one in (each.items if _is_tuple(each) else (each,))]
    names = {dotted(value) for value in returned} - {None}
    handed = {dotted(argument.value) for call in all_of(Call, body) for argument in call.arguments}
    assigned = (each for each in statements(body) if isinstance(each, Assign))
    written = [each.value for each in assigned if not names.isdisjoint(map(dotted, each.targets))]
    return names.isdisjoint(handed) and any(value.at == at for value in (*returned, *written))


def _is_tuple(node: Expression) -> TypeGuard[Display]:
    return isinstance(node, Display) and node.kind == "tuple"


def item_place(at: int, number: int) -> int:
    """What stands for the place of a dict that a call gives as one of several things: no call's, no parameter's."""
    return -(at << _NUMBERS) - number - 1


def _call_place(place: int) -> int:
    return place if place >= 0 else -(place + 1) >> _NUMBERS


def parts(flow: "Flow", whole: Value) -> tuple[Value, ...]:
    """What is in a tuple, or in a dict, that is spelt out; nothing where that is not known."""
    return whole.items or tuple(value for _, value in flow.dicts.get(whole.made_at or 0, ()))


def under_key(owner: Value, index: Expression, flow: "Flow") -> Value | None:
    """What a call of the project gives under a key, where that is a tensor that may have a graph."""
    if owner.kind != "container" or owner.made_at is None or not isinstance(index, Constant):
        return None
    if _call_place(owner.made_at) not in flow.calls:
        return None
    found = dict(flow.dicts.get(owner.made_at, ())).get(index.value)
    if found is None or not found.is_tensor or not found.origins or not found.tensor & COMPUTED:
        return None
    return replace(found, parameter=None)
