"""Attributes that an object puts into training mode just before it evaluates them: in what order a method does that."""

import re
from collections.abc import Iterator

from gradlint.finding import Place
from gradlint.model.code import Block, Call, Evaluate, Statement, dotted
from gradlint.model.traverse import all_expressions, all_of, blocks, expressions, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.edges import Edge
from gradlint.project.linking import scope
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.switches import Switches, says_eval

_VALIDATING = re.compile(r"(^|_)(eval\w*|valid\w*|val|test\w*|accuracy)(_|$)")
_FARTHEST = 3  # callers of callers


class SetBefore:
    """Answers for one project."""

    def __init__(self, calls: CallGraph, switches: Switches) -> None:
        self._calls = calls
        self._switches = switches

    def place(self, method: FunctionNode, attribute: str, *, measures: bool, depth: int = 0) -> Place | None:
        """Where an attribute was put into training mode last when some other method of its object calls a method.

        ``measures`` tells that this one measures; else one must that calls it: predictions may be targets to train on.
        """
        measures = measures or _VALIDATING.search(method.facts.name) is not None
        for edge in self._calls.callers.get(method, ()):
            call = scope.own_call_at(edge.caller, edge.at)
            own = call is not None and dotted(call.function) == f"self.{method.facts.name}"
            if not own or edge.caller.is_test or edge.caller.owner is None or edge.handed:
                continue
            found, ended = self._before(edge, attribute)
            if found is not None and measures:
                return found
            if not ended and depth < _FARTHEST:
                above = self.place(edge.caller, attribute, measures=measures, depth=depth + 1)
                if above is not None:
                    return above
        return None

    def _before(self, edge: Edge, attribute: str) -> tuple[Place | None, bool]:
        """The same for one call; and whether something else switches before it, or may."""
        for statement in _backwards(edge.caller.facts.body, edge.at):
            if (place := self._trains(edge.caller, statement, attribute)) is not None:
                return place, True
            if self._may_switch(edge.caller, statement, attribute):
                return None, True
        return None, False

    def _trains(self, caller: FunctionNode, statement: Statement, attribute: str) -> Place | None:
        """Where a statement puts an attribute into training mode: itself, or by the one method that it calls."""
        call = statement.value if isinstance(statement, Evaluate) else None
        if isinstance(call, Call) and dotted(call.function) == f"self.{attribute}.train" and not call.arguments:
            return caller.place(call.at)
        calls = [part for each in expressions(statement) for part in within(each) if isinstance(part, Call)]
        targets = [t for c in calls for t in self._calls.callees.get(caller, {}).get(c.at, ())]
        if len(targets) != 1 or targets[0].owner is None or any(map(says_eval, self._calls.below(targets))):
            return None
        plain = (s.value for s in targets[0].facts.body if isinstance(s, Evaluate))
        set_here = (c for c in plain if isinstance(c, Call) and dotted(c.function) == f"self.{attribute}.train")
        return next((targets[0].place(call.at) for call in set_here if not call.arguments), None)

    def _may_switch(self, caller: FunctionNode, statement: Statement, attribute: str) -> bool:
        places = {part.at for part in all_expressions((statement,)) if isinstance(part, Call)}
        named = (dotted(call.function) or "" for call in all_of(Call, (statement,)))
        if any(name.endswith((".eval", ".train")) for name in named):
            return True
        return self._switches.among(caller, f"self.{attribute}", places)


def _backwards(body: Block, at: int) -> Iterator[Statement]:
    """The statements that surely come before a place, the nearest first: those above it in all blocks around it."""
    around: list[tuple[Block, int]] = []
    for block in (body, *(inner for statement in statements(body) for inner in blocks(statement))):
        for number, statement in enumerate(block):
            if any(part.at == at for part in all_expressions((statement,))):
                around.append((block, number))
    for block, number in reversed(around):
        yield from reversed(block[:number])
