"""What callers hand over for the parameter that something came in by."""

from collections.abc import Iterator, Sequence

from gradlint.model.code import Constant, Display, Expression, Name, Subscript, dotted
from gradlint.model.record import replace
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.linking.scope import unconverted
from gradlint.project.running.flow import CallEvent, is_bound, matched
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import UNKNOWN, Value

_LONGEST_WAY_UP = 4  # callers of callers


class Handed:
    """Follows parameters to callers."""

    def __init__(self, calls: CallGraph, flows: Flows) -> None:
        self._calls = calls
        self._flows = flows

    def values(self, function: FunctionNode, value: Value, depth: int = 0) -> list[Value]:
        """What the callers hand over for the parameter that a value came in by."""
        name = value.parameter
        if name is None or depth > _LONGEST_WAY_UP:
            return []
        found: list[Value] = []
        function = _whose(function, name)
        for edge in self._calls.callers.get(function, ()):
            given = self._argument(edge, name)
            deeper = self.values(edge.caller, given, depth + 1) if given.training is None else []
            found.extend(deeper or [given])
        return found

    def is_frozen(self, function: FunctionNode, module: Value) -> bool:
        """Whether every caller hands a module over frozen."""
        found = self.values(function, module)
        return bool(found) and all(value.frozen is True for value in found)

    def runs_frozen(self, function: FunctionNode, event: CallEvent, depth: int = 0) -> bool:
        """Whether all modules that functions of the project run are handed to them frozen: ``energy(x, net)``."""
        if not event.targets or depth > _LONGEST_WAY_UP or any(a.value.requires_grad for a in event.arguments):
            return False
        return all(self._runs_frozen(function, event, callee, depth) for callee in event.targets)

    def _runs_frozen(self, function: FunctionNode, event: CallEvent, callee: FunctionNode, depth: int) -> bool:
        inside = [each for each in self._flows.flow(callee).calls.values() if each.forward]
        return bool(inside) and all(
            self._is_given_frozen(function, event, callee, each) or self.runs_frozen(callee, each, depth + 1)
            for each in inside
        )

    def _is_given_frozen(
        self, function: FunctionNode, event: CallEvent, callee: FunctionNode, inside: CallEvent
    ) -> bool:
        """Whether what a function runs is a frozen module: a call hands it over, or it is a variable around both."""
        if inside.callee.kind != "module" or any(argument.value.requires_grad for argument in inside.arguments):
            return False
        name = inside.callee.parameter
        if name is None:
            seen = self._seen_around(callee, inside.name, inside.callee)
            return seen.frozen is True or self.is_frozen(callee, seen)
        arguments = (
            replace(each, value=self._seen_around(function, dotted(each.expression), each.value))
            for each in event.arguments
        )
        given = matched(arguments, callee, bound=is_bound(event, callee)).get(name, UNKNOWN)
        return given.frozen is True or self.is_frozen(function, given)

    def _seen_around(self, function: FunctionNode, name: str | None, value: Value) -> Value:
        """What a nested function sees of a variable of the one around it, which was still running then."""
        if name is None or "." in name or name in function.facts.local or value.parameter is not None:
            return value
        return self._flows.outer(function, name) or value

    def comes_frozen(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether all callers hand over a dict that has a frozen module there, or make the object with one.

        ``net = nets["teacher"]; net(x)`` and ``self.net(x)``.
        """
        name = event.name.removesuffix(".forward")
        found = self._held(function, name) if name.startswith("self.") else [*self._taken(function, name)]
        return bool(found) and all(value is not None and value.frozen is True for value in found)

    def _held(self, function: FunctionNode, name: str) -> Sequence[Value | None]:
        """What is handed to the constructor that keeps it under an attribute, which nobody else assigns."""
        constructor, value = self._flows.bindings.kept_by_constructor(function, name) or (function, None)
        kept = dotted(unconverted(value)) if value is not None else None
        given = any(parameter.name == kept for parameter in constructor.facts.parameters)
        return self.values(constructor, Value(parameter=kept)) if given else []

    def _taken(self, function: FunctionNode, name: str) -> Iterator[Value | None]:
        for _, value in self._flows.bindings.values(function, name):
            match value:
                case Subscript(value=Name(id=holder), index=Constant(value=key)):
                    yield from (self._kept(edge, holder, key) for edge in self._calls.callers.get(function, ()))
                case _:
                    yield None

    def _kept(self, edge: Edge, holder: str, key: object) -> Value | None:
        """What a caller has under a key of the dict that it hands over."""
        flow, given = self._flows.flow(edge.caller), self._argument(edge, holder)
        arguments = flow.calls[edge.at].arguments if edge.at in flow.calls else ()
        displays = (d for a in arguments if a.value is given for d in self._displays(edge.caller, a.expression))
        items = (item for display in displays for item in zip(display.keys, display.items, strict=False))
        kept = (dotted(item) for place, item in items if isinstance(place, Constant) and place.value == key)
        return flow.env.get(next(kept, None) or "")

    def _displays(self, function: FunctionNode, expression: Expression) -> Iterator[Display]:
        """The displays that an expression is, or a name stands for."""
        named = self._flows.bindings.values(function, dotted(expression) or "")
        yield from (value for value in (expression, *(value for _, value in named)) if isinstance(value, Display))

    def _argument(self, edge: Edge, name: str) -> Value:
        """What a call hands over; unknown where it is itself handed the function: ``pool.submit(f, x)``."""
        flow = self._flows.flow(edge.caller)
        event = flow.calls.get(edge.at)
        if event is not None and any(argument.value.target is edge.callee for argument in event.arguments):
            return UNKNOWN
        return self._flows.argument(flow, edge.at, name, edge.callee)

    def gives_no_graph(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether what is called, or its owner, came as an argument, and always hands back no module's result."""
        given = self._given(function, event.callee)
        if given:
            return all(self._is_bare(value, "__call__") for value in given)
        owners = self._given(function, event.receiver)
        return bool(owners) and all(self._is_bare(value, event.method) for value in owners)

    def runs_no_module(self, function: FunctionNode) -> bool:
        """Whether all that a function takes for modules came as arguments, and is none."""
        forwards = [event for event in self._flows.flow(function).calls.values() if event.forward]
        return bool(forwards) and all(self.gives_no_graph(function, event) for event in forwards)

    def _given(self, function: FunctionNode, value: Value | None) -> list[Value]:
        return self.values(function, value) if value is not None and value.parameter != "self" else []

    def _is_bare(self, value: Value, method: str) -> bool:
        """Whether a function, or the method of an object of a known class, hands back no module's result."""
        if isinstance(value.target, ClassNode):
            found = self._calls.callables.methods(value.target, method)
        elif value.kind == "callable" and isinstance(value.target, FunctionNode):
            found = (value.target,)
        elif isinstance(value.target, External):
            return value.target.name.endswith(".instance")  # of what is no module: ``pipeline("text-generation")``
        else:
            return False
        return bool(found) and not any(map(self._flows.hands_back, found))


def _whose(function: FunctionNode, parameter: str) -> FunctionNode:
    """The function that has a parameter: itself, or the one around it, whose variable it sees."""
    scope: FunctionNode | None = function
    while scope is not None:
        if any(each.name == parameter for each in scope.facts.parameters):
            return scope
        scope = scope.parent
    return function
