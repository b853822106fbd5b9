"""Edits of whole statements that several rules offer: put under a guard, put behind another one."""

from collections.abc import Iterator

from gradlint.finding import Edit, Fix
from gradlint.model.code import Assign, Attribute, Augment, Block, Call, Evaluate, Statement
from gradlint.model.traverse import blocks, expressions, within
from gradlint.project.nodes import FunctionNode

_NO_GRAD = "with torch.no_grad():"


def names_torch(function: FunctionNode) -> bool:
    """Whether ``torch`` is the name of torch in the function's module."""
    return any(found.binding == found.module == "torch" for found in function.module.body.facts.imports)


def simple_statement(function: FunctionNode, at: int) -> Assign | Augment | Evaluate | None:
    """The assignment or expression statement that holds a place; None if something else does."""
    block, index = _standing(function.facts.body, at)
    found = block[index] if block else None
    return found if isinstance(found, Assign | Augment | Evaluate) else None


def under_no_grad(function: FunctionNode, at: int) -> Edit | None:
    """The edit that puts the simple statement at a place under ``with torch.no_grad():``."""
    statement = simple_statement(function, at)
    if statement is None or not names_torch(function):
        return None
    return Edit(function.place(statement.at), "header", _NO_GRAD)


def exchanged(function: FunctionNode, first: int, second: int) -> tuple[Edit, ...]:
    """The edits that let two neighbouring expression statements change places; none if they are no neighbours."""
    block, index = _standing(function.facts.body, first)
    pair = block[index : index + 2]
    if len(pair) != 2 or not all(isinstance(each, Evaluate) for each in pair) or second not in _places(pair[1]):
        return ()
    here, there = (function.place(each.at) for each in pair)
    return (Edit(here, "replace", "", moved=there), Edit(there, "replace", "", moved=here))


def without_inference_mode(function: FunctionNode, at: int) -> Fix | None:
    """The fix that makes ``no_grad`` of the ``inference_mode()`` around a place, where ``with`` enters it alone."""
    found = [item.context for statement in _around(function.facts.body, at) for item in getattr(statement, "items", ())]
    match found:
        case [Call(function=Attribute(name="inference_mode") as mode, arguments=())]:
            edits = (Edit(function.place(mode.name_at), "replace", "no_grad"),)
            return Fix("unsafe", "use `no_grad()`, which makes ordinary tensors", edits)
        case _:
            return None


def _standing(block: Block, at: int) -> tuple[Block, int]:
    """The innermost block that has a place in one of its statements, and the number of that statement."""
    for index, statement in enumerate(block):
        for inner in blocks(statement):
            found = _standing(inner, at)
            if found[0]:
                return found
        if at in _places(statement):
            return block, index
    return (), 0


def _around(block: Block, at: int) -> Iterator[Statement]:
    """The compound statements around a place, the outermost first."""
    for statement in block:
        for inner in blocks(statement):
            if _standing(inner, at)[0]:
                yield statement
                yield from _around(inner, at)


def _places(statement: Statement) -> Iterator[int]:
    yield statement.at
    for expression in expressions(statement):
        yield from (part.at for part in within(expression))
