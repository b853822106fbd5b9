"""Which functions say certain words, or call one that does: asked of names, before anything is run."""

from collections.abc import Callable, Set

from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo, Table
from gradlint.project.linking.nodes import FunctionNode, ModuleNode


class Reaching:
    """Errs on the side of reaching: what a function calls may never get to what its words are about."""

    def __init__(self, name: str, linker: Linker, calls: CallGraph, says: Callable[[Set[str]], bool]) -> None:
        self._linker = linker
        self._calls = calls
        self._says = says
        self._saying: Memo[ModuleNode, tuple[int, ...]] = Memo(
            linker.dependencies, self._say_in, (), f"saying what is {name}"
        )
        self._functions: Table[FunctionNode, bool] = Table(linker.dependencies, name, self._find, lambda _: ())

    def _find(self) -> dict[FunctionNode, bool]:
        own = (module.functions[index] for module in self._linker.modules for index in self._saying.of(module))
        return dict.fromkeys(self._calls.above(*own), True)

    def _say_in(self, module: ModuleNode) -> tuple[int, ...]:
        """The functions of a module that say one of the words, by their index."""
        return tuple(index for index, function in enumerate(module.functions) if self._says(function.facts.words))

    def of(self, function: FunctionNode) -> bool:
        """Whether a function says one of the words, or calls one that does, directly or not."""
        return self._says(function.facts.words) or function in self._functions
