"""Sets as values hold them: where paths meet most is the same, and a set takes as much memory as a value."""

from collections.abc import Iterable
from functools import reduce
from typing import Any, TypeVar

Part = TypeVar("Part")

NOTHING: frozenset[Any] = frozenset()


class _Alone(dict[int, frozenset[int]]):
    """The one set of nothing but a number, for each."""

    def __missing__(self, number: int) -> frozenset[int]:
        self[number] = frozenset({number})
        return self[number]


ALONE = _Alone()


def joined(first: frozenset[Part], second: frozenset[Part]) -> frozenset[Part]:
    """What is in one or the other: one of them, where that holds it all."""
    if not second or first is second:
        return first
    if not first:
        return second
    both = first | second
    if len(both) == len(first):
        return first
    return second if len(both) == len(second) else both


def together(sets: Iterable[frozenset[Part]]) -> frozenset[Part]:
    """What is in any of them."""
    return reduce(joined, sets, NOTHING)
