"""Flags of an object that choose what its methods do: ``self._is_train = False``, then ``if self.is_train:``."""

from collections.abc import Iterator, Mapping

from gradlint.model.code import Block, Constant, Expression, If, Operation, dotted
from gradlint.model.traverse import blocks
from gradlint.project.linking.callables import Callables
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.scope import assigned, places_of

Flags = Mapping[str, bool]  # the attributes of ``self``, and what they must be


def flags_at(callables: Callables, method: FunctionNode, at: int) -> Flags:
    """What the flags of a method's object must be for a place in it to be run."""
    if method.owner is None or "self" not in method.facts.words:
        return {}
    tested = ((path, wanted) for path, wanted in _tested(method.facts.body, at) if path.startswith("self."))
    return {callables.behind_property(method, path): wanted for path, wanted in tested}


def sets_otherwise(method: FunctionNode, flags: Flags) -> bool:
    """Whether a method gives one of the flags the other value, and never another."""
    for path, wanted in flags.items():
        given = [value for name, value in assigned(method) if name == path]
        if given and all(isinstance(value, Constant) and value.value is (not wanted) for value in given):
            return True
    return False


def _tested(block: Block, at: int) -> Iterator[tuple[str, bool]]:
    """The names that the branches around a place test, each with what it is there."""
    for statement in block:
        if isinstance(statement, If):
            if at in places_of(statement.then):
                yield from _known(statement.test, wanted=True)
            elif at in places_of(statement.otherwise):
                yield from _known(statement.test, wanted=False)
        for inner in blocks(statement):
            yield from _tested(inner, at)


def _known(test: Expression, *, wanted: bool) -> Iterator[tuple[str, bool]]:
    match test:
        case Operation(operator="not", operands=(inner,)):
            yield from _known(inner, wanted=not wanted)
        case Operation(operator="and", operands=operands) if wanted:
            for operand in operands:
                yield from _known(operand, wanted=True)
        case Operation(operator="or", operands=operands) if not wanted:
            for operand in operands:
                yield from _known(operand, wanted=False)
        case _:
            if (name := dotted(test)) is not None:
                yield name, wanted
