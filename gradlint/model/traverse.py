"""Walking over code: the parts of an expression, the statements of a block."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

from gradlint.model.code import (
    Assign,
    Attribute,
    Augment,
    Await,
    Block,
    Call,
    Comprehension,
    Conditional,
    Constant,
    DefineClass,
    Delete,
    Display,
    Evaluate,
    Expression,
    For,
    Formatted,
    If,
    Name,
    NamedAssignment,
    Operation,
    Raise,
    Return,
    Statement,
    Subscript,
    Switch,
    Try,
    While,
    With,
    Yield,
    dotted,
)

Found = TypeVar("Found")
Kind = TypeVar("Kind")
_MOST_REMEMBERED = 4000  # blocks: those of some dozen large modules
_Parts = Callable[[Any], Iterable[Expression | None]]


def _comprehension_parts(node: Comprehension) -> Iterator[Expression | None]:
    for loop in node.loops:
        yield loop.iterable
        yield loop.target
        yield from loop.conditions
    yield node.key
    yield node.element


_PARTS: dict[type[Any], _Parts] = {
    Attribute: lambda n: (n.value,),
    Call: lambda n: (n.function, *(a.value for a in n.arguments)),
    Subscript: lambda n: (n.value, n.index),
    Display: lambda n: (*n.keys, *n.items),
    Operation: lambda n: n.operands,
    Conditional: lambda n: (n.test, n.then, n.otherwise),
    Comprehension: _comprehension_parts,
    Await: lambda n: (n.value,),
    Yield: lambda n: (n.value,),
    NamedAssignment: lambda n: (n.value, n.target),
    Formatted: lambda n: n.values,
}
_EXPRESSIONS: dict[type[Any], _Parts] = {
    Assign: lambda n: (n.value, *n.targets),
    Augment: lambda n: (n.value, n.target),
    Evaluate: lambda n: (n.value,),
    Return: lambda n: (n.value,),
    Raise: lambda n: (n.value,),
    Delete: lambda n: n.targets,
    If: lambda n: (n.test,),
    For: lambda n: (n.iterable, n.target),
    While: lambda n: (n.test,),
    With: lambda n: (part for item in n.items for part in (item.context, item.target)),
    Switch: lambda n: (n.subject,),
}
_BLOCKS: dict[type[Any], Callable[[Any], Iterable[Block]]] = {
    If: lambda n: (n.then, n.otherwise),
    For: lambda n: (n.body, n.otherwise),
    While: lambda n: (n.body, n.otherwise),
    With: lambda n: (n.body,),
    Try: lambda n: (n.body, *n.handlers, n.otherwise, n.final),
    Switch: lambda n: n.cases,
    DefineClass: lambda n: (n.body,),
}


def parts(expression: Expression) -> Iterator[Expression]:
    """The expressions an expression is made of, one level down, in order of evaluation."""
    reader = _PARTS.get(type(expression))
    if reader is not None:
        for part in reader(expression):
            if part is not None:
                yield part


def within(expression: Expression) -> Iterator[Expression]:
    """The expression and everything in it; lambda bodies are functions of their own and not included."""
    found: list[Expression] = []
    _gather(expression, found.append)
    return iter(found)


def _gather(expression: Expression, note: Callable[[Expression], None]) -> None:
    """Note an expression and everything in it: the hottest loop of the analysis, hence a list and no generators."""
    note(expression)
    reader = _PARTS.get(type(expression))
    if reader is not None:
        for part in reader(expression):
            if part is not None:
                if type(part) in _PARTS:
                    _gather(part, note)
                else:
                    note(part)


def names_in(expression: Expression) -> set[str]:
    """The plain names in an expression: ``model`` and ``x`` of ``model.encode(x)``."""
    return {part.id for part in within(expression) if isinstance(part, Name)}


def called_name(call: Call) -> str:
    """The last part of what a call names: ``step`` of ``optimizer.step()``; empty for what is computed."""
    function = call.function
    return function.name if isinstance(function, Attribute) else getattr(function, "id", "")


def bound_by(target: Expression) -> Iterator[str]:
    """The names that a target binds: ``first`` and ``rest`` of ``first, *rest``; none of ``x[i]``, ``x.y``."""
    match target:
        case Name(id=name):
            yield name
        case Display(items=items) | Operation(operands=items):
            yield from (name for item in items for name in bound_by(item))
        case _:
            pass


def is_made_list(expression: Expression) -> bool:
    """Whether it makes a list, or the like, as it stands: ``[a, b]``, ``list(a)``, ``(f(x) for x in a)``."""
    if isinstance(expression, Call):
        return dotted(expression.function) in ("list", "tuple")
    return isinstance(expression, Display | Comprehension)


def binds(statement: Assign, name: str) -> bool:
    """Whether an assignment gives a name something, or takes it out of something."""
    return any(name in bound_by(target) for target in statement.targets)


def pairs(target: Expression, value: Expression) -> Iterator[tuple[str, Expression]]:
    """The dotted names that an assignment binds, each with what it gets: ``actor, critic = Actor(), Critic()``."""
    if isinstance(target, Name | Attribute) and (name := dotted(target)):
        yield name, value
    elif isinstance(target, Display) and isinstance(value, Display) and len(target.items) == len(value.items):
        for each, given in zip(target.items, value.items, strict=True):
            yield from pairs(each, given)


def expressions(statement: Statement) -> Iterator[Expression]:
    """The outermost expressions of one statement, those of nested statements not included."""
    reader = _EXPRESSIONS.get(type(statement))
    if reader is not None:
        for expression in reader(statement):
            if expression is not None:
                yield expression


def blocks(statement: Statement) -> Iterable[Block]:
    """The blocks of a compound statement."""
    reader = _BLOCKS.get(type(statement))
    return reader(statement) if reader is not None else ()


def statements(block: Block) -> Iterator[Statement]:
    """All statements of a block, nested ones included, functions' bodies not."""
    return iter(_statements.of(block))


