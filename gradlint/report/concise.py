"""One line per finding: ``path:line:column: CODE message``."""

from collections.abc import Iterator

from gradlint.diagnostic import Diagnostic
from gradlint.report.page import Page, ending
from gradlint.report.style import printable


def render(page: Page) -> Iterator[str]:
    """The report, line by line."""
    style = page.style
    for found in page.outcome.diagnostics:
        place = style.bold(printable(f"{found.file}:{found.span.line}:{found.span.column}:"))
        yield f"{place} {style.mark(found.severity, found.code)} {printable(found.message)}{_measured(found)}\n"
    for failure in page.outcome.failures:
        place = style.bold(printable(f"{failure.file}:{failure.line}:{failure.column}:"))
        yield f"{place} {style.mark('error', 'failed')} {printable(failure.message)}\n"
    yield from ending(page)


def _measured(found: Diagnostic) -> str:
    return f" ({printable(found.measured.message)})" if found.measured is not None else ""
