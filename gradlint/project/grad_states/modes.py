"""Where code names torch's grad modes and asks for them, under whatever name."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache
from typing import TypeVar

from gradlint.model.code import Assign, Call, Expression, dotted
from gradlint.model.torch_names import GRAD_MODES, GRAD_QUERIES, GradModeName
from gradlint.model.traverse import all_of, statements
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo, Whole
from gradlint.project.linking.nodes import External, FunctionNode, ModuleNode

Answer = TypeVar("Answer", bound=Hashable)

_LONGEST_CHAIN = 8  # names for names for names
_WORDS = frozenset(name.rpartition(".")[2] for name in (*GRAD_MODES, *GRAD_QUERIES))


class Modes:
    """Says what an expression has to do with grad modes; follows imports and variables."""

    def __init__(self, linker: Linker, bindings: Bindings) -> None:
        self._linker = linker
        self._bindings = bindings
        self._holders_in: Memo[ModuleNode, frozenset[str]] = Memo(
            linker.dependencies, self._find_holders_in, frozenset(), "holders in"
        )
        self._spelt: dict[frozenset[str], Whole[frozenset[str]]] = {}
        self._renamings: Whole[dict[str, set[str]]] = Whole(linker.dependencies, "renamings", self._find_renamings)
        self._holders: Whole[frozenset[str]] = Whole(linker.dependencies, "holders", self._find_holders)

    def spellings(self, names: Iterable[str]) -> frozenset[str]:
        """The names, and those that imports and assignments anywhere in the project give to them."""
        names = frozenset(names)
        if names not in self._spelt:
            self.spell(names)
        return self._spelt[names].value

    @property
    def spelt(self) -> Iterable[frozenset[str]]:
        """All names whose spellings somebody asked for, the first first."""
        return self._spelt

    def spell(self, names: frozenset[str]) -> None:
        """Make room for the spellings of names."""
        self._spelt[names] = Whole(
            self._linker.dependencies, f"spellings {sorted(names)}", lambda: self._spellings(names), first=True
        )

    def _spellings(self, names: frozenset[str]) -> frozenset[str]:
        renamings, words, pending = self._renamings.value, set(names), [*names]
        while pending:
            new = renamings.get(pending.pop(), set()) - words
            words |= new
            pending.extend(new)
        return frozenset(words)

    def _find_renamings(self) -> dict[str, set[str]]:
        """The names that imports and assignments anywhere in the project give to what goes by another name."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for module in self._linker.modules:
            for name, new in module.facts.renamed:
                found[name].add(new)
        return dict(found)

    def mentioned(self, function: FunctionNode) -> bool:
        """Whether a function's scope may name a grad mode at all; costs next to nothing."""
        return not self.spellings(_WORDS).isdisjoint(function.facts.words)

    def _find_holders(self) -> frozenset[str]:
        """The last parts of the names that objects of a grad mode are kept under: ``quiet = torch.no_grad()``."""
        found = frozenset[str]().union(*map(self._holders_in.of, self._linker.modules))
        return self.spellings(found) if found else frozenset()

    def _find_holders_in(self, module: ModuleNode) -> frozenset[str]:
        found: set[str] = set()
        words = self.spellings(_WORDS)
        for function in module.functions:
            if words.isdisjoint(function.facts.words):
                continue
            for statement in statements(function.facts.body):
                if isinstance(statement, Assign) and self.made(function, statement.value) is not None:
                    found.update((dotted(target) or "").rpartition(".")[2] for target in statement.targets)
        return frozenset(found)

    def involved(self, function: FunctionNode) -> bool:
        """Whether a function's scope may name a grad mode, or a variable that holds an object of one."""
        return self.mentioned(function) or not self._holders.value.isdisjoint(function.facts.words)

    def full_name(self, function: FunctionNode, expression: Expression, depth: int = 0) -> str | None:
        """The one dotted name outside the project that a name, attribute or variable stands for."""
        name = dotted(expression)
        if name is None or depth > _LONGEST_CHAIN:
            return None
        found = self._of_all(function, name, lambda where, value: self.full_name(where, value, depth + 1))
        if found is None:
            return None
        target = self._linker.resolve(function, name)
        if isinstance(target, External):
            found.add(target.name)
        return found.pop() if len(found) == 1 else None

    def calls(self, function: FunctionNode, names: frozenset[str]) -> Iterator[tuple[Call, str]]:
        """The calls in a function of what has one of these full names, under whatever name, each with that."""
        spelt = self.spellings(_last_parts(names))
        if spelt.isdisjoint(function.facts.words):
            return
        for call in all_of(Call, function.facts.body):
            if (dotted(call.function) or "").rpartition(".")[2] in spelt:
                name = self.full_name(function, call.function)
                if name in names:
                    yield call, name

    def mode(self, function: FunctionNode, expression: Expression) -> GradModeName | None:
        """The grad mode that an expression names without calling it."""
        return GRAD_MODES.get(self.full_name(function, expression) or "")

    def made(self, function: FunctionNode, expression: Expression) -> GradModeName | None:
        """The grad mode that a call makes: ``torch.no_grad()``."""
        return self.mode(function, expression.function) if isinstance(expression, Call) else None

    def held(self, function: FunctionNode, expression: Expression, depth: int = 0) -> GradModeName | None:
        """The grad mode of the object that an expression gives: made on the spot, or by all that a name is assigned."""
        if isinstance(expression, Call):
            return self.made(function, expression)
        name = dotted(expression)
        if name is None or depth > _LONGEST_CHAIN:
            return None
        found: set[GradModeName] | None = self._of_all(
            function, name, lambda where, value: self.held(where, value, depth + 1)
        )
        return found.pop() if found is not None and len(found) == 1 else None

    def _of_all(
        self, function: FunctionNode, name: str, ask: Callable[[FunctionNode, Expression], Answer | None]
    ) -> set[Answer] | None:
        """What is answered of all that a name is assigned; None if of something there is no answer."""
        found: set[Answer] = set()
        for where, value in self._bindings.values(function, name):
            if dotted(value) == name:  # ``no_grad = no_grad`` says nothing
                continue
            answer = ask(where, value)
            if answer is None:
                return None
            found.add(answer)
        return found

    def decorating(self, function: FunctionNode, decorator: Expression) -> GradModeName | None:
        """The grad mode that a decorator in a function's scope applies: called, bare (since torch 2.1) or held."""
        return self.mode(function, decorator) or self.held(function, decorator)

    def query(self, function: FunctionNode, expression: Expression) -> str | None:
        """The query of the current mode that an expression names without calling it."""
        return GRAD_QUERIES.get(self.full_name(function, expression) or "")


@cache
def _last_parts(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name.rpartition(".")[2] for name in names)
