"""Workflow commands, which GitHub Actions shows as annotations on the changed lines."""

from collections.abc import Iterator, Mapping

from gradlint.diagnostic import Diagnostic, Failure
from gradlint.finding import Severity
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
        "line": str(span.line),
        "col": str(span.column),
        "endLine": str(span.end_line),
    }
    if span.end_line == span.line:  # GitHub refuses columns on an annotation of several lines
        properties["endColumn"] = str(span.end_column)
    text = f"{found.path}:{span.line}:{span.column}: {found.code} {found.message}"
    notes = "".join(f"\n{note.path}:{note.span.line}: {note.message}" for note in found.notes)
    return _command(_COMMANDS[found.severity], properties, text + notes)


def _failure(failure: Failure) -> str:
    properties = {
        "title": "gradlint",
        "file": failure.path,
        "line": str(failure.line),
        "col": str(failure.column),
    }
    text = f"{failure.path}:{failure.line}:{failure.column}: {failure.message}"
    return _command("error", properties, text)


def _command(name: str, properties: Mapping[str, str], text: str) -> str:
    listed = ",".join(f"{key}={value.translate(_PROPERTY)}" for key, value in properties.items())
    return f"::{name} {listed}::{text.translate(_DATA)}\n"
