"""Grad modes that a function or a module leaves switched off, and whom that concerns."""

import re
from collections.abc import Iterator

from gradlint.finding import Place
from gradlint.model.code import (
    Assign,
    Attribute,
    Block,
    Call,
    Evaluate,
    Expression,
    For,
    If,
    Name,
    Statement,
    While,
    dotted,
)
from gradlint.model.record import answer
from gradlint.model.torch_calls import BACKWARD_METHODS, TRAINING_WORDS
from gradlint.model.traverse import all_expressions, all_of, blocks, expressions, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.grad_states.effects import GRAD, IDENTITY, INFERENCE, NO_GRAD, apply
from gradlint.project.grad_states.modes import Modes
from gradlint.project.grad_states.state import GradStates
from gradlint.project.linking import rounds
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.imports import Imports
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.same_conditions import taken_later
from gradlint.project.linking.scope import decorated_by

_OFF = NO_GRAD | INFERENCE
# Whose work is to switch for somebody else, who calls the other half later.
_HALVES = re.compile(r"^(__a?enter__|__a?exit__|__del__)$")
_ENTRY_POINT = re.compile(r"(^|_)main(_\w+)?$|^cli$")
_COMMAND = re.compile(r"(^|\.)(command|main|callback|task|entrypoint|local_entrypoint)$")
# What a function may call besides that does nothing but set up.
_SETTERS = re.compile(r"^(__enter__|eval|train|print|info|debug|warning|is_grad_enabled|is_inference_mode_enabled)$")


@answer
class Leak:
    """A call that switches grad off for longer than its function runs.

    ``felt_at`` is a place that runs on with grad off: a call of the function, or an import of the module.
    """

    function: FunctionNode
    call: Call
    felt_at: Place | None


class Leaks:
    """Finds leaks that somebody has to suffer from."""

    def __init__(
        self,
        linker: Linker,
        bindings: Bindings,
        modes: Modes,
        states: GradStates,
        calls: CallGraph,
        imports: Imports,
    ) -> None:
        self._linker = linker
        self._bindings = bindings
        self._modes = modes
        self._states = states
        self._calls = calls
        self._imports = imports

    def of(self, function: FunctionNode) -> Leak | None:
        """The leak of a function or module body."""
        if not apply(self._states.effect_after(function), GRAD) & _OFF:
            return None
        call = self._blamed(function)
        if call is None or self._is_put_back(function, call) or self._is_restored(function):
            return None
        if function.is_module_body:
            surprised = self._surprised(function)
            return Leak(function, call, surprised) if surprised is not None else None
        callers = self._calls.callers.get(function, [])
        if self._is_meant(function, callers) and not self._is_felt_next_round(function, call):
            return None
        return Leak(function, call, callers[0].place if callers else None)

    def _surprised(self, body: FunctionNode) -> Place | None:
        """Where a module is imported by one that does not switch grad off itself."""
        importers = self._imports.of(body.module).items()
        return next((place for importer, place in importers if self._blamed(importer.body) is None), None)

    # The call

    def _blamed(self, function: FunctionNode) -> Call | None:
        """The last call that switches grad off, if it is one to be blamed."""
        found: Call | None = None
        for statement in _outside_main(function.facts.body):
            for call in _for_effect(function, statement):
                if self._switches_off(function, call):
                    found = call
        return found

    def _switches_off(self, function: FunctionNode, call: Call) -> bool:
        if not apply(self._states.leak(function, call), GRAD) & _OFF:
            return False
        match call.function:
            case Attribute(name="enter_context"):
                return False  # the stack decides when it ends
            case Attribute(name="__enter__", value=value):
                return not self._ends_by_itself(function, value)
            case _:
                return self._modes.mode(function, call.function) is not None or self._is_setter_call(function, call)

    def _ends_by_itself(self, function: FunctionNode, guard: Expression) -> bool:
        """An inference mode ends with the object that holds it, at the latest with its last variable."""
        if not isinstance(guard, Name) or guard.id not in function.facts.local or function.is_module_body:
            return False
        values = self._bindings.values(function, guard.id)
        return all(self._modes.made(where, value) == "inference_mode" for where, value in values)

    def _is_setter_call(self, function: FunctionNode, call: Call) -> bool:
        """A call of a function whose only job is to switch is the caller's own decision."""
        name = dotted(call.function)
        target = (self._linker.resolve(function, name) or self._states.own_method(function, name)) if name else None
        return isinstance(target, FunctionNode) and self._only_sets(target)

    # Whom it concerns

    def _is_put_back(self, function: FunctionNode, switch: Call) -> bool:
        """Whether what is done further down on the same condition switches grad on again."""
        later = (statement for block in taken_later(function.facts.body, switch.at) for statement in block)
        calls = (call for statement in later for call in _for_effect(function, statement))
        return any(self._states.is_restore(function, call) or self._sets_on(function, call) for call in calls)

    def _is_restored(self, function: FunctionNode) -> bool:
        """Whether a decorator, the other half of a pair, or whoever sets the mode next puts it back."""
        if function.is_module_body:
            return False
        if _HALVES.match(function.facts.name) or self._states.decorators.of(function) != IDENTITY:
            return True
        others = function.owner.methods if function.owner is not None else _plain_functions(function)
        halves = (other for other in others if other is not function and self._blamed(other) is None)
        return any(map(self._switches_on, halves))

    def _switches_on(self, function: FunctionNode) -> bool:
        return any(
            (isinstance(call.function, Attribute) and call.function.name == "__exit__") or self._sets_on(function, call)
            for statement in statements(function.facts.body)
            for call in _for_effect(function, statement)
        )

    def _sets_on(self, function: FunctionNode, call: Call) -> bool:
        if self._modes.made(function, call) != "set_grad_enabled":
            return False
        return not apply(self._states.leak(function, call), GRAD) & _OFF

    def _is_meant(self, function: FunctionNode, callers: list[Edge]) -> bool:
        if not self._calls.entry(function) & GRAD or _is_entry_point(function):
            return True
        if callers and all(edge.elsewhere for edge in callers):
            return True  # the mode belongs to a thread, which ends
        return self._only_sets(function) or not self._is_felt(function)

    def _is_felt_next_round(self, function: FunctionNode, switch: Call) -> bool:
        """Whether a loop of the function itself goes on to train, and never switches grad on again."""
        around = next(rounds.bodies_around(function, switch.at), None)
        if around is None or not self._calls.entry(function) & GRAD or self._switches_on(function):
            return False
        return any(call.at in around and call.method in BACKWARD_METHODS for call in function.facts.calls)

    def _only_sets(self, function: FunctionNode) -> bool:
        """Whether switching is all that a function does: it is told to, and its caller is to blame."""
        if function.facts.name == "__init__" or self._enters_for_good(function):
            return False
        calls = all_of(Call, function.facts.body)
        return all(self._sets(function, call) for call in calls)

    def _enters_for_good(self, function: FunctionNode) -> bool:
        """``self.guard.__enter__()``, where nobody in the project ever leaves anything by hand."""
        if function.owner is None or "__enter__" not in function.facts.words:
            return False
        entered = (call for call in function.facts.calls if call.method == "__enter__")
        return any(call.callee.startswith("self.") for call in entered) and not self._linker.mentions.of("__exit__")

    def _sets(self, function: FunctionNode, call: Call) -> bool:
        if self._modes.mode(function, call.function) is not None:
            return True
        if (dotted(call.function) or "").startswith("torch.backends."):
            return True
        return isinstance(call.function, Name | Attribute) and _SETTERS.match(_last(call.function)) is not None

    def _is_felt(self, function: FunctionNode) -> bool:
        """Whether somebody may train after the function has returned: all but scripts that we see to the end."""
        callers = self._calls.callers
        above = self._calls.above(function)
        edges = [edge for f in above for edge in callers.get(f, ())]
        starts = [f for f in above if not callers.get(f, ())]
        if not starts or not all(f.is_module_body or _is_entry_point(f) for f in starts):
            return True
        return any(self._runs_on_import(edge) or self._trains_after(edge) for edge in edges)

    def _trains_after(self, edge: Edge) -> bool:
        """Whether the caller, or the next round of its loop, trains and does not switch grad on first."""
        caller = edge.caller
        if self._switches_on(caller):
            return False
        since = _outermost_loop(caller, edge.at)
        later = [call for call in caller.facts.calls if call.at >= since and call.at != edge.at]
        if any(call.callee.rpartition(".")[2] in TRAINING_WORDS for call in later):
            return True
        callees = self._calls.callees.get(caller, {})
        below = self._calls.below(callee for call in later for callee in callees.get(call.at, ()))
        return any(not TRAINING_WORDS.isdisjoint(f.facts.words) and not self._switches_on(f) for f in below)

    def _runs_on_import(self, edge: Edge) -> bool:
        """Whether a call is made when some other module imports the caller's."""
        body = edge.caller
        if not body.is_module_body or not self._imports.of(body.module):
            return False
        importing = (e for s in _outside_main(body.facts.body) for outer in expressions(s) for e in within(outer))
        return any(expression.at == edge.at for expression in importing)


