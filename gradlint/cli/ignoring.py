"""``gradlint check --add-ignores``: today's findings are silenced where they stand."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from gradlint.cli.saving import Result
from gradlint.diagnostic import Diagnostic
from gradlint.fix import edited
from gradlint.source import Source
from gradlint.suppress import ignoring


def ignored(result: Result, reason: str) -> Result:
    """The result with a comment at each finding, and no finding any more. Nothing is written yet."""
    by_path: defaultdict[str, list[Diagnostic]] = defaultdict(list)
    for found in result.outcome.diagnostics:
        by_path[found.path].append(found)
    after = {**result.after, **{path: _commented(result.after[path], by_path[path], reason) for path in by_path}}
    suppressed = result.outcome.suppressed + len(result.outcome.diagnostics)
    return replace(result, after=after, outcome=replace(result.outcome, diagnostics=(), suppressed=suppressed))


def _commented(source: Source, findings: Sequence[Diagnostic], reason: str) -> Source:
    codes: defaultdict[int, set[str]] = defaultdict(set)
    for found in findings:  # several lines of one statement may have to share a comment
        codes[ignoring(source, found.span.line, ()).span.line].add(found.code)
    return edited(source, [ignoring(source, line, wanted, reason) for line, wanted in codes.items()])
