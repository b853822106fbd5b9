"""Equal parts of facts, held once: the same numbers, names and sets of names come in every module."""

from typing import Any, TypeVar

Part = TypeVar("Part", str, tuple[str, ...], frozenset[str])

_MOST = 100_000  # parts that are remembered; more would be those of modules long gone
_known: dict[Any, Any] = {}


class _Numbers(dict[int, int]):
    """The one object for each number: a module has some ten thousand, and nodes are all there is much of."""

    def __missing__(self, number: int) -> int:
        self[number] = number
        return number


NUMBERS = _Numbers()


def shared(part: Part) -> Part:
    """An equal part that other facts may have, too."""
    if len(_known) >= _MOST:
        _known.clear()
    found: Part = _known.setdefault(part, part)
    return found
