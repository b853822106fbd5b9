"""Programs that a repository holds several copies of: ``hw1/policy.py``, ``hw2/policy.py``."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import takewhile

from gradlint.project.linking.nodes import FunctionNode, ModuleNode


def nearest_copies(caller: ModuleNode, candidates: Sequence[FunctionNode]) -> list[FunctionNode]:
    """Of methods that files of the same name define alike, those whose files are nearest to the caller's."""
    nearest: defaultdict[tuple[tuple[str, ...], str], int] = defaultdict(int)
    near = {candidate: _folders_shared(caller, candidate.module) for candidate in candidates}
    for candidate, shared in near.items():
        nearest[_identity(candidate)] = max(nearest[_identity(candidate)], shared)
    return [candidate for candidate, shared in near.items() if shared == nearest[_identity(candidate)]]


def _identity(method: FunctionNode) -> tuple[tuple[str, ...], str]:
    """What a method and its copies have in common."""
    return method.module.parts[-1:], method.name


def _folders_shared(one: ModuleNode, other: ModuleNode) -> int:
    """How many folders lead to both of two modules, and one more for the same module."""
    pairs = zip(one.parts, other.parts, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
