"""Which functions use a word: told by their words alone, for what is about all of the project."""

from collections.abc import Sequence

from gradlint.project.dependencies import Dependencies, Replaced
from gradlint.project.nodes import FunctionNode, ModuleNode


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

    def changed(self, replaced: Replaced) -> int:
        """The bits of the words that a module uses now and did not use before; who knows of others looked at it."""
        bits = 0
        for old, new in replaced.items():
            before, now = _words(old), _words(new)
            for word in now - before:
                bits |= self._dependencies.question("words", word) & self._dependencies.asked["words"]
            for word in before | now:
                self._known.pop(word, None)
        return bits


def _words(module: ModuleNode) -> frozenset[str]:
    return frozenset().union(*(function.facts.words for function in module.functions))
