"""Whether somebody we cannot see may run a function under a guard: then nothing certain can be said of its grad mode.

Who calls a function is not seen where it is looked up in a table, or where a method is called on an object of which
nothing is known. Otherwise a function that nobody calls is there for others to call as it is.
"""

from collections.abc import Iterator

from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import FunctionNode


class UnseenCallers:
    """Answers for one project."""

    def __init__(self, linker: Linker, calls: CallGraph) -> None:
        self._linker = linker
        self._calls = calls
        self._may_guard: Memo[FunctionNode, bool] = Memo(linker.dependencies, self._finds_guard, meanwhile=True)

    def may_guard(self, function: FunctionNode) -> bool:
        """Whether all ways to a function begin with a caller that is not seen and may hold a guard."""
        return self._may_guard.of(function)

    def _finds_guard(self, function: FunctionNode) -> bool:
        callers = [edge.outermost for edge in self._calls.callers.get(function, ()) if not _is_put_away(edge)]
        if callers:
            return all(map(self._may_guard.of, callers))
        if function.facts.is_lambda:
            return True  # in a table, or under a name that nothing calls
        return any(self._are_guarded(function))

    def _are_guarded(self, method: FunctionNode) -> Iterator[bool]:
        """Of each call of a method so named, on something that nothing is known of, whether it stands under a guard."""
        name = method.facts.name
        for where in self._linker.mentions.of(name) if method.owner is not None else ():
            for call in self._calls.calls_of_anything(where, {name}):
                yield not self._calls.own_states(where, call.at) & GRAD


def _is_put_away(edge: Edge) -> bool:
    """Whether a lambda only stands there: nobody runs those of a module's tables when the module is imported."""
    return edge.callee.facts.is_lambda and edge.caller.is_module_body and edge.at == edge.callee.facts.at
