"""What runs besides the functions that calls name: what those are decorated with, and methods chosen by name."""

from collections.abc import Callable, Iterator

from gradlint.model.code import Call, Constant, Expression, Name, dotted
from gradlint.model.traverse import all_of
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking import scope
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, ModuleNode


class Besides:
    """Says of functions whether something may act beside their own statements; ``acts`` says what does act."""

    def __init__(self, linker: Linker, calls: CallGraph, acts: Callable[[FunctionNode], bool]) -> None:
        self._linker = linker
        self._calls = calls
        self._acts = acts
        self._chosen: Memo[FunctionNode, frozenset[int]] = Memo(
            linker.dependencies, lambda function: frozenset(self._choices(function)), frozenset()
        )

    def decorators(self, function: FunctionNode) -> bool:
        """Whether one of the project's own decorators of a function acts: ``inner`` zeroes gradients before it runs."""
        around = function.parent or function
        names = (dotted(decorator) for decorator in scope.decorated_by(function))
        return any(self._acts_around(self._linker.resolve(around, name)) for name in names if name)

    def _acts_around(self, decorator: object) -> bool:
        if isinstance(decorator, ClassNode):
            return any(map(self._acts, decorator.methods))
        if not isinstance(decorator, FunctionNode):
            return False
        return any(self._acts(f) for f in decorator.module.functions if scope.stands_in(f, decorator))

    def chosen(self, function: FunctionNode) -> frozenset[int]:
        """The calls of what is chosen by name when the program runs: ``getattr(hook, event)(self)``.

        Layers that a module chooses among its own, ``getattr(self, f"conv{i}")(x)``, and functions of a library
        are not meant.
        """
        return self._chosen.of(function) if "getattr" in function.facts.words else frozenset()

    def _choices(self, function: FunctionNode) -> Iterator[int]:
        names = {name for name, value in scope.assigned(function) if self._chooses(function, value)}
        for call in all_of(Call, function.facts.body):
            called = call.function
            if (called.id in names) if isinstance(called, Name) else self._chooses(function, called):
                yield call.at

    def _chooses(self, function: FunctionNode, expression: Expression) -> bool:
        if not isinstance(expression, Call) or dotted(expression.function) != "getattr":
            return False
        given = [argument.value for argument in expression.arguments]
        if len(given) < len(("object", "name")) or isinstance(given[1], Constant):
            return False
        path = dotted(given[0]) or ""
        if path.partition(".")[0] == "self" and self._calls.modules.has_method(function):
            return False
        return not isinstance(self._linker.resolve(function, path) if path else None, External | ModuleNode)
