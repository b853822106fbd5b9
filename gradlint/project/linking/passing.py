"""Whether who comes to a place of a function has come by another one before."""

from collections.abc import Iterator

from gradlint.model.code import Block, For, Statement, Try, While, With
from gradlint.model.traverse import blocks, expressions, within
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.linking.scope import places_of


def is_passed_first(function: FunctionNode, at: int, later: int) -> bool:
    """Whether a place stands before another on each way there: a loop in front of it is taken to run."""
    block = function.facts.body
    while True:
        around = next((each for each in block if later in places_of((each,))), None)
        if around is None:
            return False
        if any(at in _places_passed(each) for each in block[: block.index(around)]):
            return True
        inner = next((each for each in blocks(around) if later in places_of(each)), None)
        if inner is None:
            return False
        block = inner


def _places_passed(statement: Statement) -> Iterator[int]:
    """The places in a statement that no condition stands before."""
    yield from (part.at for expression in expressions(statement) for part in within(expression))
    if isinstance(statement, For | While | With | Try):
        yield from _places_in(statement.body)


def _places_in(block: Block) -> Iterator[int]:
    for statement in block:
        yield from _places_passed(statement)