def _statements_of(block: Block) -> tuple[Statement, ...]:
    found: list[Statement] = []
    _gather_statements(block, found.append)
    return tuple(found)


def _gather_statements(block: Block, note: Callable[[Statement], None]) -> None:
    for statement in block:
        note(statement)
        reader = _BLOCKS.get(type(statement))
        if reader is not None:
            for inner in reader(statement):
                _gather_statements(inner, note)


def all_expressions(block: Block) -> Iterator[Expression]:
    """Every expression of a block, at any depth, functions' bodies not included."""
    return iter(_expressions.of(block))


def all_of(kind: type[Kind], block: Block) -> tuple[Kind, ...]:
    """The expressions of a kind among all of a block, in their order."""
    return cast("tuple[Kind, ...]", _kinds.of(block).get(cast("Any", kind), ()))


def call_in(block: Block, at: int) -> Call | None:
    """The call at a place of a block, functions' bodies not included."""
    return _calls.of(block).get(at)


def _calls_of(block: Block) -> dict[int, Call]:
    return {call.at: call for call in all_of(Call, block)}


def _kinds_of(block: Block) -> dict[type[Expression], tuple[Expression, ...]]:
    found: dict[type[Expression], list[Expression]] = defaultdict(list)
    for expression in _expressions.of(block):
        found[type(expression)].append(expression)
    return {kind: tuple(each) for kind, each in found.items()}


def _expressions_of(block: Block) -> tuple[Expression, ...]:
    found: list[Expression] = []
    note = found.append
    for statement in _statements.of(block):
        reader = _EXPRESSIONS.get(type(statement))
        if reader is not None:
            for expression in reader(statement):
                if expression is not None:
                    _gather(expression, note)
    return tuple(found)


class _Remembered(Generic[Found]):
    """What was found in the blocks that were walked last: the rules go through the same ones, one after another.

    Known by identity: to compare blocks would take as long as to walk them. Each is kept with what was found, so
    that no other can get its place in memory.
    """

    def __init__(self, find: Callable[[Block], Found]) -> None:
        self._find = find
        self._known: dict[int, tuple[Block, Found]] = {}

    def of(self, block: Block) -> Found:
        """What is in a block."""
        known = self._known.get(id(block))
        if known is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known = {}
            known = self._known[id(block)] = block, self._find(block)
        return known[1]


_statements: _Remembered[tuple[Statement, ...]] = _Remembered(_statements_of)
_expressions: _Remembered[tuple[Expression, ...]] = _Remembered(_expressions_of)
_calls: _Remembered[dict[int, Call]] = _Remembered(_calls_of)
_kinds: _Remembered[dict[type[Expression], tuple[Expression, ...]]] = _Remembered(_kinds_of)


def named(expression: Expression) -> str | None:
    """A dotted name, subscripts with literals included: ``self.optimizers['G']``."""
    if isinstance(expression, Subscript):
        base = named(expression.value)
        return f"{base}[{expression.index.value!r}]" if base and isinstance(expression.index, Constant) else None
    if isinstance(expression, Attribute):
        base = named(expression.value)
        return f"{base}.{expression.name}" if base else None
    return dotted(expression)
