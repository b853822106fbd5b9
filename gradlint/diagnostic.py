"""What a run hands to its users: findings with their rule and lines, failures, and the outcome of both."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gradlint.finding import Applicability, Severity, Span
from gradlint.model.record import answer

RULES_URL = "https://github.com/gradlint/gradlint/blob/main/rules/README.md"


class ConfigError(Exception):
    """Settings, flags or selectors that make no sense: the run cannot start."""


@answer
class LocatedNote:
    """A note with its lines."""

    path: str
    span: Span
    message: str
    cell: int = 0

    @property
    def file(self) -> str:
        """Path, and cell if there is one, as people are told it."""
        return in_cell(self.path, self.cell)


@answer
class LocatedEdit:
    """The text that replaces a span; an empty span inserts."""

    path: str
    span: Span
    text: str
    cell: int = 0


@answer
class LocatedFix:
    """A fix with its lines."""

    applicability: Applicability
    message: str
    edits: tuple[LocatedEdit, ...]


Verdict = Literal["confirmed", "refuted", "not-reached", "source-changed"]


@answer
class Measured:
    """What a run says of a finding.

    ``size`` are the bytes it cost, ``times`` how often it happened, of ``runs`` times that the code ran; all 0 if
    nothing is known. ``exact`` is false for estimated bytes. ``message`` says it in words.
    """

    verdict: Verdict
    message: str
    size: int = 0
    times: int = 0
    runs: int = 0
    exact: bool = False


@answer
class Diagnostic:
    """One reported fault. ``fingerprint`` stays the same when lines move.

    Here and elsewhere ``cell`` is 0, and spans count from the top of the source, until a report is written: only
    there are places in notebooks told by the cell's number.
    """

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
    cell: int = 0
    measured: Measured | None = None

    @property
    def file(self) -> str:
        """Path, and cell if there is one, as people are told it."""
        return in_cell(self.path, self.cell)

    @property
    def stands(self) -> bool:
        """Whether it makes a run fail: not if a measured run refutes it."""
        return self.measured is None or self.measured.verdict != "refuted"

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
    cell: int = 0

    @property
    def file(self) -> str:
        """Path, and cell if there is one, as people are told it."""
        return in_cell(self.path, self.cell)

    @property
    def span(self) -> Span:
        """Its place, which has no extent."""
        return Span(self.line, self.column, self.line, self.column)


@answer
class Outcome:
    """All that a run found, in report order. ``mended``: findings that are gone because fixes were applied.

    ``depths`` are the last lines, by path, that anything is told about; what stands below is of no account.
    """

    files: int
    diagnostics: tuple[Diagnostic, ...]
    failures: tuple[Failure, ...]
    suppressed: int
    mended: int = 0
    depths: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def stands(self) -> bool:
        """Whether anything was found that no measured run refutes."""
        return any(diagnostic.stands for diagnostic in self.diagnostics)

    def count(self, severity: Severity) -> int:
        """How many findings have this severity."""
        return sum(diagnostic.severity == severity for diagnostic in self.diagnostics)


def in_cell(path: str, cell: int) -> str:
    """How a file, or a cell of a notebook, is called."""
    return f"{path}:cell {cell}" if cell else path


def fingerprint(code: str, path: str, function: str, text: str, repetition: int) -> str:
    """A stable identity: rule, file, function and the text of the line, not its number."""
    import hashlib  # only where something is found

    key = "\0".join((code, path, function, " ".join(text.split()), str(repetition)))
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or nothing: to be put behind an error message."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"; did you mean `{near[0]}`?" if near else ""
