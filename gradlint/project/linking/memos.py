"""What is worked out once: a result for each key, answers that all modules have a part in, each with what it took."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Generic, TypeVar

from gradlint.project.linking.dependencies import Change, Dependencies, Node, bit_of

Key = TypeVar("Key")
Found = TypeVar("Found")
Other = TypeVar("Other")


class Memo(Generic[Key, Found]):
    """Results by what they are about, each with what it depends on.

    A key is a node or begins with one. ``meanwhile`` is what is seen of a result that is being worked out. Those with
    a ``name`` are kept for other processes.
    """

    __slots__ = ("_dependencies", "_find", "_known", "_meanwhile", "_told")

    def __init__(
        self, dependencies: Dependencies, find: Callable[[Key], Found], meanwhile: Found, name: str = ""
    ) -> None:
        self._dependencies = dependencies
        self._find = find
        self._meanwhile = meanwhile
        self._known: dict[Key, tuple[Found, int]] = {}
        self._told = 0  # so many of them, the first, others have heard of
        dependencies.remember(self)
        if name:
            dependencies.keep(name, self)

    @property
    def known(self) -> Mapping[Key, tuple[Found, int]]:
        """All results so far."""
        return self._known

    def news(self) -> Mapping[Key, tuple[Found, int]]:
        """What has been worked out since this was asked before."""
        told, self._told = self._told, len(self._known)
        return dict(islice(self._known.items(), told, None))

    def hear(self, known: Mapping[Key, tuple[Found, int]]) -> None:
        """Know results that were found in another process."""
        self._known = {**known, **self._known}

    def __contains__(self, key: Key) -> bool:
        return key in self._known

    def of(self, key: Key) -> Found:
        """The result for a key, worked out or remembered."""
        known = self._known.get(key)
        if known is None:
            return self._worked_out(key)
        self._dependencies.bits |= known[1]
        return known[0]

    def _worked_out(self, key: Key) -> Found:
        dependencies, bit = self._dependencies, bit_of(key)
        self._known[key] = (self._meanwhile, bit)
        outside, dependencies.bits = dependencies.bits, bit
        try:
            found, bits = self._find(key), dependencies.bits
            bits = bit if bits == bit else dependencies.same(bits)
            known: tuple[Any, int] = dependencies.nothing(bits) if found is None else (found, bits)
            self._known[key] = known
            return found
        except BaseException:
            self._known.pop(key, None)
            raise
        finally:
            dependencies.bits |= outside

    def forget(self, changed: int) -> None:
        """Forget the results that depend on one of these bits."""
        self._known = {key: known for key, known in self._known.items() if not known[1] & changed}
        self._told = len(self._known)


class Table(Generic[Key, Found]):
    """Answers that many modules have a part in, found for all keys at once when first asked for.

    ``nodes`` are those that an answer names: who has it may look at them.
    """

    def __init__(
        self,
        dependencies: Dependencies,
        name: str,
        find: Callable[[], Mapping[Key, Found]],
        nodes: Callable[[Found], Iterable[Node]],
        *,
        first: bool = False,
    ) -> None:
        self._dependencies = dependencies
        self._name = name
        self._find = find
        self._nodes = nodes
        self._all: Mapping[Key, Found] | None = None
        self._before: Mapping[Key, Found] | None = None
        self._known: dict[Key, tuple[Found | None, int]] = {}
        dependencies.tabulate(name, self, first=first)

    @property
    def all(self) -> Mapping[Key, Found]:
        """All answers, for what all modules have a part in again."""
        if self._all is None:
            self._all = self._dependencies.aside(self._find)
        return self._all

    @all.setter
    def all(self, answers: Mapping[Key, Found]) -> None:
        self._all = answers

    def get(self, key: Key, default: Other) -> Found | Other:
        """The answer for a key, if there is one."""
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._looked_up(key)
        self._dependencies.bits |= known[1]
        return known[0] if known[0] is not None else default

    def __contains__(self, key: Key) -> bool:
        return self.get(key, None) is not None

    def _looked_up(self, key: Key) -> tuple[Found | None, int]:
        found = self.all.get(key)
        bits = self._dependencies.question(self._name, key)
        self._dependencies.asked[self._name] |= bits
        if found is None:
            return self._dependencies.nothing(bits)
        for node in self._nodes(found):
            bits |= node.module.bit
        return found, self._dependencies.same(bits)

    def clear(self) -> None:
        """Set the answers aside, to be found anew."""
        self._before, self._all = self._all, None
        self._known = {}

    def changed(self, change: Change) -> int:
        """The bits of questions that were asked and have another answer now.

        Who asked about a node of a module that is gone, or heard of one, has looked at that and need not be told.
        """
        before, self._before = self._before, None
        if before is None:
            return 0
        bits, asked = 0, self._dependencies.asked[self._name]
        now, touched = self.all, change.touched
        for key in {**before, **now}:
            known = before.get(key)
            if known == now.get(key) or bit_of(key) & touched:
                continue
            if known is None or not any(node.module.bit & touched for node in self._nodes(known)):
                bits |= self._dependencies.question(self._name, key) & asked
        return bits


class Whole(Table[str, tuple[Found]]):
    """One answer that many modules have a part in, found when first asked for."""

    def __init__(
        self, dependencies: Dependencies, name: str, find: Callable[[], Found], *, first: bool = False
    ) -> None:
        super().__init__(dependencies, name, lambda: {"": (find(),)}, lambda _: (), first=first)

    @property
    def value(self) -> Found:
        """The answer."""
        known = self._known.get("")
        if known is None:
            known = self._known[""] = self._looked_up("")
        self._dependencies.bits |= known[1]
        assert known[0] is not None
        return known[0][0]
