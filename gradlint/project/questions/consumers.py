"""What code does between the items of a generator that it consumes."""

import re
from collections.abc import Iterable, Iterator

from gradlint.model.code import Assign, Attribute, Call, Comprehension, Expression, For, Name, Yield, dotted
from gradlint.model.torch_calls import TRAINING_WORDS
from gradlint.model.traverse import all_expressions, expressions, parts, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.modes import Modes
from gradlint.project.linking.memos import Whole
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.running.flows import Flows

_TRAINING = re.compile(r"train|learn|optimi[sz]|loss|fit$|(^|_)step$|update_?(net|model|policy|weights)", re.I)
_UNSPELT = frozenset({"__call__", "forward", "<lambda>"})  # called by the name of an object or a variable
_ALL_AT_ONCE = frozenset(f"builtins.{name}" for name in ("list", "tuple", "set", "sum", "max", "min", "dict"))


class Consumers:
    """Looks at the calls of a generator function and at what is done with its items."""

    def __init__(self, modes: Modes, calls: CallGraph, flows: Flows) -> None:
        self._modes = modes
        self._calls = calls
        self._flows = flows
        self._generators: Whole[frozenset[str]] = Whole(flows.linker.dependencies, "generators", self._find_generators)

    def may_start(self, call: Call) -> bool:
        """Whether a call may start a generator function of the project; told by its name, so that nothing is run."""
        called, names = call.function, self._generators.value
        name = called.name if isinstance(called, Attribute) else dotted(called)
        return name is None or name in names or not names.isdisjoint(_UNSPELT)

    def _find_generators(self) -> frozenset[str]:
        """The names of generator functions, and those that go by them."""
        functions = (function for module in self._flows.linker.modules for function in module.functions)
        names = frozenset(function.facts.name for function in functions if function.facts.is_generator)
        return self._modes.spellings(names) if names else names

    def only_keep(self, generator: FunctionNode) -> bool:
        """Whether all who consume a generator keep or show its items, so that no grad mode matters to them."""
        edges = self._calls.callers.get(generator, ())
        return bool(edges) and all(edge.certain and self._only_keeps(edge) for edge in edges)

    def _only_keeps(self, edge: Edge) -> bool:
        found = [*self._between_items(edge)]
        return bool(found) and not any(self._may_record(edge.caller, e) for block in found for e in block)

    def _may_record(self, function: FunctionNode, expression: Expression) -> bool:
        """Whether an expression trains, runs a model, or hands the mode on to a consumer of its own."""
        if not isinstance(expression, Call):
            return isinstance(expression, Yield)
        event = self._flows.flow(function).calls.get(expression.at)
        if event is None or event.forward or _TRAINING.search(event.method) or event.method in TRAINING_WORDS:
            return True
        called = self._calls.callees.get(function, {}).get(expression.at, ())
        return any(not TRAINING_WORDS.isdisjoint(f.facts.words) for f in self._calls.below(called))

    def _between_items(self, edge: Edge) -> Iterator[Iterable[Expression]]:
        """What runs between two items, once for every place that takes them."""
        names = set(_names(edge))
        for statement in statements(edge.caller.facts.body):
            if isinstance(statement, For) and _takes(statement.iterable, edge.at, names):
                yield [*all_expressions(statement.body)]
            for outer in expressions(statement):
                for expression in within(outer):
                    if isinstance(expression, Comprehension):
                        if any(_takes(loop.iterable, edge.at, names) for loop in expression.loops):
                            yield [*within(expression.element)]
                    elif isinstance(expression, Call) and self._takes_all(edge, expression, names):
                        yield ()

    def _takes_all(self, edge: Edge, call: Call, names: set[str]) -> bool:
        name = self._modes.full_name(edge.caller, call.function)
        return name in _ALL_AT_ONCE and any(_takes(a.value, edge.at, names) for a in call.arguments)


def _names(edge: Edge) -> Iterator[str]:
    """The variables that hold the generator."""
    for statement in statements(edge.caller.facts.body):
        match statement:
            case Assign(targets=(Name(id=name),), value=Call(at=at)) if at == edge.at:
                yield name
            case _:
                pass


def _takes(iterable: Expression, at: int, names: set[str]) -> bool:
    """Whether iterating takes items of the generator, possibly through ``tqdm`` or ``enumerate``."""
    candidates = (iterable, *parts(iterable))
    return any(e.at == at or (isinstance(e, Name) and e.id in names) for e in candidates)
