"""What a format is given, and what several of them say in the same words."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field

from gradlint.diagnostic import Outcome
from gradlint.finding import Applicability
from gradlint.model.record import answer
from gradlint.report.style import PLAIN, Style
from gradlint.rule import Rule
from gradlint.source import Source


@answer
class Page:
    """An outcome to be shown.

    ``sources`` has the text of files, by path, for formats that quote it; ``rules`` have the pages, for formats
    that bring them along; fixes that were ``tried`` are not offered any more.
    """

    outcome: Outcome
    sources: Mapping[str, Source] = field(default_factory=dict)
    style: Style = PLAIN
    quiet: bool = False
    rules: Sequence[Rule] = ()
    tried: Collection[Applicability] = ()


def summary(outcome: Outcome) -> str:
    """One line that counts what was found."""
    counts = [
        _several(outcome.count("error"), "error"),
        _several(outcome.count("warning"), "warning"),
        _several(outcome.count("advice"), "piece", "of advice"),
    ]
    found = ", ".join(part for part in counts if part) or "No findings"
    mended = f" ({outcome.mended} mended)" if outcome.mended else ""
    hidden = f" ({outcome.suppressed} suppressed)" if outcome.suppressed else ""
    failed = _several(len(outcome.failures), "failure")
    broken = f"; {failed}: the result is incomplete" if failed else ""
    return f"{found} in {_several(outcome.files, 'file') or '0 files'}{hidden}{mended}{broken}{_measured(outcome)}."


def _measured(outcome: Outcome) -> str:
    """What a joined run said of the findings, if there is one."""
    verdicts = [found.measured.verdict for found in outcome.diagnostics if found.measured is not None]
    words = {
        "confirmed": "confirms",
        "refuted": "refutes",
        "not-reached": "did not reach",
        "source-changed": "cannot say",
    }
    said = [f"{word} {verdicts.count(verdict)}" for verdict, word in words.items() if verdict in verdicts]
    return f"; the run {', '.join(said)}" if said else ""


def ending(page: Page) -> Iterator[str]:
    """The summary, unless it would be the only line of a quiet run."""
    if not page.quiet:
        yield page.style.bold(summary(page.outcome)) + "\n"
        yield from _offer(page)


def _offer(page: Page) -> Iterator[str]:
    """How many findings have a fix, and how to have it."""
    fixes = [found.fix.applicability for found in page.outcome.diagnostics if found.fix is not None]
    safe, unsafe = (0 if kind in page.tried else fixes.count(kind) for kind in ("safe", "unsafe"))
    if safe:
        more = f", {unsafe} more with `--fix --unsafe-fixes`" if unsafe else ""
        yield f"{safe} can be mended with `--fix`{more}.\n"
    elif unsafe:
        yield f"{unsafe} can be mended with `--fix --unsafe-fixes`.\n"


def _several(number: int, noun: str, rest: str = "") -> str:
    if number == 0:
        return ""
    plural = "" if number == 1 else "s"
    return f"{number} {noun}{plural} {rest}".rstrip()
