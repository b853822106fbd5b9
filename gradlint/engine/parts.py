"""Modules in parts of about the same amount of work."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gradlint.project.linking.nodes import ModuleNode
from gradlint.source import Source


def size(modules: Iterable[ModuleNode], texts: Mapping[str, Source]) -> int:
    """How much code there is in modules, in bytes."""
    return sum(texts[module.path].size for module in modules)


def parts(
    modules: Sequence[ModuleNode], texts: Mapping[str, Source], most: float, *, first: float = 0
) -> Iterator[list[ModuleNode]]:
    """Neighbouring modules, in parts of so many bytes of code or little more, the ``first`` perhaps of another size."""
    part: list[ModuleNode] = []
    limit = first or most
    so_far = 0
    for module in modules:
        part.append(module)
        so_far += size([module], texts)
        if so_far >= limit:
            yield part
            part, limit, so_far = [], most, 0
    if part or not modules:
        yield part
