"""What grows from round to round of a loop, or from call to call: sums, containers and attributes that keep graphs.

The sum, or the container, gets an origin of its own, the place where something is added to it. An addition that
finds its own origin in what it adds to is made once more, and has kept what it added the last time.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from gradlint.model.code import (
    Argument,
    Attribute,
    Augment,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Display,
    Expression,
    For,
    Iteration,
    Name,
    Operation,
    Subscript,
    dotted,
)
from gradlint.model.record import dataclass
from gradlint.model.traverse import statements, within
from gradlint.project.linking import rounds, scope
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running import spelt
from gradlint.project.running.beginnings import is_begun_anew
from gradlint.project.running.values import COMPUTED, Origin, Value

if TYPE_CHECKING:
    from gradlint.project.running.memory import Memory

COMPREHENSION = "the list"  # stands for the name of what a comprehension makes, and begins anew each time
_JOINING = frozenset({"cat", "concat", "concatenate", "hstack", "vstack"})
_ARITHMETIC = frozenset({"+", "-", "*", "/", "@"})
_NO_GRAPH = frozenset({"number", "none", "array", "callable", "module", "parameters", "optimizer", "self"})


@dataclass(frozen=True, slots=True)
class Growth:
    """Something is added, again and again, to what a dotted name holds.

    ``added`` is what is added, ``names`` what its expression calls it, and where. ``outlives`` tells that the
    function's variables do not hold it: it grows with every call. ``nameless``: what has no name has a graph, too.
    """

    at: int
    how: Literal["sum", "container"]
    path: str
    added: Value
    names: tuple[tuple[str, int], ...]
    outlives: bool
    nameless: bool = False

    @property
    def alone(self) -> tuple[str, int] | None:
        """What is added, where it is but one thing that has a name: ``loss`` of ``total += loss * len(batch)``."""
        return self.summands[0] if len(self.summands) == 1 and not self.nameless else None

    @property
    def summands(self) -> list[tuple[str, int]]:
        """The names of what is added, the sum's own left out: ``total = total + loss``."""
        item = f"{self.path}["
        return [(name, at) for name, at in self.names if name != self.path and not name.startswith(item)]


def grown(
    run: "Memory",
    how: Literal["sum", "container"],
    path: str,
    held: Value,
    added: Value,
    expression: Expression,
    at: int,
    *,
    whole: bool = False,
) -> frozenset[Origin]:
    """Note that something is added to what ``path`` holds; gives the origin that the whole has from here on.

    ``whole`` tells that ``added`` is the whole sum.
    """
    if not _may_have_graph(run, added):
        return frozenset()
    if how == "sum" and run.records(expression.at) is False:
        return frozenset()  # what is added has a graph, the sum has none
    if isinstance(expression, Display) and expression.kind == "dict" and None in expression.keys:
        return frozenset()  # ``{**metrics}``: numbers, for all we know
    if any(isinstance(part, Conditional) and _is_told_apart(part) for part in within(expression)):
        return frozenset()
    own = Origin(run.function, at)
    local = "." not in path and path in run.function.facts.local - run.function.facts.shared
    if run.over_parts and local and _is_begun_around(run.function, path, at):
        return frozenset({own})  # ``for layer in model: x = layer(x); kept.append(x)``: one graph, of all layers
    feeds = how == "sum" and own in added.origins and not whole  # ``x = x + layer(x)``: as the layers of a network do
    if (own in held.origins and not feeds) or not (local or is_begun_anew(run.function, path, at)):
        operands = [*_operands_in(expression, added)]
        names = tuple((name, place) for name, place in _named(operands) if not _is_number(run, name))
        nameless = any(isinstance(each, Call) and _gives_graph(run, each) for each in operands)
        run.flow.growths[at] = Growth(at, how, path, added, names, not local, nameless)
    if not local:
        run.flow.used((own,), "stored", at, path)
    return frozenset({own})


