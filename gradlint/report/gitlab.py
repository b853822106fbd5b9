"""GitLab's code quality report, whose findings merge requests show beside the changed lines."""

import json
from collections.abc import Iterator, Mapping

from gradlint.diagnostic import Diagnostic, Failure, fingerprint
from gradlint.finding import Severity
from gradlint.report.page import Page

_SEVERITIES: Mapping[Severity, str] = {"error": "major", "warning": "minor", "advice": "info"}


def render(page: Page) -> Iterator[str]:
    """One JSON list, with an issue for each finding and failure."""
    issues = [*map(_finding, page.outcome.diagnostics), *map(_failure, page.outcome.failures)]
    yield json.dumps(issues, indent=2) + "\n"


def _finding(found: Diagnostic) -> dict[str, object]:
    span = found.span
    measured = f" ({found.measured.message})" if found.measured is not None else ""
    place = f" (cell {found.cell}, line {span.line})" if found.cell else ""
    return {
        "description": f"{found.code} {found.name}: {found.message}{place}{measured}",
        "check_name": found.code,
        "fingerprint": found.fingerprint,
        "severity": _SEVERITIES[found.severity],
        "location": {"path": found.path, "lines": _lines(span.line, span.end_line, found.cell)},
    }


def _failure(failure: Failure) -> dict[str, object]:
    return {
        "description": f"gradlint failed: {failure.message}",
        "check_name": "failed",
        "fingerprint": fingerprint("failed", failure.path, "", failure.message, failure.line),
        "severity": "blocker",
        "location": {"path": failure.path, "lines": _lines(failure.line, failure.line, failure.cell)},
    }


def _lines(first: int, last: int, cell: int) -> dict[str, int]:
    """Lines; of a notebook the first, since the lines of its file are nothing that people see."""
    return {"begin": 1, "end": 1} if cell else {"begin": first, "end": last}
