"""SARIF 2.1.0, which code hosts and editors read.

Written after the OASIS standard "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from urllib.parse import quote

from gradlint import __version__
from gradlint.diagnostic import Diagnostic, Failure, LocatedFix, LocatedNote
from gradlint.finding import Severity, Span
from gradlint.report import hosted
from gradlint.report.page import Page
from gradlint.rule import Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
HOME = "https://github.com/gradlint/gradlint"
ROOT = "%SRCROOT%"  # what code hosts take for the top of the repository
FINGERPRINT = "gradlint/v1"
_LEVELS: Mapping[Severity, str] = {"error": "error", "warning": "warning", "advice": "note"}


def render(page: Page) -> Iterator[str]:
    """One SARIF log with one run; of the rules it has those that found something."""
    found = page.outcome.diagnostics
    firsts = {diagnostic.code: diagnostic for diagnostic in reversed(found)}
    codes = sorted(firsts)
    pages = {rule.code: rule for rule in page.rules}
    run = {
        "tool": {
            "driver": {
                "name": "gradlint",
                "semanticVersion": __version__,
                "informationUri": HOME,
                "rules": [_rule(firsts[code], pages.get(code)) for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(page)],
        "results": [_result(page, diagnostic, codes.index(diagnostic.code)) for diagnostic in found],
    }
    yield json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(example: Diagnostic, rule: Rule | None) -> dict[str, object]:
    described: dict[str, object] = {"id": example.code, "name": example.name, "helpUri": example.url}
    if rule is not None:
        described["shortDescription"] = {"text": rule.summary}
        described["help"] = {"text": rule.page, "markdown": rule.page}
        described["defaultConfiguration"] = {"level": _LEVELS[rule.severity]}
    return described


def _invocation(page: Page) -> dict[str, object]:
    notifications = [_notification(page, failure) for failure in page.outcome.failures]
    return {"executionSuccessful": not notifications, "toolExecutionNotifications": notifications}


def _notification(page: Page, failure: Failure) -> dict[str, object]:
    span = failure.span
    return {
        "level": "error",
        "message": {"text": failure.message + _spelt(failure.cell, span)},
        "locations": [_location(page, failure.path, span, failure.cell)],
    }


def _result(page: Page, found: Diagnostic, index: int) -> dict[str, object]:
    measured = f"\n{found.measured.message}" if found.measured is not None else ""
    help = f"{measured}\n{found.help}" if found.help else measured
    result: dict[str, object] = {
        "ruleId": found.code,
        "ruleIndex": index,
        "level": _LEVELS[found.severity],
        "message": {"text": found.message + _spelt(found.cell, found.span) + help},
        "locations": [_location(page, found.path, found.span, found.cell)],
        "partialFingerprints": {FINGERPRINT: found.fingerprint},
    }
    if found.measured is not None:
        result["properties"] = {"measured": asdict(found.measured)}
    if found.notes:
        result["relatedLocations"] = [_related(page, number, note) for number, note in enumerate(found.notes)]
    if found.fix is not None and not found.cell:
        result["fixes"] = [_fix(found.fix)]
    return result


def _related(page: Page, number: int, note: LocatedNote) -> dict[str, object]:
    text = note.message + _spelt(note.cell, note.span)
    return {"id": number, **_location(page, note.path, note.span, note.cell), "message": {"text": text}}


def _location(page: Page, path: str, span: Span, cell: int) -> dict[str, object]:
    """A place; of a notebook the lines of its file, whose columns are those of JSON."""
    first, last = hosted.lines(page, path, cell, span)
    region = {"startLine": first, "endLine": last} if cell else _region(span)
    return {"physicalLocation": {"artifactLocation": _artifact(path), "region": region}}


def _spelt(cell: int, span: Span) -> str:
    return f" (cell {cell}, line {span.line})" if cell else ""


def _artifact(path: str) -> dict[str, str]:
    """A path as a URI; relative ones are below the folder where the run began."""
    uri = quote(path.encode("utf-8", "surrogateescape"))
    return {"uri": f"file://{uri}"} if os.path.isabs(path) else {"uri": uri, "uriBaseId": ROOT}


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _fix(fix: LocatedFix) -> dict[str, object]:
    paths = dict.fromkeys(edit.path for edit in fix.edits)
    return {
        "description": {"text": f"{fix.message} ({fix.applicability})"},
        "artifactChanges": [
            {
                "artifactLocation": _artifact(path),
                "replacements": [
                    {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.text}}
                    for edit in fix.edits
                    if edit.path == path
                ],
            }
            for path in paths
        ],
    }
