"""Edits of whole statements that several rules offer: put under a guard, put behind another one."""

from collections.abc import Iterator

from gradlint.finding import Edit, Fix
from gradlint.model.code import (
    Assign,
    Attribute,
    Augment,
    Block,
    Call,
    Constant,
    DefineFunction,
    Evaluate,
    ImportName,
    Statement,
)
from gradlint.model.traverse import blocks, expressions, within
from gradlint.project.linking.nodes import FunctionNode


def no_grad(function: FunctionNode) -> tuple[str, tuple[Edit, ...]] | None:
    """How a file spells ``torch.no_grad()``, with the edit that imports torch if it does not; None if it cannot.

    The import goes above one of torch's, or above the first; a file without imports gets it as its first line of code.
    """
    body = function.module.body
    for found in body.facts.imports:
        if found.module == "torch" and found.name is None and found.level == 0 and found.binding:
            return f"{found.binding}.no_grad()", ()
    for found in body.facts.imports:
        if found.module in ("torch", "torch.autograd") and found.name == "no_grad":
            return f"{found.binding}()", ()
    if any("torch" in (f.facts.local | f.facts.shared) for f in (body, function)):
        return None  # it is the name of something else
    above = _first_import(body.facts.body)
    if above is None:
        return None
    text = (
        "import torch"
        if any(isinstance(s, ImportName) and not _is_preamble(s) for s in body.facts.body)
        else "import torch\n"
    )
    return "torch.no_grad()", (Edit(function.place(above), "line-above", text),)


def _first_import(body: Block) -> int | None:
    """The place above which ``import torch`` goes."""
    found = [s for s in body if isinstance(s, ImportName) and s.module != "__future__" and s.binding]
    ours = [s for s in found if s.module.partition(".")[0] == "torch"]
    for imports in (ours, found):
        plain = [s.at for s in imports if s.name is None]
        if plain or imports:
            return plain[0] if plain else imports[0].at
    code = (s for s in body if not _is_preamble(s))
    return next((s.at for s in code), None)


def _is_preamble(statement: Statement) -> bool:
    """Whether a statement stands in front of a file's imports: its docstring, or ``from __future__``."""
    match statement:
        case Evaluate(value=Constant(value=str())) | ImportName(module="__future__"):
            return True
        case _:
            return False


def simple_statement(function: FunctionNode, at: int) -> Assign | Augment | Evaluate | None:
    """The assignment or expression statement that holds a place; None if something else does."""
    block, index = _standing(function.facts.body, at)
    found = block[index] if block else None
    return found if isinstance(found, Assign | Augment | Evaluate) else None


def under_no_grad(function: FunctionNode, at: int) -> tuple[Edit, ...]:
    """The edits that put the simple statement at a place under ``with torch.no_grad():``; none if that cannot be."""
    statement, spelt = simple_statement(function, at), no_grad(function)
    if statement is None or spelt is None:
        return ()
    guard, imports = spelt
    return (*imports, Edit(function.place(statement.at), "header", f"with {guard}:"))


def decorated(function: FunctionNode) -> tuple[Edit, ...]:
    """The edits that put a function under ``@torch.no_grad()``; none if that cannot be."""
    spelt = no_grad(function)
    if spelt is None:
        return ()
    guard, imports = spelt
    place = function.place(function.facts.keyword_at)
    if imports and _is_first(function):  # both would go to the same line
        return (Edit(place, "line-above", f"import torch\n\n@{guard}"),)
    return (*imports, Edit(place, "line-above", f"@{guard}"))


def _is_first(function: FunctionNode) -> bool:
    """Whether a function's definition is the first code of a file without imports."""
    code = (s for s in function.module.body.facts.body if not _is_preamble(s))
    match next(code, None):
        case DefineFunction(function=index):
            return index == function.facts.index
        case _:
            return False


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
