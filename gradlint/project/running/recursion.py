"""Results that lean on one another, and which of them must be worked out again.

A function that is asked for while it is being run can only show what is known so far. Whatever was concluded from
that is *provisional*: it would differ had another function of the same circle been asked first. So it is remembered
only until the outermost result that it leans on is there, and worked out again when it is next wanted.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_MOST_TIMES = 2  # one result is thrown away; else a large circle would be run once for each function in it


@dataclass(slots=True)
class _Open(Generic[Key]):
    """A result that is being worked out.

    ``outermost`` is the depth of the outermost open result it leans on; ``provisional`` what leans on this one.
    """

    depth: int
    outermost: int
    provisional: list[Key] = field(default_factory=list)


class Recursion(Generic[Key]):
    """Knows what is being worked out, outermost first, and who leaned on what was not ready.

    ``kept`` are the results that leaned on the last one that came to its end, and stay all the same.
    """

    def __init__(self) -> None:
        self.kept: list[Key] = []
        self._open: dict[Key, _Open[Key]] = {}
        self._heads: dict[Key, _Open[Key]] = {}  # what each provisional result leans on
        self._thrown: Counter[Key] = Counter()

    def begin(self, key: Key) -> None:
        """Start to work out a result."""
        self._open[key] = _Open(len(self._open), len(self._open))

    def is_open(self, key: Key) -> bool:
        """Whether a result is being worked out; who asks leans on it."""
        self.lean(key)
        return key in self._open

    def is_settled(self, key: Key) -> bool:
        """Whether a result is neither being worked out, nor leans on one that is."""
        return key not in self._open and key not in self._heads

    def lean(self, key: Key) -> None:
        """The innermost open result used another: an open one as far as it got, or a provisional one."""
        head = self._open.get(key) or self._heads.get(key)
        if head is not None:
            self._lean_on(head.depth)

    def lean_on_all(self) -> None:
        """The innermost open result did without something, because too many are open."""
        self._lean_on(0)

    def _lean_on(self, depth: int) -> None:
        if self._open:
            innermost = next(reversed(self._open.values()))
            innermost.outermost = min(innermost.outermost, depth)

    def end(self, key: Key) -> Iterator[Key]:
        """A result is there; gives those to be forgotten, because what they leaned on is known better now."""
        own = self._open.pop(key)
        self.kept = []
        if own.outermost == own.depth:
            for leaning in dict.fromkeys(own.provisional):  # a function may have been run in several ways
                self._heads.pop(leaning, None)
                self._thrown[leaning] += 1
                if self._thrown[leaning] <= _MOST_TIMES:
                    yield leaning
                else:
                    self.kept.append(leaning)
            return
        self._lean_on(own.outermost)
        head = next(found for found in self._open.values() if found.depth == own.outermost)
        for leaning in (*own.provisional, key):
            self._heads[leaning] = head
            head.provisional.append(leaning)

    def forget(self, key: Key) -> None:
        """A result is out of date: how often it was thrown away no longer counts."""
        self._thrown.pop(key, None)
