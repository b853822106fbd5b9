"""GitLab's code quality report, whose findings merge requests show beside the changed lines."""

import json
from collections.abc import Iterator, Mapping
from functools import partial

from gradlint.diagnostic import Diagnostic, Failure, fingerprint
from gradlint.finding import Severity, Span
from gradlint.report import hosted
from gradlint.report.page import Page

_SEVERITIES: Mapping[Severity, str] = {"error": "major", "warning": "minor", "advice": "info"}


def render(page: Page) -> Iterator[str]:
    """One JSON list, with an issue for each finding and failure."""
    issues = [
        *map(partial(_finding, page), page.outcome.diagnostics),
        *map(partial(_failure, page), page.outcome.failures),
    ]
    yield json.dumps(issues, indent=2) + "\n"


def _finding(page: Page, found: Diagnostic) -> dict[str, object]:
    span = found.span
    measured = f" ({found.measured.message})" if found.measured is not None else ""
    place = f" (cell {found.cell}, line {span.line})" if found.cell else ""
    return {
        "description": f"{found.code} {found.name}: {found.message}{place}{measured}",
        "check_name": found.code,
        "fingerprint": found.fingerprint,
        "severity": _SEVERITIES[found.severity],
        "location": {"path": found.path, "lines": _lines(page, found.path, found.cell, span)},
    }


def _failure(page: Page, failure: Failure) -> dict[str, object]:
    return {
        "description": f"gradlint failed: {failure.message}",
        "check_name": "failed",
        "fingerprint": fingerprint("failed", failure.path, "", failure.message, failure.line),
        "severity": "blocker",
        "location": {"path": failure.path, "lines": _lines(page, failure.path, failure.cell, failure.span)},
    }


def _lines(page: Page, path: str, cell: int, span: Span) -> dict[str, int]:
    first, last = hosted.lines(page, path, cell, span)
    return {"begin": first, "end": last}
