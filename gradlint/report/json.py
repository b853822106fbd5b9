"""JSON for programs. The shape is stable and documented in the README; ``version`` counts its breaks."""

import json
from collections.abc import Iterator

from gradlint.diagnostic import Diagnostic, Failure, LocatedEdit, LocatedFix, LocatedNote, Measured, Outcome
from gradlint.finding import Span
from gradlint.report.page import Page

VERSION = 1


def render(page: Page) -> Iterator[str]:
    """One JSON document."""
    outcome = page.outcome
    document = {
        "version": VERSION,
        "summary": _summary(outcome),
        "findings": [_finding(diagnostic) for diagnostic in outcome.diagnostics],
        "failures": [_failure(failure) for failure in outcome.failures],
    }
    yield json.dumps(document, indent=2) + "\n"


def render_lines(page: Page) -> Iterator[str]:
    """A JSON object on each line: findings, then failures, then the summary; ``type`` says which it is."""
    for found in page.outcome.diagnostics:
        yield json.dumps({"type": "finding", **_finding(found)}) + "\n"
    for failure in page.outcome.failures:
        yield json.dumps({"type": "failure", **_failure(failure)}) + "\n"
    yield json.dumps({"type": "summary", "version": VERSION, **_summary(page.outcome)}) + "\n"


def _summary(outcome: Outcome) -> dict[str, int]:
    return {
        "files": outcome.files,
        "errors": outcome.count("error"),
        "warnings": outcome.count("warning"),
        "advice": outcome.count("advice"),
        "suppressed": outcome.suppressed,
        "failed": len(outcome.failures),
    }


def _finding(found: Diagnostic) -> dict[str, object]:
    return {
        "code": found.code,
        "name": found.name,
        "severity": found.severity,
        "path": found.path,
        **_range(found.span),
        "function": found.function,
        "message": found.message,
        "notes": [_note(note) for note in found.notes],
        "url": found.url,
        "fingerprint": found.fingerprint,
        "measured": _measured(found.measured) if found.measured is not None else None,
        "fix": _fix(found.fix, found.path) if found.fix is not None else None,
        **_cell(found.cell),
    }


def _measured(measured: Measured) -> dict[str, object]:
    return {
        "verdict": measured.verdict,
        "bytes": measured.size,
        "times": measured.times,
        "runs": measured.runs,
        "exact": measured.exact,
        "message": measured.message,
    }


def _note(note: LocatedNote) -> dict[str, object]:
    place = {"path": note.path, "line": note.span.line, "column": note.span.column}
    return {**place, "message": note.message, **_cell(note.cell)}


def _fix(fix: LocatedFix, path: str) -> dict[str, object]:
    return {
        "applicability": fix.applicability,
        "message": fix.message,
        "edits": [_edit(edit, path) for edit in fix.edits],
    }


def _edit(edit: LocatedEdit, path: str) -> dict[str, object]:
    """An edit is in the finding's own file unless it says otherwise."""
    elsewhere = {"path": edit.path} if edit.path != path else {}
    return {**elsewhere, **_range(edit.span), "text": edit.text, **_cell(edit.cell)}


def _failure(failure: Failure) -> dict[str, object]:
    return {
        "path": failure.path,
        "line": failure.line,
        "column": failure.column,
        "message": failure.message,
        **_cell(failure.cell),
    }


def _cell(number: int) -> dict[str, int]:
    """In notebooks, the cell that lines are counted in."""
    return {"cell": number} if number else {}


def _range(span: Span) -> dict[str, int]:
    return {
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
