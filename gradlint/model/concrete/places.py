"""Lines and columns by LibCST: of every node, at twice the cost of parsing."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from gradlint.finding import Span
from gradlint.model.concrete.read import walk
from gradlint.source import Source


def spans(source: Source, numbers: Collection[int]) -> dict[int, Span]:
    """The spans of nodes, by number.

    Raises:
        SourceError: when the text cannot be parsed.
    """
    _, nodes, tree = walk(source)
    positions = MetadataWrapper(tree, unsafe_skip_copy=True).resolve(PositionProvider)
    lines = source.lines()
    return {number: _moved(nodes[number], _span(nodes[number], positions[nodes[number]]), lines) for number in numbers}


def _moved(node: cst.CSTNode, span: Span, lines: Sequence[str]) -> Span:
    """LibCST counts columns from behind a form feed that a line begins with; we count all characters."""
    fed = 0 if isinstance(node, cst.Module) else _fed(lines[span.line - 1])
    same = fed if span.end_line == span.line else 0
    return replace(span, column=span.column + fed, end_column=span.end_column + same) if fed else span


def _fed(line: str) -> int:
    blank = line[: len(line) - len(line.lstrip())]
    return blank.rfind("\f") + 1


def _span(node: cst.CSTNode, at: CodeRange) -> Span:
    if isinstance(node, cst.FunctionDef):  # its place is its ``def`` line, not its decorators' nor its body's
        return Span(at.start.line, at.start.column + 1, at.start.line, at.start.column + 4)
    if isinstance(node, cst.Module):
        return Span(1, 1, 1, 1)
    if isinstance(node, cst.And | cst.Or):  # with the blanks around it, so that a comma can take its place
        before, after = _blanks(node.whitespace_before), _blanks(node.whitespace_after)
        return Span(at.start.line, at.start.column + 1 - before, at.end.line, at.end.column + 1 + after)
    return Span(at.start.line, at.start.column + 1, at.end.line, at.end.column + 1)


def _blanks(whitespace: cst.BaseParenthesizableWhitespace) -> int:
    """How many blanks there are on the same line; none where the line ends."""
    if not isinstance(whitespace, cst.SimpleWhitespace) or "\n" in whitespace.value:
        return 0
    return len(whitespace.value)