def _may_have_graph(run: "Memory", value: Value, around: frozenset[int] = frozenset()) -> bool:
    """Whether a value, or one of those in a tuple or dict that is spelt out, may have a graph.

    ``around`` are the places of the dicts it is in: after a round of a loop, ``kept = {"before": kept}`` is in itself.
    """
    if value.kind in _NO_GRAPH or not value.origins or not value.tensor & COMPUTED:
        return False
    if value.kind != "container" or not (parts := spelt.parts(run.flow, value)):
        return True
    if value.made_at in around:
        return False
    if value.made_at is not None:
        around |= {value.made_at}
    return any(_may_have_graph(run, part, around) for part in parts)


def _is_number(run: "Memory", name: str) -> bool:
    """Whether a name is known to hold no tensor: how many there are, that a mean is weighted with."""
    held = run.env.get(name)
    return held is not None and held.kind in ("number", "none")


def _gives_graph(run: "Memory", call: Call) -> bool:
    """Whether what a call gives may have a graph: not that of ``len(batch)``."""
    event = run.flow.calls.get(call.at)
    return event is not None and _may_have_graph(run, event.result)


def _is_begun_around(function: FunctionNode, path: str, at: int) -> bool:
    """Whether what a name holds is begun anew in each round of the loop around the one that a place stands in."""
    loops = list(rounds.bodies_around(function, at))
    begun = {value.at for name, value in scope.assigned(function) if name == path}
    return len(loops) < 2 or not begun.isdisjoint(loops[-2])


def _is_told_apart(choice: Conditional) -> bool:
    """``loss.item() if tasks else loss``: who takes the number where there is a tensor has a number otherwise."""
    ways = ((choice.then, choice.otherwise), (choice.otherwise, choice.then))
    return any(
        isinstance(one, Call) and dotted(one.function) == f"{name}.item"
        for one, other in ways
        if (name := dotted(other)) is not None
    )


def counters(function: FunctionNode) -> frozenset[str]:
    """The names that number the rounds of a loop: ``for step in range(...)``, ``for step, batch in enumerate(...)``."""
    found: set[str] = set()
    for statement in statements(function.facts.body):
        match statement:
            case For(iterable=Call(function=Name(id="range")), target=Name(id=name)):
                found.add(name)
            case For(iterable=Call(function=Name(id="enumerate")), target=Display(items=(Name(id=name), *_))):
                found.add(name)
            case _:
                pass
    return frozenset(found)


def adds_to(target: Expression, value: Expression) -> Expression | None:
    """What ``total = total + loss`` adds to its target; None for other assignments."""
    if isinstance(value, Comprehension) and value.kind == "dict":  # ``totals = {k: totals[k] + v for k, v in ...}``
        path = dotted(target)
        return value.element if path is not None and _has_item(value.element, path) else None
    if isinstance(value, Comprehension):  # ``sums = [total + loss for total, loss in zip(sums, losses)]``
        return value.element if _adds_to_each_item(value, dotted(target)) else None
    outcomes = (value.then, value.otherwise) if isinstance(value, Conditional) else (value,)
    sums = [each for each in outcomes if isinstance(each, Operation) and each.operator in _ARITHMETIC]
    if not sums:
        return None
    path = holder(target)
    if isinstance(target, Subscript):
        return value if path is not None and any(_has_item(each, path) for each in sums) else None
    return value if any(name == path for each in sums for name, _ in _names(each)) else None


def scales(path: str, value: Expression) -> bool:
    """Whether a value is what a name holds times something, and nothing more: ``loss = loss / workers``."""
    match value:
        case Operation(operator="*" | "/", operands=operands):
            return any(dotted(operand) == path for operand in operands)
        case _:
            return False


