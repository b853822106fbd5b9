"""Terms of a loss that add to its value and to no gradient: derivatives that were taken without a graph."""

import re
from collections.abc import Iterator, Sequence

from gradlint.finding import Place
from gradlint.model.code import (
    Assign,
    Attribute,
    Augment,
    Call,
    Constant,
    Expression,
    Name,
    Operation,
    Subscript,
    dotted,
)
from gradlint.model.record import answer
from gradlint.model.traverse import statements
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking import scope
from gradlint.project.linking.backwards import walked_expressions
from gradlint.project.linking.frameworks import given_to_framework
from gradlint.project.linking.nodes import External, FunctionNode
from gradlint.project.linking.returns import returned
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import PLAIN, UNKNOWN, Value

DERIVED = "autograd.grad"  # how what it gives without ``create_graph`` has lost its graph
_REDUCING = frozenset({"mean", "sum"})
_FACTOR = re.compile(r"la?mb?d|lam$|weight|coeff?|alpha|beta|gamma|scale|factor|penalt|gp|reg|eta$|strength", re.I)
_DEEPEST = 4  # functions, and names that are given names


@answer
class FlatTerm:
    """A term at ``at`` of what ``backward()`` starts from. ``derived`` is the ``autograd.grad`` that it comes from."""

    at: int
    derived: Place


class Terms:
    """Finds them in functions that run ``backward()``, or return a loss to those that do."""

    def __init__(self, calls: CallGraph, flows: Flows) -> None:
        self._calls = calls
        self._flows = flows

    def flat(self, function: FunctionNode) -> Iterator[FlatTerm]:
        """The terms without a graph, beside others, of each loss of a function."""
        if not self._may_derive(function):
            return
        seen: set[int] = set()
        for loss in (*self._walked(function), *self._returned(function)):
            terms = [term for term in _terms(function, loss) if not isinstance(term, Constant)]
            derived = {term.at: place for term in terms if (place := self._derived(function, term)) is not None}
            if len(derived) < len(terms):  # else nothing has a graph
                yield from (FlatTerm(at, place) for at, place in derived.items() if at not in seen)
                seen.update(derived)

    def _may_derive(self, function: FunctionNode) -> bool:
        """Whether a function, or one that it calls, spells that it takes a derivative."""
        if "grad" in function.facts.words:
            return True
        callees = self._calls.callees.get(function, {}).values()
        return any("grad" in callee.facts.words for found in callees for callee in found)

    def _walked(self, function: FunctionNode) -> Iterator[Expression]:
        yield from walked_expressions(function, None)
        yield from given_to_framework(self._flows.linker, function)

    def _returned(self, function: FunctionNode) -> Iterator[Expression]:
        """What a function returns, if some caller runs ``backward()`` on it, or on a sum with it."""
        if any(self._walks(edge.caller, edge.at) for edge in self._calls.callers.get(function, ()) if edge.certain):
            yield from returned(function)

    def _walks(self, caller: FunctionNode, at: int) -> bool:
        return any(term.at == at for loss in self._walked(caller) for term in _terms(caller, loss))

    def _derived(self, function: FunctionNode, term: Expression, depth: int = _DEEPEST) -> Place | None:
        """The ``autograd.grad`` that all of a term comes from, numbers left out; None if there may be a graph."""
        if not depth:
            return None
        match term:
            case Operation(operator="**", operands=(base, *_)) | Subscript(value=base):
                return self._derived(function, base, depth)
            case Operation(operator="+" | "-" | "*" | "/", operands=operands):
                return self._all_derived(function, operands, depth)
            case Name() | Attribute():
                path = dotted(term)
                given = [value for name, value in scope.assigned(function) if name == path]
                return self._all_derived(function, given, depth - 1)
            case Call():
                return self._given_by(function, term, depth)
            case _:
                return None

    def _all_derived(self, function: FunctionNode, parts: Sequence[Expression], depth: int) -> Place | None:
        found = [self._derived(function, each, depth) for each in parts if not self._is_number(function, each)]
        return found[0] if found and None not in found else None

    def _given_by(self, function: FunctionNode, call: Call, depth: int) -> Place | None:
        event = self._flows.flow(function).calls.get(call.at)
        if event is None:
            return None
        if (place := _cut_off(event.result)) is not None:
            return place
        if event.targets:
            given = [value for target in event.targets for value in returned(target)]
            found = [self._derived(event.targets[0], each, depth - 1) for each in given]
            return found[0] if len(event.targets) == 1 and found and None not in found else None
        if isinstance(call.function, Attribute) and call.function.name in _REDUCING:
            of_torch = isinstance(event.callee.target, External) and event.callee.target.name.startswith("torch.")
            reduced = call.arguments[0].value if of_torch and call.arguments else call.function.value
            return self._derived(function, reduced, depth)
        return None

    def _is_number(self, function: FunctionNode, expression: Expression) -> bool:
        """Whether it is a number, as far as its name tells: ``lambda_gp``, ``self.args.weight``."""
        if isinstance(expression, Constant):
            return True
        path = dotted(expression)
        if path is None:
            return False
        value = self._flows.flow(function).env.get(path, UNKNOWN)
        given = [each for name, each in scope.assigned(function) if name == path]
        if value.kind == "number" or (given and all(isinstance(each, Constant) for each in given)):
            return True
        named = _FACTOR.search(path.rpartition(".")[2]) is not None and value.kind == "unknown" and not value.is_tensor
        return named and not given and not self._is_parameter(function, path)

    def _is_parameter(self, function: FunctionNode, path: str) -> bool:
        """Whether an object makes a parameter of an attribute, which may be learned by what it is multiplied with."""
        if not path.startswith("self.") or function.owner is None:
            return False
        made = self._flows.bindings.attribute(function.owner, path.removeprefix("self."))
        return any(isinstance(each, Call) and (dotted(each.function) or "").endswith("Parameter") for _, each in made)


def _cut_off(value: Value) -> Place | None:
    lost = value.lost
    return lost.place if lost is not None and lost.how == DERIVED and value.tensor == PLAIN else None


def _terms(function: FunctionNode, loss: Expression, known: frozenset[str] = frozenset()) -> Iterator[Expression]:
    """What a loss is the sum of, through the names that sums are given."""
    match loss:
        case Operation(operator="+" | "-", operands=operands):
            for operand in operands:
                yield from _terms(function, operand, known)
        case Operation(operator="*" | "/", operands=(Operation(operator="+" | "-") as inner, Constant())):
            yield from _terms(function, inner, known)
        case Operation(operator="*", operands=(Constant(), Operation(operator="+" | "-") as inner)):
            yield from _terms(function, inner, known)
        case Name(id=name) if name not in known and _is_sum(function, name):
            for value in _given(function, name):
                yield from _terms(function, value, known | {name})
        case _:
            if dotted(loss) not in known or not known:
                yield loss


def _is_sum(function: FunctionNode, name: str) -> bool:
    """Whether a name is given a sum, or has something added to it."""
    added = any(isinstance(s, Augment) and dotted(s.target) == name for s in statements(function.facts.body))
    values = (value for bound, value in scope.assigned(function) if bound == name)
    return added or any(isinstance(value, Operation) and value.operator in ("+", "-") for value in values)


def _given(function: FunctionNode, name: str) -> Iterator[Expression]:
    for statement in statements(function.facts.body):
        match statement:
            case Assign(targets=(Name(id=bound),), value=value) if bound == name:
                yield value
            case Augment(target=Name(id=bound), operator="+" | "-", value=value) if bound == name:
                yield value
            case _:
                pass
