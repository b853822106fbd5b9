"""Lines and columns by Python's own tree, of the nodes whose extent it tells exactly as the text has it."""

import ast
import re
from collections.abc import Collection, Sequence
from typing import Any

from gradlint.finding import Span
from gradlint.model.abstract.expressions import Part
from gradlint.model.abstract.read import walk
from gradlint.source import Source

# Python counts the parentheses of tuples and generators, and knows the end of no compound statement.
_EXACT = (
    ast.Name, ast.Attribute, ast.Call, ast.Constant, ast.JoinedStr, ast.Subscript, ast.List, ast.Set, ast.Dict,
    ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.ListComp, ast.SetComp, ast.DictComp,
    ast.Lambda, ast.Await,
    ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Delete, ast.Raise, ast.Return, ast.Break, ast.Continue, ast.alias,
    ast.Import, ast.ImportFrom,
)  # fmt: skip
_DEFINED = re.compile(r"(?:async[ \t]+)?(?:def|class)[ \t]+")


def spans(source: Source, numbers: Collection[int]) -> dict[int, Span] | None:
    """The spans of nodes, by number; None where not all of them can be told."""
    found = walk(source)
    if found is None:
        return None
    lines = source.lines()
    told = {number: place(found[1][number], lines) for number in numbers}
    return {number: span for number, span in told.items() if span is not None} if None not in told.values() else None


def place(part: Part, lines: Sequence[str]) -> Span | None:
    """The span of one node in the lines of its text; None where Python does not tell."""
    match part:
        case ast.Module():
            return Span(1, 1, 1, 1)
        case ast.FunctionDef() | ast.AsyncFunctionDef():  # its ``def`` line
            start = _column(part.lineno, part.col_offset, lines)
            return Span(part.lineno, start, part.lineno, start + 3)
        case (ast.Attribute() as node, _):
            span = _whole(node, lines)
            return Span(span.end_line, span.end_column - len(node.attr), span.end_line, span.end_column)
        case (ast.keyword(arg=str(name)) as node, _):
            start = _column(node.lineno, node.col_offset, lines)
            return Span(node.lineno, start, node.lineno, start + len(name))
        case (node, "name"):
            return _defined(node, lines)
        case ast.AST() if isinstance(part, _EXACT):
            return _whole(part, lines)
        case _:
            return None


def _defined(node: Any, lines: Sequence[str]) -> Span | None:
    """The name behind ``def`` or ``class``, if it stands on the same line."""
    number: int = node.lineno
    line = lines[number - 1]
    keyword = _DEFINED.match(line, _column(number, node.col_offset, lines) - 1)
    if keyword is None or not line.startswith(node.name, keyword.end()):
        return None
    return Span(node.lineno, keyword.end() + 1, node.lineno, keyword.end() + 1 + len(node.name))


def _whole(node: Any, lines: Sequence[str]) -> Span:
    start = _column(node.lineno, node.col_offset, lines)
    return Span(node.lineno, start, node.end_lineno, _column(node.end_lineno, node.end_col_offset, lines))


def _column(line: int, offset: int, lines: Sequence[str]) -> int:
    """The column, from 1, of a place that Python counts in bytes of UTF-8."""
    text = lines[line - 1]
    if text.isascii():
        return offset + 1
    return len(text.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "surrogatepass")) + 1
