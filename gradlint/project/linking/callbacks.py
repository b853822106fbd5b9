"""Where a function that is handed over gets called: by the function it is handed to, or later by its object."""

from collections.abc import Callable, Iterable, Iterator

from gradlint.model.code import dotted
from gradlint.model.facts import CallFact
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.scope import is_static, own_call_at

CalledBy = Callable[[FunctionNode, str], Iterable[tuple[FunctionNode, bool]]]
_FARTHEST = 3  # handed on from function to function


class Callbacks:
    """Follows a parameter to the calls of it."""

    def __init__(self, linker: Linker, bindings: Bindings, called: CalledBy) -> None:
        self._linker = linker
        self._bindings = bindings
        self._called = called

    def calls_of(self, function: FunctionNode, call: CallFact, name: str) -> list[tuple[FunctionNode, int]]:
        """Each function, with the place in it, that calls what ``call`` hands over as ``name``.

        Empty if nobody is seen to call it: then only the handing over itself is known.
        """
        return list(dict.fromkeys(self._followed(function, call, name, _FARTHEST)))

    def _followed(
        self, function: FunctionNode, call: CallFact, name: str, farthest: int
    ) -> Iterator[tuple[FunctionNode, int]]:
        for callee, certain in self._called(function, call.callee) if call.callee and farthest else ():
            parameter = _parameter(function, call.at, name, callee) if certain else None
            if parameter is not None:
                yield from self._calls_of_parameter(callee, parameter, farthest)

    def _calls_of_parameter(
        self, callee: FunctionNode, parameter: str, farthest: int
    ) -> Iterator[tuple[FunctionNode, int]]:
        for where in (callee, *_nested(callee)):
            if where is callee or parameter not in where.facts.local:
                for call in where.facts.calls:
                    if call.callee == parameter:
                        yield where, call.at
                    elif parameter in call.handed:
                        yield from self._followed(where, call, parameter, farthest - 1)
        for name, values in self._bindings.assigned(callee).items():
            if name.startswith("self.") and any(dotted(value) == parameter for value in values):
                yield from self._calls_of_attribute(callee, name)

    def _calls_of_attribute(self, constructor: FunctionNode, name: str) -> Iterator[tuple[FunctionNode, int]]:
        cls = constructor.owner
        for each in (cls, *self._linker.subclasses.get(cls, ())) if cls is not None else ():
            for method in each.methods:
                for where in (method, *_nested(method)):
                    yield from ((where, call.at) for call in where.facts.calls if call.callee == name)


def _parameter(function: FunctionNode, at: int, name: str, callee: FunctionNode) -> str | None:
    """The parameter of ``callee`` that gets the argument spelt ``name`` of the call at a place."""
    call = own_call_at(function, at)
    bound = callee.owner is not None and not is_static(callee)
    positional = [p.name for p in callee.facts.parameters if p.kind == "positional"][1 if bound else 0 :]
    for index, argument in enumerate(call.arguments if call is not None else ()):
        if dotted(argument.value) == name and not argument.stars:
            if argument.keyword is not None:
                return argument.keyword
            return positional[index] if index < len(positional) else None
    return None


def _nested(function: FunctionNode) -> Iterator[FunctionNode]:
    for other in function.module.functions:
        if other.parent is function:
            yield other
            yield from _nested(other)
