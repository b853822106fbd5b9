"""Findings in notebooks, told by their cells: lines count from the top of the cell, as people see them."""

import re
from collections.abc import Mapping
from dataclasses import replace

from gradlint.diagnostic import Diagnostic, Failure, LocatedEdit, LocatedFix, LocatedNote, in_cell
from gradlint.finding import Span
from gradlint.notebook import Cell, cells
from gradlint.report.page import Page
from gradlint.source import Source

_OTHER_LINE = re.compile(r"(?<= on line )[0-9]+")
_Cells = Mapping[str, tuple[Cell, ...]]


def by_cells(page: Page) -> Page:
    """The page with each place in a notebook as cell, line and column; its sources have the cells besides."""
    found = {path: tuple(cells(source)) for path, source in page.sources.items() if source.notebook is not None}
    if not found:
        return page
    texts = {in_cell(path, cell.number): Source(path, cell.text) for path, every in found.items() for cell in every}
    outcome = replace(
        page.outcome,
        diagnostics=tuple(_diagnostic(diagnostic, found) for diagnostic in page.outcome.diagnostics),
        failures=tuple(_failure(failure, found) for failure in page.outcome.failures),
    )
    return replace(page, outcome=outcome, sources={**page.sources, **texts})


def _diagnostic(diagnostic: Diagnostic, found: _Cells) -> Diagnostic:
    number, span = _place(diagnostic.path, diagnostic.span, found)
    notes = tuple(_note(note, found) for note in diagnostic.notes)
    fix = _fix(diagnostic.fix, found) if diagnostic.fix is not None else None
    return replace(diagnostic, cell=number, span=span, notes=notes, fix=fix)


def _note(note: LocatedNote, found: _Cells) -> LocatedNote:
    number, span = _place(note.path, note.span, found)
    return replace(note, cell=number, span=span)


def _fix(fix: LocatedFix, found: _Cells) -> LocatedFix:
    return replace(fix, edits=tuple(_edit(edit, found) for edit in fix.edits))


def _edit(edit: LocatedEdit, found: _Cells) -> LocatedEdit:
    number, span = _place(edit.path, edit.span, found)
    return replace(edit, cell=number, span=span)


def _failure(failure: Failure, found: _Cells) -> Failure:
    number, span = _place(failure.path, failure.span, found)
    message = failure.message
    if number:  # "expected an indented block after 'with' statement on line 459"
        message = _OTHER_LINE.sub(lambda line: str(int(line[0]) - failure.line + span.line), message)
    return replace(failure, cell=number, line=span.line, column=span.column, message=message)


def _place(path: str, span: Span, found: _Cells) -> tuple[int, Span]:
    """The number of the cell that a span begins in, and the span within it; cell 0 where there is none."""
    for cell in reversed(found.get(path, ())):
        if span.line > cell.before:
            moved = replace(span, line=span.line - cell.before, end_line=span.end_line - cell.before)
            return cell.number, moved
    return 0, span
