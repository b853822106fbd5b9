"""Workflow commands, which GitHub Actions shows as annotations on the changed lines."""

from collections.abc import Iterator, Mapping

from gradlint.diagnostic import Diagnostic, Failure
from gradlint.finding import Severity, Span
from gradlint.report.page import Page

_COMMANDS: Mapping[Severity, str] = {"error": "error", "warning": "warning", "advice": "notice"}
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def render(page: Page) -> Iterator[str]:
    """One command per finding and failure."""
    yield from map(_finding, page.outcome.diagnostics)
    yield from map(_failure, page.outcome.failures)


def _finding(found: Diagnostic) -> str:
    span = found.span
    properties = {
        "title": f"{found.code} {found.name}",
        "file": found.path,
        **_lines(span, found.cell),
    }
    if span.end_line == span.line and not found.cell:  # GitHub refuses columns on an annotation of several lines
        properties["endColumn"] = str(span.end_column)
    text = f"{found.file}:{span.line}:{span.column}: {found.code} {found.message}"
    notes = "".join(f"\n{note.file}:{note.span.line}: {note.message}" for note in found.notes)
    measured = f"\n{found.measured.message}" if found.measured is not None else ""
    return _command(_COMMANDS[found.severity], properties, text + measured + notes)


def _failure(failure: Failure) -> str:
    properties = {
        "title": "gradlint",
        "file": failure.path,
        **_lines(Span(failure.line, failure.column, failure.line, failure.column), failure.cell, end=False),
    }
    text = f"{failure.file}:{failure.line}:{failure.column}: {failure.message}"
    return _command("error", properties, text)


def _lines(span: Span, cell: int, *, end: bool = True) -> dict[str, str]:
    """Lines and column; of a notebook the first, since the lines of its file are nothing that people see."""
    if cell:
        return {"line": "1"}
    last = {"endLine": str(span.end_line)} if end else {}
    return {"line": str(span.line), "col": str(span.column), **last}


def _command(name: str, properties: Mapping[str, str], text: str) -> str:
    listed = ",".join(f"{key}={value.translate(_PROPERTY)}" for key, value in properties.items())
    return f"::{name} {listed}::{text.translate(_DATA)}\n"
