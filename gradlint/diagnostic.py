"""A finding with its rule and its lines: what suppression, reports and fixes are given."""

import hashlib
from dataclasses import dataclass

from gradlint.finding import Applicability, Severity, Span

RULES_URL = "https://github.com/gradlint/gradlint/blob/main/rules/README.md"


@dataclass(frozen=True, slots=True)
class LocatedNote:
    """A note with its lines."""

    path: str
    span: Span
    message: str


@dataclass(frozen=True, slots=True)
class LocatedEdit:
    """The text that replaces a span; an empty span inserts."""

    path: str
    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class LocatedFix:
    """A fix with its lines."""

    applicability: Applicability
    message: str
    edits: tuple[LocatedEdit, ...]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One reported fault. ``fingerprint`` stays the same when lines move."""

    code: str
    name: str
    severity: Severity
    path: str
    span: Span
    function: str
    message: str
    notes: tuple[LocatedNote, ...] = ()
    help: str = ""
    fix: LocatedFix | None = None
    fingerprint: str = ""

    @property
    def url(self) -> str:
        """Where the rule's page is read."""
        return f"{RULES_URL}#{self.code.lower()}-{self.name}"

    @property
    def order(self) -> tuple[str, int, int, str, str]:
        """Path, line, column, code: the order of every report."""
        return (self.path, self.span.line, self.span.column, self.code, self.message)


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """Something that could not be checked: a file that does not parse, a rule that raised."""

    path: str
    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a run found, in report order."""

    files: int
    diagnostics: tuple[Diagnostic, ...]
    failures: tuple[Failure, ...]
    suppressed: int


def fingerprint(code: str, path: str, function: str, text: str, repetition: int) -> str:
    """A stable identity: rule, file, function and the text of the line, not its number."""
    key = "\0".join((code, path, function, " ".join(text.split()), str(repetition)))
    return hashlib.blake2b(key.encode(), digest_size=10).hexdigest()
