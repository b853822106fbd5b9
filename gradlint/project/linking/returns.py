"""What functions return, as it is written."""

from collections.abc import Iterator

from gradlint.model.code import Expression, Return, dotted
from gradlint.model.traverse import parts, statements
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.scope import outcomes


def returned(function: FunctionNode) -> Iterator[Expression]:
    """The expressions a function returns."""
    for statement in statements(function.facts.body):
        if isinstance(statement, Return) and statement.value is not None:
            yield statement.value


def returned_outcomes(function: FunctionNode) -> Iterator[Expression]:
    """The same, each way on its own: ``return decorate(fn) if callable(fn) else decorate``."""
    for value in returned(function):
        yield from outcomes(value)


def returns_loss(function: FunctionNode) -> bool:
    """Whether what a function returns is called a loss."""
    names = (dotted(part) or "" for value in returned(function) for part in (value, *parts(value)))
    return any("loss" in name.rpartition(".")[2].lower() for name in names)
