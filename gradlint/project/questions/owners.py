"""Whose parameters an optimizer has: the module that it was made of, by the name a function has for that."""

from collections.abc import Iterable, Iterator

from gradlint.model.code import (
    Argument,
    Attribute,
    Call,
    Constant,
    Display,
    Expression,
    Name,
    Operation,
    dotted,
)
from gradlint.project.grad_states.edges import Edge
from gradlint.project.linking import scope
from gradlint.project.linking.bindings import on_self
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flow import CallEvent, is_bound, matched
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import UNKNOWN, Value

_LONGEST_WAY_UP = 4  # callers of callers
_JOINING = frozenset({"list", "tuple", "chain"})


class Owners:
    """Looks where an optimizer was made: in the function, in a method of its object, in its file, or by callers."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows

    def modules(self, function: FunctionNode, optimizers: Iterable[str]) -> dict[str, str]:
        """For optimizers of one module's parameters, by name, the name of the module."""
        found = ((name, self._module(function, name)) for name in optimizers)
        return {name: module for name, module in found if module}

    def held(self, function: FunctionNode, name: str) -> Value:
        """What the name of an optimizer holds."""
        return self._held(function, name)[0]

    def made_of(self, function: FunctionNode, optimizer: str) -> tuple[FunctionNode, frozenset[str]] | None:
        """The names of the modules whose parameters an optimizer is made of, and the function that makes it.

        None where it is made of anything else as well, or more than once.
        """
        made = self._flows.bindings.values(function, optimizer)
        match made:
            case [(maker, Call(arguments=(Argument(value=given, stars=0), *_)))]:
                names = frozenset(self._modules_in(maker, given))
                return (maker, names) if names and "" not in names else None
            case _:
                return None

    def _modules_in(self, maker: FunctionNode, given: Expression, depth: int = 0) -> Iterator[str]:
        """The modules in what an optimizer is given: ``chain(q1.parameters(), q2.parameters())``; "" for what else."""
        match given:
            case Call(function=Attribute(value=module, name="parameters"), arguments=()):
                yield dotted(module) or ""
            case Call(function=called, arguments=arguments) if _is_joining(called):
                for argument in arguments:
                    yield from self._modules_in(maker, argument.value, depth)
            case Operation(operator="+" | "*", operands=parts) | Display(kind="list" | "tuple", items=parts):
                for part in parts:
                    yield from self._modules_in(maker, part, depth)
            case Display(kind="dict", keys=keys, items=items):
                wanted = [item for key, item in zip(keys, items, strict=True) if _is_params(key)]
                for item in wanted or given.items:
                    yield from self._modules_in(maker, item, depth)
            case Name() | Attribute() if depth < _LONGEST_WAY_UP and (name := dotted(given)) is not None:
                kept = self._flows.bindings.values(maker, name)
                if len(kept) == 1 and kept[0][0] is maker:
                    yield from self._modules_in(maker, kept[0][1], depth + 1)
                else:
                    yield ""
            case _:
                yield ""

    def _held(self, function: FunctionNode, name: str) -> tuple[Value, bool]:
        """What the name of an optimizer holds, and whether another method put it there."""
        value = self._flows.flow(function).env.get(name)
        if value is not None:
            return value, False
        if (own := on_self(function, name)) is not None:
            return self._flows.attribute(*own) or UNKNOWN, True
        return UNKNOWN, False

    def _module(self, function: FunctionNode, optimizer: str, depth: int = 0) -> str | None:
        value, outside = self._held(function, optimizer)
        if value.parameter == optimizer and value.kind != "optimizer":
            return self._as_handed_over(function, optimizer, depth)
        if value.kind != "optimizer" or value.of is None:
            return self._of_file(function, optimizer) if value is UNKNOWN else None
        if outside and not value.of.startswith("self."):
            return self._kept_as(function, optimizer, value.of)  # a name of another function
        return value.of

    def _of_file(self, function: FunctionNode, optimizer: str) -> str | None:
        """The module of an optimizer that a script has made, and a function of its file uses by name."""
        if "." in optimizer or function.is_module_body:
            return None
        value = self._flows.outer(function, optimizer)
        if value is None or value.kind != "optimizer" or value.of is None:
            return None
        return None if value.of.partition(".")[0] in function.facts.local else value.of

    def _kept_as(self, function: FunctionNode, optimizer: str, module: str) -> str | None:
        """The attribute that a module became in the method that made the optimizer of its parameters."""
        made = self._flows.bindings.values(function, optimizer)
        if len(made) != 1:
            return None
        kept = [name for name, value in scope.assigned(made[0][0]) if dotted(value) == module]
        return kept[0] if len(kept) == 1 and kept[0].startswith("self.") else None

    def _as_handed_over(self, function: FunctionNode, optimizer: str, depth: int) -> str | None:
        """The parameter that every caller hands the module over for, beside the optimizer of it."""
        if depth >= _LONGEST_WAY_UP:
            return None
        edges = self._flows.calls.callers.get(function, ())
        found = {module for edge in edges for module in [*self._beside(edge, optimizer, depth)] or (None,)}
        rebound = {name for name, _ in scope.assigned(function)}
        return next(iter(found)) if len(found) == 1 and found.isdisjoint(rebound) else None

    def _beside(self, edge: Edge, optimizer: str, depth: int) -> Iterator[str]:
        """What a callee calls the module whose optimizer one of its callers hands over."""
        event = self._flows.flow(edge.caller).calls.get(edge.at)
        if event is None:
            return
        passed = matched(event.arguments, edge.callee, bound=is_bound(event, edge.callee))
        value = passed.get(optimizer, UNKNOWN)
        named = event.names_of(value) if optimizer in passed else []
        module = self._module(edge.caller, named[0], depth + 1) if len(named) == 1 else None
        if not named and value.kind == "optimizer":  # made where it is handed over
            module = value.of
        if module is None:
            return
        if module.startswith("self.") and _is_of_own_object(event):
            yield module
        yield from (name for name, value in passed.items() if module in event.names_of(value))


def _is_of_own_object(event: CallEvent) -> bool:
    return event.receiver is not None and event.receiver.kind == "self"


def _is_joining(called: Expression) -> bool:
    return (dotted(called) or "").rpartition(".")[2] in _JOINING


def _is_params(key: Expression | None) -> bool:
    return isinstance(key, Constant) and key.value == "params"
