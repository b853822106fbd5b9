"""Workflow commands, which GitHub Actions shows as annotations on the changed lines."""

from collections.abc import Iterator, Mapping
from functools import partial

from gradlint.diagnostic import Diagnostic, Failure
from gradlint.finding import Severity, Span
from gradlint.report import hosted
from gradlint.report.page import Page

_COMMANDS: Mapping[Severity, str] = {"error": "error", "warning": "warning", "advice": "notice"}
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def render(page: Page) -> Iterator[str]:
    """One command per finding and failure."""
    yield from map(partial(_finding, page), page.outcome.diagnostics)
    yield from map(partial(_failure, page), page.outcome.failures)


def _finding(page: Page, found: Diagnostic) -> str:
    span = found.span
    properties = {
        "title": f"{found.code} {found.name}",
        "file": found.path,
        **_lines(page, found.path, found.cell, span),
    }
    if span.end_line == span.line and not found.cell:  # GitHub refuses columns on an annotation of several lines
        properties["endColumn"] = str(span.end_column)
    text = f"{found.file}:{span.line}:{span.column}: {found.code} {found.message}"
    notes = "".join(f"\n{note.file}:{note.span.line}: {note.message}" for note in found.notes)
    measured = f"\n{found.measured.message}" if found.measured is not None else ""
    return _command(_COMMANDS[found.severity], properties, text + measured + notes)


def _failure(page: Page, failure: Failure) -> str:
    properties = {
        "title": "gradlint",
        "file": failure.path,
        **_lines(page, failure.path, failure.cell, failure.span),
    }
    properties.pop("endLine", None)
    text = f"{failure.file}:{failure.line}:{failure.column}: {failure.message}"
    return _command("error", properties, text)


def _lines(page: Page, path: str, cell: int, span: Span) -> dict[str, str]:
    """Lines and column; of a notebook lines alone, since the columns of its file are those of JSON."""
    first, last = hosted.lines(page, path, cell, span)
    column = {} if cell else {"col": str(span.column)}
    return {"line": str(first), **column, "endLine": str(last)}


def _command(name: str, properties: Mapping[str, str], text: str) -> str:
    listed = ",".join(f"{key}={value.translate(_PROPERTY)}" for key, value in properties.items())
    return f"::{name} {listed}::{text.translate(_DATA)}\n"
