"""Parameters that decide whether a function records: ``if track: ... else: with torch.no_grad(): ...``."""

from collections.abc import Iterator

from gradlint.model.code import Block, Expression, If, Name, Return, Statement, With
from gradlint.model.traverse import blocks, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking.nodes import FunctionNode


def choosing_guard(calls: CallGraph, function: FunctionNode) -> frozenset[str]:
    """The parameters that lead into a guard of the function, or past it."""
    states = calls.all_own_states(function)
    if GRAD not in states or states == {GRAD}:
        return frozenset()
    parameters = {parameter.name for parameter in function.facts.parameters}
    asked = (part.id for test in _tests(function.facts.body) for part in within(test) if isinstance(part, Name))
    return frozenset(asked) & parameters


def _tests(block: Block) -> Iterator[Expression]:
    """The conditions of branches of which one is guarded: by a ``with`` in it, or one behind it that it jumps over."""
    for number, statement in enumerate(block):
        if isinstance(statement, If):
            behind = block[number + 1 :] if _contains(statement, Return) else ()
            if any(_contains(each, With) for each in (statement, *behind)):
                yield statement.test
        for inner in blocks(statement):
            yield from _tests(inner)


def _contains(statement: Statement, kind: type[Return | With]) -> bool:
    if isinstance(statement, kind):
        return True
    return any(isinstance(each, kind) for inner in blocks(statement) for each in statements(inner))
