"""Names that begin anew before something is added to what they hold."""

from gradlint.model.code import Assign, Attribute, Block, Expression, For, If, Statement, Subscript, While, With, dotted
from gradlint.model.traverse import blocks, pairs, within
from gradlint.project.linking import scope
from gradlint.project.linking.nodes import FunctionNode


def is_begun_anew(function: FunctionNode, path: str, at: int) -> bool:
    """Whether a name is given a new value before a place: on every way there, and in each round of the loops around it.

    ``self.loss = criterion(out, y); self.loss += penalty`` adds to what this call has made.
    """
    block, begun = function.facts.body, False
    while True:
        around = next((statement for statement in block if _holds(statement, at)), None)
        if around is None:
            return begun
        begun = begun or any(_begins(statement, path) for statement in block[: block.index(around)])
        inner = next((each for each in blocks(around) if at in scope.places_of(each)), None)
        if inner is None:
            return begun
        block, begun = inner, begun and not isinstance(around, For | While)


def _holds(statement: Statement, at: int) -> bool:
    return at in scope.places_of((statement,))


def _begins(statement: Statement, path: str) -> bool:
    """Whether a statement surely binds a name to something new."""
    match statement:
        case Assign(targets=targets, value=given):
            found = [value for target in targets for name, value in pairs(target, given) if name == path]
            return any(not isinstance(value, Attribute | Subscript) and _is_without(value, path) for value in found)
        case If(then=then, otherwise=otherwise):
            return _any_begins(then, path) and _any_begins(otherwise, path)
        case With(body=body):
            return _any_begins(body, path)
        case _:
            return False


def _any_begins(block: Block, path: str) -> bool:
    return any(_begins(statement, path) for statement in block)


def _is_without(value: Expression, path: str) -> bool:
    return all(dotted(part) != path for part in within(value))
