"""Which functions use a word: told by their words alone, for what is about all of the project."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from gradlint.project.linking.dependencies import Change, Dependencies
from gradlint.project.linking.nodes import FunctionNode, ModuleNode

_FEW = 8  # words that are looked for one by one: to sort all words of a project takes as long


class Mentions:
    """Functions by word; only words that somebody asks for are looked for, until so many are that all are sorted."""

    def __init__(self, dependencies: Dependencies, modules: Sequence[ModuleNode]) -> None:
        self._dependencies = dependencies
        self._modules = modules
        self._known: dict[str, tuple[Sequence[FunctionNode], int]] = {}
        self._looked = 0  # for how many words since the last edit
        self._sorted: Mapping[str, Sequence[FunctionNode]] | None = None
        dependencies.answer(self)

    def of(self, word: str) -> Sequence[FunctionNode]:
        """The functions of the project that use a word, in order of path and place."""
        if word not in self._known:
            self._known[word] = self._looked_for(word)
        functions, bits = self._known[word]
        self._dependencies.bits |= bits
        return functions

    def _looked_for(self, word: str) -> tuple[Sequence[FunctionNode], int]:
        bits = self._dependencies.question("words", word)
        self._dependencies.asked["words"] |= bits
        found = self._dependencies.aside(lambda: self._using(word))
        for function in found:
            bits |= function.module.bit
        return found, bits

    def _using(self, word: str) -> Sequence[FunctionNode]:
        functions = (function for module in self._modules for function in module.functions)
        self._looked += 1
        if self._looked < _FEW:
            return [function for function in functions if word in function.facts.words]
        if self._sorted is None:
            self._sorted = _by_word(functions)
        return self._sorted.get(word, ())

    def clear(self) -> None:
        """Keep the answers, of which few change."""
        self._looked, self._sorted = 0, None

    def changed(self, change: Change) -> int:
        """The bits of the words that are used now and were not before; who knows of others looked at the modules."""
        before, now = _words(change.gone), _words(change.come)
        for word in before | now:
            self._known.pop(word, None)
        bits = 0
        for word in now - before:
            bits |= self._dependencies.question("words", word)
        return bits & self._dependencies.asked["words"]


def _by_word(functions: Iterable[FunctionNode]) -> Mapping[str, Sequence[FunctionNode]]:
    found: defaultdict[str, list[FunctionNode]] = defaultdict(list)
    for function in functions:
        for word in function.facts.words:
            found[word].append(function)
    return {**found}


def _words(modules: Sequence[ModuleNode]) -> frozenset[str]:
    return frozenset().union(*(function.facts.words for module in modules for function in module.functions))