def _outside_main(block: Block) -> Iterator[Statement]:
    """The statements that run on import, too: those under ``if __name__ == "__main__":`` do not."""
    for statement in block:
        if isinstance(statement, If) and any(
            isinstance(e, Name) and e.id == "__name__" for e in within(statement.test)
        ):
            continue
        yield statement
        for inner in blocks(statement):
            yield from _outside_main(inner)


def _for_effect(function: FunctionNode, statement: Statement) -> Iterator[Call]:
    """The calls of a statement that are not made for their result."""
    match statement:
        case Evaluate(value=Call() as call) | Assign(value=Call(function=Attribute(name="__enter__")) as call):
            yield call
        case Assign(targets=(Name(id=name),), value=Call() as call) if _is_unread(function, name):
            yield call
        case _:
            pass


def _is_unread(function: FunctionNode, name: str) -> bool:
    """Whether a local variable is assigned once and never looked at."""
    if name == "_":
        return True
    if function.is_module_body or name not in function.facts.local:
        return False
    seen = (e for e in all_of(Name, function.facts.body) if e.id == name)
    return sum(1 for _ in seen) == 1


def _outermost_loop(function: FunctionNode, at: int) -> int:
    """The place from which code may run after a place: its own, or the start of the loop it stands in."""
    for statement in statements(function.facts.body):
        if isinstance(statement, For | While) and any(e.at == at for e in all_expressions((statement,))):
            return statement.at
    return at


def _is_entry_point(function: FunctionNode) -> bool:
    """Whether the process ends when the function does."""
    if _ENTRY_POINT.search(function.facts.name) and function.owner is None:
        return True
    return any(_COMMAND.search(dotted(decorator) or "") for decorator in decorated_by(function))


def _last(called: Name | Attribute) -> str:
    return called.id if isinstance(called, Name) else called.name


def _plain_functions(function: FunctionNode) -> list[FunctionNode]:
    return [f for f in function.module.functions if f.owner is None and not f.is_module_body]