def joined_to(target: Expression, value: Expression) -> Display | None:
    """The tensors in ``rows = torch.cat((rows, more))``; None for other assignments."""
    path = dotted(target)
    for outcome in (value.then, value.otherwise) if isinstance(value, Conditional) else (value,):
        match outcome:
            case Call(function=Attribute(name=name), arguments=(Argument(value=Display() as joined), *_)):
                held = path is not None and any(dotted(item) == path for item in joined.items)
                if held and name in _JOINING and len(joined.items) > 1:
                    return joined
            case _:
                pass
    return None


def listed_after(target: Expression, value: Expression) -> Display | None:
    """The list in ``losses = losses + [loss]``; None for other assignments."""
    path = dotted(target)
    match value:
        case Operation(operator="+", operands=(held, Display(kind="list") as items)):
            return items if path is not None and dotted(held) == path else None
        case _:
            return None


def holder(target: Expression) -> str | None:
    """The name of what is assigned to, or of what holds the item that is: ``totals[key] = ...``."""
    return dotted(target.value) if isinstance(target, Subscript) else dotted(target)


def is_item_of(path: str, expression: Expression) -> bool:
    """``totals[key]``, or ``totals.get(key, 0)``."""
    match expression:
        case Subscript(value=value):
            return dotted(value) == path
        case Call(function=Attribute(value=value, name="get")):
            return dotted(value) == path
        case _:
            return False


def _has_item(expression: Expression, path: str) -> bool:
    """Whether an item of what a name holds is an operand of arithmetic."""
    if isinstance(expression, Operation):
        return any(_has_item(operand, path) for operand in expression.operands)
    return is_item_of(path, expression)


def _adds_to_each_item(made: Comprehension, path: str | None) -> bool:
    """Whether a list is made of the items of another, something added to each."""
    match made.kind, made.loops, made.element:
        case (
            "list",
            (Iteration(target=Display(items=names), iterable=Call(function=Name(id="zip"), arguments=walked)),),
            Operation(operator="+", operands=operands),
        ):
            items = [dotted(name) for name, each in zip(names, walked, strict=False) if dotted(each.value) == path]
            return path is not None and any(dotted(operand) in items for operand in operands)
        case _:
            return False


def spelt_item(expression: Expression) -> str | None:
    """An item by a name or a constant, as code spells it: ``losses["ce"]``."""
    if not isinstance(expression, Subscript) or (name := dotted(expression.value)) is None:
        return None
    match expression.index:
        case Name(id=index):
            return f"{name}[{index}]"
        case Constant(value=str(index)):
            return f'{name}["{index}"]'
        case Constant(value=int(number)):
            return f"{name}[{number}]"
        case _:
            return None


def is_sum(statement: Augment) -> bool:
    """Whether an augmented assignment is one of arithmetic."""
    return statement.operator in _ARITHMETIC


def _names(expression: Expression) -> Iterator[tuple[str, int]]:
    """The names that arithmetic is done with."""
    return _named(_operands(expression))


def _named(operands: Iterable[Expression]) -> Iterator[tuple[str, int]]:
    for each in operands:
        if (name := dotted(each) or spelt_item(each)) is not None:
            yield name, each.at


def _operands_in(expression: Expression, added: Value) -> Iterator[Expression]:
    """What is added consists of; of ``Transition(*args)``, which makes a tuple, what goes into it."""
    if isinstance(expression, Call) and added.kind == "container":
        for argument in expression.arguments:
            yield from _operands(argument.value)
    else:
        yield from _operands(expression)


def _operands(expression: Expression) -> Iterator[Expression]:
    """What arithmetic is done with, or what a display is made of."""
    match expression:
        case Operation(operands=operands):
            for operand in operands:
                yield from _operands(operand)
        case Conditional(then=yes, otherwise=no):
            yield from _operands(yes)
            yield from _operands(no)
        case Display(items=items, kind="tuple" | "list" | "dict"):
            for item in items:
                yield from _operands(item)
        case Comprehension(element=element, kind="dict"):
            yield from _operands(element)
        case _:
            yield expression
