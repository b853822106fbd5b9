"""Which functions use a word: told by their words alone, for what is about all of the project."""

from collections.abc import Sequence

from gradlint.project.linking.dependencies import Change, Dependencies
from gradlint.project.linking.nodes import FunctionNode, ModuleNode


class Mentions:
    """Functions by word; only words that somebody asks for are looked for."""

    def __init__(self, dependencies: Dependencies, modules: Sequence[ModuleNode]) -> None:
        self._dependencies = dependencies
        self._modules = modules
        self._known: dict[str, tuple[list[FunctionNode], int]] = {}
        dependencies.answer(self)

    def of(self, word: str) -> Sequence[FunctionNode]:
        """The functions of the project that use a word, in order of path and place."""
        if word not in self._known:
            self._known[word] = self._looked_for(word)
        functions, bits = self._known[word]
        self._dependencies.bits |= bits
        return functions

    def _looked_for(self, word: str) -> tuple[list[FunctionNode], int]:
        bits = self._dependencies.question("words", word)
        self._dependencies.asked["words"] |= bits
        found = self._dependencies.aside(
            lambda: [f for m in self._modules for f in m.functions if word in f.facts.words]
        )
        for function in found:
            bits |= function.module.bit
        return found, bits

    def clear(self) -> None:
        """Keep the answers, of which few change."""

    def changed(self, change: Change) -> int:
        """The bits of the words that are used now and were not before; who knows of others looked at the modules."""
        before, now = _words(change.gone), _words(change.come)
        for word in before | now:
            self._known.pop(word, None)
        bits = 0
        for word in now - before:
            bits |= self._dependencies.question("words", word)
        return bits & self._dependencies.asked["words"]


def _words(modules: Sequence[ModuleNode]) -> frozenset[str]:
    return frozenset().union(*(function.facts.words for module in modules for function in module.functions))
