"""What operations save of their inputs for ``backward()``, and is changed in place before that."""

from collections.abc import Iterator, Sequence

from gradlint.model.code import Assign, Attribute, Augment, Call, Constant, Expression, Name, Operation, Statement, With
from gradlint.model.record import answer
from gradlint.model.traverse import blocks, expressions, names_in, pairs, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking.changes import may_change_in_place
from gradlint.project.linking.nodes import External, FunctionNode
from gradlint.project.running.flow import CallEvent, ChangeEvent, Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import COMPUTED, Value

_PRODUCTS = frozenset({"*", "/", "@"})  # they save each factor for the other's gradient
_ARITHMETIC = _PRODUCTS | {"+", "-", "**"}
_MULTIPLYING = frozenset("mul multiply matmul mm bmm mv dot div".split())
_OF_ONE = frozenset("pow square log log2 log10 log1p sin cos abs".split())  # they save what they are done to
_LAYERS = frozenset(
    "Linear Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d BatchNorm1d BatchNorm2d BatchNorm3d "
    "LayerNorm GroupNorm".split()
)
_DEEPEST = 8

_Way = tuple[tuple[int, int], ...]  # the blocks around a statement: the compound statement's place, and which block


@answer
class SavedInput:
    """What has the name ``path`` is changed at ``at``; ``by`` saved it at ``saved_at``, for a walk that comes later."""

    at: int
    path: str
    by: str
    saved_at: int


class SavedInputs:
    """Finds changes of what products, powers and layers have saved, between them and a ``backward()``."""

    def __init__(self, calls: CallGraph, flows: Flows) -> None:
        self._calls = calls
        self._flows = flows

    def changed(self, function: FunctionNode) -> Iterator[SavedInput]:
        """The changes in a function that walks a graph itself."""
        if "backward" not in function.facts.words or not may_change_in_place(function):
            return
        flow = self._flows.flow(function)
        walks = [event for event in flow.calls.values() if event.method == "backward"]
        changes = [change for change in flow.changes.values() if _is_of_named_tensor(change)]
        if walks and changes:
            lines = _Lines(function)
            for change in changes:
                yield from self._of(flow, lines, change, walks)

    def _of(self, flow: Flow, lines: "_Lines", change: ChangeEvent, walks: Sequence[CallEvent]) -> Iterator[SavedInput]:
        path, here = change.path or "", lines.number(change.at)
        if here is None:
            return
        begun = lines.bound_before(path, here)
        for number in range(begun + 1, here + 1):
            if not lines.leads_to(number, here):
                continue
            for operation, by in self._saving(flow, lines, number, path):
                if any(self._walks(lines, walk, number, here, walks) for walk in walks):
                    yield SavedInput(change.at, path, by, operation.at)
                    return

    def _saving(self, flow: Flow, lines: "_Lines", number: int, path: str) -> Iterator[tuple[Expression, str]]:
        """The operations of a statement that save what has a name, each with what it is called."""
        for outer in expressions(lines.statements[number]):
            for part in within(outer):
                by = self._saved_by(flow, lines, number, part, path)
                if by is not None and self._calls.own_states(flow.function, part.at) == GRAD:
                    yield part, by

    def _saved_by(self, flow: Flow, lines: "_Lines", number: int, part: Expression, path: str) -> str | None:
        def requires_grad(expression: Expression) -> bool:
            return _requires_grad(flow, lines, number, expression)

        match part:
            case Operation(operator=operator, operands=(first, second)) if operator in _PRODUCTS:
                saved = (_is(first, path) and requires_grad(second)) or (_is(second, path) and requires_grad(first))
                return f"`{operator}`" if saved else None
            case Operation(operator="**", operands=(first, Constant(value=int() | float() as power))):
                return "`**`" if power not in (0, 1) and _is(first, path) and requires_grad(first) else None
            case Call(function=Attribute(value=owner, name=name), arguments=arguments):
                given = [argument.value for argument in arguments]
                given = given if _is(owner, "torch") else [owner, *given]
                if name in _OF_ONE and given and _is(given[0], path) and requires_grad(given[0]):
                    return f"`{name}`"
                if name in _MULTIPLYING and len(given) == 2 and path in map(_named, given):
                    other = given[1] if _is(given[0], path) else given[0]
                    return f"`{name}`" if requires_grad(other) else None
                return self._saved_by_layer(flow, part, path)
            case Call():
                return self._saved_by_layer(flow, part, path)
            case _:
                return None

    def _saved_by_layer(self, flow: Flow, call: Call, path: str) -> str | None:
        """A layer that is made here, and therefore trained, saves its input for the gradient of its weight."""
        event = flow.calls.get(call.at)
        if event is None or not event.forward or not call.arguments or not _is(call.arguments[0].value, path):
            return None
        return f"`{event.name}`" if _is_new_layer(event.callee) and event.result.tensor == COMPUTED else None

    def _walks(self, lines: "_Lines", walk: CallEvent, saved: int, changed: int, walks: Sequence[CallEvent]) -> bool:
        """Whether a call after the change walks what was saved before it, and no walk in between freed that."""
        number = lines.number(walk.at)
        if (
            number is None
            or number <= changed
            or not (lines.leads_to(changed, number) or lines.leads_to(number, changed))
        ):
            return False
        between = (other for other in walks if saved <= (lines.number(other.at) or 0) <= changed)
        return not any(not other.keeps_graph for other in between) and lines.goes_into(saved, number)


