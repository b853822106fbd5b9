"""What results depend on, so that after an edit only those are worked out again that it may have changed.

Who works something out looks at modules, and asks questions whose answers any module may change: who calls this
function, which classes derive from that one. Both are noted as bits of one number. A result keeps its number, and
whoever uses it has looked at as much. So a node of another module may only be come by through something that notes
it: names through the linker, callers through a table, results through a memo (:mod:`gradlint.project.linking.memos`).

After an edit the bits of the modules that changed, and of the questions that have another answer now, tell what to
forget. Questions share bits, which costs work and never a result.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from gradlint.model.record import answer
from gradlint.project.linking.nodes import ClassNode, FunctionNode, ModuleNode

if TYPE_CHECKING:
    from gradlint.project.linking.memos import Memo, Table

_QUESTIONS = 2048  # bits for them, after those of modules
_EVERYTHING = -1
_NODES = (FunctionNode, ClassNode, ModuleNode)

Node = FunctionNode | ClassNode | ModuleNode
Found = TypeVar("Found")
# Results with what they depend on, by what they are about, by the name of what remembers them.
ByName = Mapping[str, Mapping[Any, tuple[Any, int]]]


@answer
class Change:
    """Modules that are gone and that have come, those of one path in the place of one another.

    ``bits`` are those of modules for which names may mean something else now.
    """

    gone: Sequence[ModuleNode]
    come: Sequence[ModuleNode]
    bits: int = 0

    @property
    def touched(self) -> int:
        """The bits of all modules that it is about."""
        bits = self.bits
        for module in (*self.gone, *self.come):
            bits |= module.bit
        return bits


@answer
class News:
    """What has been worked out: results with what they depend on, by the name of the memo, and those of views.

    ``asked`` are all questions asked for it, by the name of the table, as bits.
    """

    asked: Mapping[str, int]
    memos: ByName
    views: ByName


@answer
class Results:
    """What has been worked out of a project, for another process to go on with.

    Answers by the name of the table, and all ``found`` besides.
    """

    tables: Mapping[str, Mapping[Any, Any]]
    found: News


class Remembering(Protocol):
    """What remembers results."""

    def forget(self, changed: int) -> None:
        """Forget the results that depend on one of these bits."""
        ...


class Answering(Protocol):
    """What has answers that many modules have a part in."""

    def clear(self) -> None:
        """Set the answers aside, to be found anew."""
        ...

    def changed(self, change: Change) -> int:
        """The bits of questions that were asked and have another answer now."""
        ...


class Viewing(Remembering, Answering, Protocol):
    """What remembers results and finds them again after edits; see :class:`~gradlint.project.linking.views.View`."""

    @property
    def known(self) -> Mapping[Any, tuple[Any, int]]:
        """All answers so far, each with what it depends on."""
        ...

    def news(self) -> Mapping[Any, tuple[Any, int]]:
        """What has been worked out since this was asked before."""
        ...

    def hear(self, known: Mapping[Any, tuple[Any, int]]) -> None:
        """Know answers that were found in another process."""
        ...


class Dependencies:
    """Notes what is looked at.

    ``bits`` is all of it since the innermost result was begun, ``asked`` the bits of all questions ever asked, by the
    name of the table.
    """

    __slots__ = (
        "_answering",
        "_first",
        "_kept",
        "_memos",
        "_nothing",
        "_questions",
        "_same",
        "_tables",
        "_views",
        "asked",
        "bits",
    )

    def __init__(self, modules: int) -> None:
        """For so many modules."""
        self._first = modules
        self._same: dict[int, int] = {}
        self._nothing: dict[int, tuple[None, int]] = {}
        self._questions: dict[int, int] = {}  # some hundred bytes each, and most tables answer nothing to most keys
        self.bits = _EVERYTHING  # nobody wants to know yet
        self.asked: Counter[str] = Counter()
        self._memos: list[Remembering] = []
        self._answering: list[Answering] = []
        self._tables: dict[str, Table[Any, Any]] = {}
        self._kept: dict[str, Memo[Any, Any]] = {}
        self._views: dict[str, Viewing] = {}

    def remember(self, memo: Remembering) -> None:
        """Tell a memo when it is to forget."""
        self._memos.append(memo)

    def answer(self, answering: Answering, *, first: bool = False) -> None:
        """Have answers found again after edits: in this order, for later ones may depend on earlier ones."""
        self._answering.insert(0 if first else len(self._answering), answering)

    def tabulate(self, name: str, table: "Table[Any, Any]", *, first: bool = False) -> None:
        """Have a table's answers found again after edits, and kept for other processes."""
        self._tables[name] = table
        self.answer(table, first=first)

    def keep(self, name: str, memo: "Memo[Any, Any]") -> None:
        """Have a memo's results kept for other processes."""
        self._kept[name] = memo

    def look(self, name: str, view: Viewing) -> None:
        """Have a view's answers found again after edits, and kept for other processes."""
        self._views[name] = view
        self.remember(view)
        self.answer(view)

    def news(self) -> News:
        """What has been worked out for other processes since this was asked before."""
        return News(
            {**self.asked},
            {name: news for name, memo in self._kept.items() if (news := memo.news())},
            {name: news for name, view in self._views.items() if (news := view.news())},
        )

    def hear(self, news: News) -> None:
        """Know what has been worked out in another process."""
        for name, bits in news.asked.items():
            self.asked[name] |= bits
        for name, known in news.memos.items():
            self._kept[name].hear(known)
        for name, seen in news.views.items():
            self._views[name].hear(seen)

    @property
    def results(self) -> Results:
        """What is worked out so far, less what nobody asked about or is quickly found again."""
        return Results(
            {name: {**table.all} for name, table in [*self._tables.items()] if self.asked[name]},
            News(
                {**self.asked},
                {name: memo.known for name, memo in self._kept.items()},
                {name: view.known for name, view in self._views.items()},
            ),
        )

    def go_on(self, results: Results) -> None:
        """Go on with what was worked out of the same modules in another process."""
        for name, answers in results.tables.items():
            self._tables[name].all = answers
        self.hear(results.found)

    def leave(self) -> None:
        """Forget what is not kept for other processes."""
        kept = {id(each) for each in (*self._kept.values(), *self._views.values())}
        for memo in self._memos:
            if id(memo) not in kept:
                memo.forget(_EVERYTHING)

    def question(self, table: str, key: object) -> int:
        """The bit of a question, if any are noted; the same in all processes."""
        if not self._first:
            return 0
        number = self._first + (_number(table) + _number(key)) % _QUESTIONS
        bit = self._questions.get(number)
        if bit is None:
            bit = self._questions[number] = 1 << number
        return bit

    def same(self, bits: int) -> int:
        """An equal number that others have, too: most results depend on the same few modules."""
        return self._same.setdefault(bits, bits)

    def nothing(self, bits: int) -> tuple[None, int]:
        """That nothing was found, with what that depends on; the same for all: most tables have few answers."""
        return self._nothing.setdefault(bits, (None, bits))

    def aside(self, find: Callable[[], Found]) -> Found:
        """Find what all modules have a part in: who asks depends on the answer, not on all that was looked at."""
        return self.apart(find, _EVERYTHING)[0]

    def apart(self, find: Callable[[], Found], start: int) -> tuple[Found, int]:
        """What is found, and what was looked at for it, of which who asks need not know."""
        outside, self.bits = self.bits, start
        try:
            return find(), self.bits
        finally:
            self.bits = outside

    def noted(self, find: Callable[[], Found], start: int) -> tuple[Found, int]:
        """What is found, and what was looked at for it."""
        outside, self.bits = self.bits, start
        try:
            found = find()
            return found, self.same(self.bits)
        finally:
            self.bits |= outside

    def update(self, change: Change) -> int:
        """Forget what depends on modules that have changed; the bits of all that has."""
        changed = change.touched
        self._same.clear()
        self._nothing.clear()
        self._forget(changed)
        for answering in self._answering:
            answering.clear()
        for answering in [*self._answering]:
            bits = answering.changed(change)
            while bits:
                self._forget(bits)
                changed |= bits
                # What a view answers may take others of its answers.
                bits = answering.changed(change) if answering in self._views.values() else 0
        while bits := self._seen_anew(change):  # by what later answers have changed
            self._forget(bits)
            changed |= bits
        return changed

    def _seen_anew(self, change: Change) -> int:
        bits = 0
        for view in self._views.values():
            bits |= view.changed(change)
        return bits

    def _forget(self, changed: int) -> None:
        for memo in self._memos:
            memo.forget(changed)


def bit_of(key: object) -> int:
    """The bit of the module of a node, or of the node that a key begins with; 0 if there is none."""
    node = key[0] if isinstance(key, tuple) else key
    return node.module.bit if isinstance(node, _NODES) else 0


def _number(key: object) -> int:
    """A number for a name or a node, such that there are few others with the same one."""
    match key:
        case FunctionNode(module=module, facts=facts):
            return module.bit.bit_length() * 193 + facts.index
        case ClassNode(module=module):
            return module.bit.bit_length() * 193 + _number(key.name)
        case ModuleNode(bit=bit):
            return bit.bit_length()
        case (first, *rest):
            return sum(map(_number, rest), _number(first) * 31)
        case _:
            return zlib.crc32(str(key).encode("utf-8", "surrogatepass"))
