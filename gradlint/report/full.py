"""The default format: each finding with the code it is about, and the places that explain it."""

from collections.abc import Iterator

from gradlint.diagnostic import Diagnostic, Failure
from gradlint.finding import Severity, Span
from gradlint.report.excerpt import Mark, excerpt
from gradlint.report.page import Page, ending
from gradlint.report.style import printable
from gradlint.source import Source


def render(page: Page) -> Iterator[str]:
    """The report, finding by finding."""
    for diagnostic in page.outcome.diagnostics:
        yield from _finding(diagnostic, page)
    for failure in page.outcome.failures:
        yield from _failure(failure, page)
    yield from ending(page)


def _finding(found: Diagnostic, page: Page) -> Iterator[str]:
    title = f"{found.severity} {found.code} {found.name}"
    yield _headline(found.file, found.span.line, found.span.column, found.severity, title, found.message, page)
    by_path: dict[str, list[Mark]] = {found.file: [Mark(found.span, "", found.severity)]}
    for note in found.notes:
        by_path.setdefault(note.file, []).append(Mark(note.span, note.message, None))
    margin = max(len(str(mark.span.end_line)) for marks in by_path.values() for mark in marks)
    for path, marks in by_path.items():
        if path != found.file:
            place = printable(f"{path}:{marks[0].span.line}:{marks[0].span.column}")
            yield f"{' ' * margin} {page.style.dim(':::')} {page.style.bold(place)}\n"
        yield from excerpt(page.sources.get(path, Source(path, "")), marks, margin, page.style)
    if found.measured is not None:
        yield _remark(margin, "measured", found.measured.message, page)
    if found.help:
        yield _remark(margin, "help", found.help, page)
    if found.fix is not None:
        yield _remark(margin, "fix", f"{found.fix.message} ({found.fix.applicability})", page)
    yield "\n"


def _failure(failure: Failure, page: Page) -> Iterator[str]:
    line, column = failure.line, failure.column
    yield _headline(failure.file, line, column, "error", "failed", failure.message, page)
    if (source := page.sources.get(failure.file)) is not None:
        marks = [Mark(Span(line, column, line, column + 1), "", "error")]
        yield from excerpt(source, marks, len(str(line)), page.style)
    yield "\n"


def _headline(path: str, line: int, column: int, severity: Severity, title: str, message: str, page: Page) -> str:
    place = page.style.bold(printable(f"{path}:{line}:{column}:"))
    return f"{place} {page.style.mark(severity, title)}: {page.style.bold(printable(message))}\n"


def _remark(margin: int, kind: str, text: str, page: Page) -> str:
    return f"{' ' * margin} {page.style.dim('=')} {page.style.bold(kind + ':')} {printable(text)}\n"