class _Lines:
    """The statements of a function in their order, each with the blocks it stands in."""

    def __init__(self, function: FunctionNode) -> None:
        self.statements: list[Statement] = []
        self._ways: list[_Way] = []
        self._numbers: dict[int, int] = {}
        self._gather(function.facts.body, ())

    def _gather(self, block: Sequence[Statement], way: _Way) -> None:
        for statement in block:
            number = len(self.statements)
            self.statements.append(statement)
            self._ways.append(way)
            self._numbers[statement.at] = number
            for expression in expressions(statement):
                self._numbers.update((part.at, number) for part in within(expression))
            for index, inner in enumerate(blocks(statement)):
                # ``with`` runs what it holds once, as if it stood outside.
                self._gather(inner, way if isinstance(statement, With) else (*way, (statement.at, index)))

    def number(self, at: int) -> int | None:
        """The statement in which a place is."""
        return self._numbers.get(at)

    def leads_to(self, first: int, second: int) -> bool:
        """Whether whoever gets to the second statement has run the first one, which stands above it."""
        way = self._ways[first]
        return self._ways[second][: len(way)] == way

    def bound_before(self, name: str, number: int) -> int:
        """The last statement above that may bind a name; -1 if there is none."""
        return next((n for n in range(number - 1, -1, -1) if name in self._bound(n)), -1)

    def value_before(self, name: str, number: int) -> tuple[int, Expression] | None:
        """What a name is assigned last above a statement, if that is certain, and in which statement."""
        found = self.bound_before(name, number)
        statement = self.statements[found] if found >= 0 else None
        if not isinstance(statement, Assign) or not self.leads_to(found, number):
            return None
        values = dict(pair for target in statement.targets for pair in pairs(target, statement.value))
        return (found, values[name]) if name in values else None

    def goes_into(self, first: int, last: int) -> bool:
        """Whether what the first statement computes goes into the last one, by names that are bound once."""
        pending, seen = [last], set[int]()
        while pending:
            number = pending.pop()
            if number == first:
                return True
            if number in seen:
                continue
            seen.add(number)
            for name in {name for each in expressions(self.statements[number]) for name in names_in(each)}:
                binding = [n for n in range(len(self.statements)) if name in self._bound(n)]
                if len(binding) == 1:
                    pending.extend(binding)
                    pending.extend(n for n in range(len(self.statements)) if name in self._added_to(n))
        return False

    def _bound(self, number: int) -> set[str]:
        statement = self.statements[number]
        targets = statement.targets if isinstance(statement, Assign) else ()
        looped = [] if isinstance(statement, Assign | Augment) else [getattr(statement, "target", None)]
        found = {name for target in targets for name, _ in pairs(target, target)}
        return found.union(*(names_in(target) for target in looped if target is not None))

    def _added_to(self, number: int) -> set[str]:
        statement = self.statements[number]
        return names_in(statement.target) if isinstance(statement, Augment) else set()


def _requires_grad(flow: Flow, lines: _Lines, number: int, expression: Expression, depth: int = 0) -> bool:
    """Whether what is asked in a statement certainly requires grad."""
    if depth > _DEEPEST:
        return False
    match expression:
        case Name(id=name):
            found = lines.value_before(name, number)
            return found is not None and _requires_grad(flow, lines, *found, depth + 1)
        case Call(at=at):
            event = flow.calls.get(at)
            return event is not None and event.result.is_tensor and event.result.requires_grad is True
        case Operation(operator=operator, operands=operands) if operator in _ARITHMETIC:
            return any(_requires_grad(flow, lines, number, operand, depth + 1) for operand in operands)
        case _:
            return False


def _is_new_layer(module: Value) -> bool:
    kind = module.target.name if isinstance(module.target, External) else ""
    new = module.certainty == "known" and module.born is not None and not module.frozen
    return new and kind.startswith("torch.nn.") and kind.rpartition(".")[2] in _LAYERS


def _is_of_named_tensor(change: ChangeEvent) -> bool:
    return change.path is not None and change.path.isidentifier() and change.owner.kind == "tensor"


def _is(expression: Expression, name: str) -> bool:
    return _named(expression) == name


def _named(expression: Expression) -> str | None:
    return expression.id if isinstance(expression, Name) else None
