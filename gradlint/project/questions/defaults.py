"""Parameters that nobody passes: what a function is when they are left as they are."""

from collections.abc import Iterator

from gradlint.model.code import Attribute, Call, Constant, Expression, Name, dotted
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.dependencies import Dependencies
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.scope import call_at, is_static

_FURTHEST = 3  # callers of callers
_PLAIN = (bool, str, int, float, type(None))
_OTHER = object()


class Defaults:
    """Looks at all the calls of a function that can be seen."""

    def __init__(self, dependencies: Dependencies, calls: CallGraph, bindings: Bindings) -> None:
        self._calls = calls
        self._bindings = bindings
        self._left: Memo[tuple[FunctionNode, int], dict[str, object]] = Memo(
            dependencies, lambda key: dict(self._find_left(*key)), {}
        )

    def left(self, function: FunctionNode, depth: int = 0) -> dict[str, object]:
        """The parameters of a function that are constants by default, and that each of its callers leaves at that."""
        return self._left.of((function, depth)) if depth <= _FURTHEST else {}

    def stays(self, function: FunctionNode, name: str, value: object) -> bool:
        """Whether a name in a function, or an attribute there, is a parameter that nobody makes another value of."""
        if name.startswith("self.") and function.owner is not None:
            made = self._bindings.attribute(function.owner, name.removeprefix("self."))
            return bool(made) and all(self._stays(maker, dotted(kept) or "", value) for maker, kept in made)
        return self._stays(function, name, value)

    def _stays(self, function: FunctionNode, name: str, value: object) -> bool:
        if not self._calls.callers.get(function, ()):
            return any(parameter == (name, value) for parameter in self._constants(function))
        return self.left(function).get(name, _OTHER) == value

    def _constants(self, function: FunctionNode) -> Iterator[tuple[str, object]]:
        """The parameters that are constants by default, and are given no other value by the function itself."""
        for parameter in function.facts.parameters:
            default = parameter.default
            if not isinstance(default, Constant) or not isinstance(default.value, _PLAIN):
                continue
            if parameter.name not in self._bindings.assigned(function):
                yield parameter.name, default.value

    def _find_left(self, function: FunctionNode, depth: int) -> Iterator[tuple[str, object]]:
        edges = self._calls.callers.get(function, ())
        for name, default in self._constants(function) if edges else ():
            if all(self._leaves(edge, name, default, depth) for edge in edges):
                yield name, default

    def _leaves(self, edge: Edge, name: str, default: object, depth: int) -> bool:
        """Whether a call passes nothing for a parameter, or what it is anyway."""
        call = None if edge.handed else call_at(edge.caller, edge.at)
        if call is None or any(argument.stars for argument in call.arguments):
            return False
        given = _given(call, edge.callee, name)
        match given:
            case None:
                return True
            case Constant(value=value):
                return type(value) is type(default) and value == default
            case Name(id=passed):
                return self.left(edge.caller, depth + 1).get(passed, _OTHER) == default
            case _:
                return False


def _given(call: Call, callee: FunctionNode, name: str) -> Expression | None:
    """What a call passes for a parameter, if it passes anything."""
    names = [parameter.name for parameter in callee.facts.parameters if parameter.kind == "positional"]
    if callee.owner is not None and not is_static(callee) and not _names_object(call):
        names = names[1:]
    positional = [argument.value for argument in call.arguments if argument.keyword is None]
    if name in names[: len(positional)]:
        return positional[names.index(name)]
    return next((argument.value for argument in call.arguments if argument.keyword == name), None)


def _names_object(call: Call) -> bool:
    """``Base.__init__(self, width)`` passes the object like any other argument."""
    method = call.function
    return isinstance(method, Attribute) and method.name == "__init__" and not isinstance(method.value, Call)
