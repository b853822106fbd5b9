"""Results of which who asks depends on the answer alone, so that an edit that leaves the answer concerns nobody."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Generic, TypeVar

from gradlint.project.linking.dependencies import Change, Dependencies, Node, bit_of

Key = TypeVar("Key")
Found = TypeVar("Found")


class View(Generic[Key, Found]):
    """Results by what they are about, of which who asks depends on the answer alone, not on all it was found by.

    After an edit the answers that it may have changed are found again at once. A key is a node or begins with one,
    and no answer takes another of the same view. ``nodes`` are those that an answer names.
    """

    __slots__ = ("_before", "_dependencies", "_find", "_known", "_name", "_news", "_nodes")

    def __init__(
        self,
        dependencies: Dependencies,
        name: str,
        find: Callable[[Key], Found],
        nodes: Callable[[Found], Iterable[Node]],
    ) -> None:
        self._dependencies = dependencies
        self._name = name
        self._find = find
        self._nodes = nodes
        self._known: dict[Key, tuple[Found, int, int]] = {}  # with what who asks depends on, and the answer itself
        self._before: dict[Key, Found] = {}
        self._news: list[Key] = []
        dependencies.look(name, self)

    def of(self, key: Key) -> Found:
        """The answer for a key, worked out or remembered."""
        known = self._known.get(key)
        if known is None:
            known = self._worked_out(key)
        self._dependencies.bits |= known[1]
        return known[0]

    def _worked_out(self, key: Key) -> tuple[Found, int, int]:
        dependencies = self._dependencies
        outside, dependencies.bits = dependencies.bits, bit_of(key)
        try:
            found, bits = self._find(key), dependencies.bits
        finally:
            dependencies.bits = outside
        self._news.append(key)
        self._know(key, found, bits)
        return self._known[key]

    def _know(self, key: Key, found: Found, bits: int) -> None:
        dependencies = self._dependencies
        asked = dependencies.question(self._name, key)
        dependencies.asked[self._name] |= asked
        asked |= bit_of(key)
        for node in self._nodes(found):
            asked |= node.module.bit
        self._known[key] = found, dependencies.same(asked), dependencies.same(bits)

    def news(self) -> dict[Key, tuple[Found, int]]:
        """What has been worked out since this was asked before."""
        news, self._news = self._news, []
        return {key: (known[0], known[2]) for key in news if (known := self._known.get(key)) is not None}

    @property
    def known(self) -> Mapping[Key, tuple[Found, int]]:
        """All answers so far, each with what it depends on."""
        return {key: (found, bits) for key, (found, _, bits) in self._known.items()}

    def hear(self, known: Mapping[Key, tuple[Found, int]]) -> None:
        """Know answers that were found in another process."""
        for key, (found, bits) in known.items():
            if key not in self._known:
                self._know(key, found, bits)

    def forget(self, changed: int) -> None:
        """Set the answers aside that depend on one of these bits."""
        for key in [key for key, known in self._known.items() if known[2] & changed]:
            self._before[key] = self._known.pop(key)[0]

    def clear(self) -> None:
        """Keep what was not set aside."""

    def changed(self, change: Change) -> int:
        """The bits of questions that have another answer now; who heard of nodes that are gone has looked at those."""
        before, self._before = self._before, {}
        bits, touched = 0, change.touched
        for key, known in before.items():
            if bit_of(key) & touched or any(node.module.bit & touched for node in self._nodes(known)):
                continue
            if self._dependencies.aside(partial(self.of, key)) != known:
                bits |= self._dependencies.question(self._name, key)
        return bits
