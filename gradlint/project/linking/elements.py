"""What loops and comprehensions go over, by the names they give to the elements, and what makes lists' elements.

Of a dict they may go over the values: ``for name, evaluate in TASKS.items()``.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from gradlint.model.code import Attribute, Call, Comprehension, Display, Expression, For, Name, dotted
from gradlint.model.traverse import all_of, statements
from gradlint.project.linking.bindings import Bindings, owner_class
from gradlint.project.linking.nodes import FunctionNode

_SAME_ELEMENTS = frozenset("list tuple reversed sorted tqdm trange sample choice shuffled iter".split())
_KINDS = frozenset({"list", "tuple", "generator"})
_MOST_NAMES = 3  # from one list to another
_Made = tuple[FunctionNode, Expression]


def gone_over(function: FunctionNode) -> Mapping[str, tuple[Expression, ...]]:
    """What the names that loops give to elements are elements of."""
    found: defaultdict[str, list[Expression]] = defaultdict(list)
    for target, iterable in _loops(function):
        for name, listed in _given(target, iterable):
            found[name].append(listed)
    return {name: tuple(listed) for name, listed in found.items()}


def _loops(function: FunctionNode) -> Iterator[tuple[Expression, Expression]]:
    for statement in statements(function.facts.body):
        if isinstance(statement, For):
            yield statement.target, statement.iterable
    if "for" in function.facts.words:
        for comprehension in all_of(Comprehension, function.facts.body):
            for loop in comprehension.loops:
                yield loop.target, loop.iterable


def _given(target: Expression, iterable: Expression) -> Iterator[tuple[str, Expression]]:
    match target, iterable:
        case Display(items=targets), Call(function=Name(id="zip"), arguments=arguments):
            for each, argument in zip(targets, arguments, strict=False):
                yield from _given(each, argument.value)
        case Display(items=(_, each)), Call(function=Name(id="enumerate"), arguments=(first, *_)):
            yield from _given(each, first.value)
        case Display(items=(_, each)), Call(function=Attribute(value=table, name="items"), arguments=()):
            yield from _given(each, table)
        case _, Call(function=Attribute(value=table, name="values"), arguments=()):
            yield from _given(target, table)
        case _, Call(function=called, arguments=(first, *_)) if _last(called) in _SAME_ELEMENTS:
            yield from _given(target, first.value)
        case Name(id=name), Name() | Attribute() | Comprehension() | Display():
            yield name, iterable
        case _:
            pass


def _last(called: Expression) -> str:
    return (dotted(called) or "").rpartition(".")[2]


def made_in(bindings: Bindings, function: FunctionNode, listed: Expression, depth: int = 0) -> Iterator[_Made]:
    """What the elements of a list are made by, each with the function where it stands, as far as that is written."""
    match listed:
        case Comprehension(kind=kind, element=element) if kind in _KINDS:
            yield function, element
        case Display(kind=kind, items=items) if kind in _KINDS:
            yield from ((function, item) for item in items)
        case Call(function=called, arguments=(first, *_)) if _last(called) in _SAME_ELEMENTS:
            yield from made_in(bindings, function, first.value, depth)
        case Name() | Attribute() if depth < _MOST_NAMES and (name := dotted(listed)) is not None:
            for where, value in bindings.values(function, name):
                yield from made_in(bindings, where, value, depth + 1)
            yield from _appended(bindings, function, name)
        case _:
            pass


def _appended(bindings: Bindings, function: FunctionNode, name: str) -> Iterator[_Made]:
    """``clients.append(Client(data))``, in the same function; what an object has, in any method."""
    for where in _where(bindings, function, name):
        if any(call.callee == f"{name}.append" for call in where.facts.calls):
            for call in all_of(Call, where.facts.body):
                if call.arguments and dotted(call.function) == f"{name}.append":
                    yield where, call.arguments[0].value


def _where(bindings: Bindings, function: FunctionNode, name: str) -> Iterator[FunctionNode]:
    cls = owner_class(function)
    if not name.startswith("self.") or cls is None:
        yield function
        return
    for ancestor in bindings.family(cls):
        yield from ancestor.methods
