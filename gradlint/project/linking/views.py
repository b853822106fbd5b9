"""Results of which who asks depends on the answer alone, so that an edit that leaves the answer concerns nobody."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Generic, TypeVar

from gradlint.project.linking.dependencies import Change, Dependencies, Node, bit_of

Key = TypeVar("Key")
Found = TypeVar("Found")

FEW = 8  # modules that most answers take; what takes more are names behind ``*``, methods that all classes share


class View(Generic[Key, Found]):
    """Results by what they are about, of which who asks depends on the answer alone, not on all it was found by.

    After an edit the answers that it may have changed are found again at once. A key is a node or begins with one.
    ``nodes`` are those that an answer names; ``meanwhile`` holds what is seen of one that is being worked out, where
    answers may lead back to themselves. An answer that took no more than ``few`` modules is not worth that: who asks
    depends on those.
    """

    __slots__ = (
        "_before",
        "_dependencies",
        "_few",
        "_find",
        "_heard",
        "_known",
        "_meanwhile",
        "_name",
        "_news",
        "_nodes",
        "_seen",
    )

    def __init__(
        self,
        dependencies: Dependencies,
        name: str,
        find: Callable[[Key], Found],
        nodes: Callable[[Found], Iterable[Node]],
        *,
        meanwhile: tuple[Found] | tuple[()] = (),
        few: int = 0,
    ) -> None:
        self._dependencies = dependencies
        self._name = name
        self._find = find
        self._nodes = nodes
        self._meanwhile = meanwhile
        self._few = few
        self._seen: set[Key] = set()  # what somebody asked who depends on the answer alone
        self._known: dict[Key, tuple[Found, int, int]] = {}  # with what who asks depends on, and the answer itself
        self._heard: Mapping[Key, tuple[Found, int]] = {}  # from other processes, until somebody asks
        self._before: dict[Key, Found] = {}
        self._news: list[Key] = []
        dependencies.look(name, self)

    def of(self, key: Key) -> Found:
        """The answer for a key, worked out or remembered."""
        known = self._known.get(key)
        if known is None:
            known = self._worked_out(key) if key not in self._heard else self._know(key, *self._heard[key])
        self._dependencies.bits |= known[1]
        return known[0]

    def __contains__(self, key: Key) -> bool:
        return key in self._known or key in self._heard

    def learn(self, key: Key, found: Found, bits: int) -> None:
        """Know an answer that was found elsewhere, with what that depends on."""
        self._news.append(key)
        self._know(key, found, bits)

    def _worked_out(self, key: Key) -> tuple[Found, int, int]:
        dependencies, own = self._dependencies, bit_of(key)
        for meanwhile in self._meanwhile:
            self._known[key] = meanwhile, own, own
        try:
            found, bits = dependencies.apart(partial(self._find, key), own)
        except BaseException:
            self._known.pop(key, None)
            raise
        if key not in self._seen and bits.bit_count() <= self._few:
            bits = dependencies.same(bits)
            self._known[key] = found, bits, bits
        else:
            self.learn(key, found, bits)
        return self._known[key]

    def _know(self, key: Key, found: Found, bits: int) -> tuple[Found, int, int]:
        dependencies = self._dependencies
        asked = dependencies.question(self._name, key)
        dependencies.asked[self._name] |= asked
        asked |= bit_of(key)
        for node in self._nodes(found):
            asked |= node.module.bit
        self._seen.add(key)
        known = self._known[key] = found, dependencies.same(asked), dependencies.same(bits)
        return known

    def news(self) -> dict[Key, tuple[Found, int]]:
        """What has been worked out since this was asked before."""
        news, self._news = self._news, []
        return {key: (known[0], known[2]) for key in news if (known := self._known.get(key)) is not None}

    @property
    def known(self) -> Mapping[Key, tuple[Found, int]]:
        """All answers so far, each with what it depends on."""
        own = {key: (found, bits) for key, (found, asked, bits) in self._known.items() if asked is not bits}
        return {**self._heard, **own}

    def hear(self, known: Mapping[Key, tuple[Found, int]]) -> None:
        """Know answers that were found in another process."""
        self._heard = {**known, **self._heard}

    def forget(self, changed: int) -> None:
        """Set the answers aside that depend on one of these bits."""
        gone = {key: found for key, (found, bits) in self._heard.items() if bits & changed}
        if gone:
            self._heard = {key: known for key, known in self._heard.items() if key not in gone}
            self._seen.update(gone)
            self._before.update(gone)
        for key in [key for key, known in self._known.items() if known[2] & changed]:
            found, asked, bits = self._known.pop(key)
            if asked is not bits:
                self._before[key] = found

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
