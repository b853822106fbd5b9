"""Lines as code hosts count them: they show a notebook as the file that holds it, not as cells."""

from functools import lru_cache

from gradlint.finding import Span
from gradlint.notebook import file_lines
from gradlint.report.page import Page


def lines(page: Page, path: str, cell: int, span: Span) -> tuple[int, int]:
    """The first and the last line of a span, given in a file or in a cell, within the file."""
    source = page.sources.get(path) if cell else None
    if source is None or source.notebook is None:
        return span.line, span.end_line
    of_cell = _file_lines(source.notebook.raw)[cell]
    last = len(of_cell)  # an error may be placed behind the end
    return of_cell[min(span.line, last) - 1], of_cell[min(span.end_line, last) - 1]


_file_lines = lru_cache(maxsize=4)(file_lines)  # many findings come from one notebook
