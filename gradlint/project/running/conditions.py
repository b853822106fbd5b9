"""Which way a branch goes when some names are known: ``run_epoch(loader, train=False)``."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import ge, gt, le, lt
from typing import Any

from gradlint.model.code import (
    Attribute,
    Augment,
    Block,
    Conditional,
    Constant,
    Display,
    Expression,
    For,
    If,
    Name,
    Operation,
    dotted,
)
from gradlint.model.traverse import blocks, expressions, names_in, parts, statements, within
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flow import Flow, is_bound, matched
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import NO_CONSTANT, Value

Known = Mapping[str, object]
_NOTHING = object()
_PLAIN = (bool, str, int, type(None))
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "is": lambda left, right: left is right,
    "is not": lambda left, right: left is not right,
}
_ORDERED: dict[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def decided(test: Expression, known: Known) -> bool | None:
    """Whether a condition holds, or None if the names that are known do not tell."""
    match test:
        case Name() | Attribute() | Constant():
            value = _value(test, known)
            return None if value is _NOTHING else bool(value)
        case Operation(operator="not", operands=(inner,)):
            found = decided(inner, known)
            return None if found is None else not found
        case Operation(operator="and", operands=operands):
            return _and(decided(part, known) for part in operands)
        case Operation(operator="or", operands=operands):
            found = _and(None if part is None else not part for part in (decided(each, known) for each in operands))
            return None if found is None else not found
        case Operation(operator="in", operands=(each, Display(items=items, kind="tuple" | "list" | "set"))):
            sought, values = _value(each, known), [_value(item, known) for item in items]
            return None if _NOTHING in (sought, *values) else sought in values
        case Operation(operator="in", operands=(each, whole)):
            part, text = _value(each, known), _value(whole, known)
            return part in text if isinstance(part, str) and isinstance(text, str) else None
        case Operation(operator="not in", operands=operands, at=at):
            found = decided(Operation(at, "in", operands), known)
            return None if found is None else not found
        case Operation(operator=operator, operands=(left, right)) if operator in _COMPARED:
            one, other = _value(left, known), _value(right, known)
            return None if _NOTHING in (one, other) else _COMPARED[operator](one, other)
        case Operation(operator=operator, operands=(left, right)) if operator in _ORDERED:
            one, other = _value(left, known), _value(right, known)
            if not isinstance(one, int | float) or not isinstance(other, int | float):
                return None
            return _ORDERED[operator](one, other)
        case _:
            return None


def reached(block: Block, known: Known) -> Iterator[Expression]:
    """The expressions of a block, at any depth, less those in branches that are not taken."""
    for statement in block:
        holds = decided(statement.test, known) if isinstance(statement, If) else None
        if isinstance(statement, If) and holds is not None:
            yield from reached(statement.then if holds else statement.otherwise, known)
            continue
        for expression in expressions(statement):
            yield from _reached_in(expression, known)
        for inner in blocks(statement):
            yield from reached(inner, known)


def _reached_in(expression: Expression, known: Known) -> Iterator[Expression]:
    holds = decided(expression.test, known) if isinstance(expression, Conditional) else None
    if isinstance(expression, Conditional) and holds is not None:
        yield from _reached_in(expression.then if holds else expression.otherwise, known)
        return
    yield expression
    for part in parts(expression):
        yield from _reached_in(part, known)


def _and(parts: Iterable[bool | None]) -> bool | None:
    found = set(parts)
    return False if False in found else None if None in found else True


def _value(expression: Expression, known: Known) -> object:
    match expression:
        case Name(id=name):
            return known.get(name, _NOTHING)
        case Attribute():
            return known.get(dotted(expression) or "", _NOTHING)
        case Constant(value=value) if isinstance(value, (*_PLAIN, float)):
            return value
        case Conditional(test=test, then=then, otherwise=otherwise):
            holds = decided(test, known)
            return _NOTHING if holds is None else _value(then if holds else otherwise, known)
        case Operation(operator="not" | "in" | "not in" | "==" | "!=" | "is" | "is not" | "<" | "<=" | ">" | ">="):
            holds = decided(expression, known)
            return _NOTHING if holds is None else holds
        case _:
            return _NOTHING


def constant(expression: Expression, known: Known) -> object:
    """What an expression gives where that is a plain constant and the names that are known tell; else `NO_CONSTANT`."""
    value = _value(expression, known)
    return value if isinstance(value, _PLAIN) else NO_CONSTANT


def completed(function: FunctionNode, known: Known, bindings: Bindings) -> dict[str, object]:
    """What is known, and what the function works out from that: ``training = phase == "train"``."""
    found = dict(known)
    given = bindings.assigned(function)
    changed = {*_changed(function)} | function.facts.shared
    for name, values in given.items():
        if len(values) != 1 or "." in name or name in changed or name in found:
            continue
        asked = (dotted(part) for part in within(values[0]))
        if not found.keys().isdisjoint(filter(None, asked)):
            value = constant(values[0], found)
            found |= {name: value} if value is not NO_CONSTANT else {}
    return found


def _changed(function: FunctionNode) -> Iterator[str]:
    """The names that a function binds in other ways than by assigning them."""
    for statement in statements(function.facts.body):
        if isinstance(statement, Augment | For):
            yield from names_in(statement.target)


def fixed(callee: FunctionNode, given: Mapping[str, Value], bindings: Bindings) -> dict[str, object]:
    """The parameters of a function whose values are fixed by what it is given, or by their defaults.

    Parameters that the function assigns itself are left out.
    """
    known: dict[str, object] = {}
    for parameter in callee.facts.parameters:
        default = parameter.default.value if isinstance(parameter.default, Constant) else NO_CONSTANT
        value = given[parameter.name].constant if parameter.name in given else default
        if isinstance(value, _PLAIN) and parameter.name not in bindings.assigned(callee):
            known[parameter.name] = value
    return known


class Passed:
    """What callers pass for the parameters that a function's branches depend on."""

    def __init__(self, flows: Flows, bindings: Bindings) -> None:
        self._flows = flows
        self._bindings = bindings

    def constants(self, caller: FunctionNode, at: int, callee: FunctionNode) -> dict[str, object]:
        """The parameters of ``callee`` whose values a call fixes, its defaults included.

        Parameters that the function assigns itself are left out.
        """
        return self.constants_in(self._flows.flow(caller), at, callee)

    def constants_in(self, caller: Flow, at: int, callee: FunctionNode) -> dict[str, object]:
        """The same for a caller of which more is known."""
        event = caller.calls.get(at)
        if event is None or callee not in event.targets or any(argument.stars for argument in event.arguments):
            return {}
        return fixed(callee, matched(event.arguments, callee, bound=is_bound(event, callee)), self._bindings)
