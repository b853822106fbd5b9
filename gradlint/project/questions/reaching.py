"""Which functions say certain words, or call one that does: asked of names, before anything is run."""

from collections.abc import Callable, Set

from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Table
from gradlint.project.linking.nodes import FunctionNode


class Reaching:
    """Errs on the side of reaching: what a function calls may never get to what its words are about."""

    def __init__(self, name: str, linker: Linker, calls: CallGraph, says: Callable[[Set[str]], bool]) -> None:
        self._linker = linker
        self._calls = calls
        self._says = says
        self._functions: Table[FunctionNode, bool] = Table(linker.dependencies, name, self._find, lambda _: ())

    def _find(self) -> dict[FunctionNode, bool]:
        functions = (function for module in self._linker.modules for function in module.functions)
        own = (function for function in functions if self._says(function.facts.words))
        return dict.fromkeys(self._calls.above(*own), True)

    def of(self, function: FunctionNode) -> bool:
        """Whether a function says one of the words, or calls one that does, directly or not."""
        return self._says(function.facts.words) or function in self._functions
